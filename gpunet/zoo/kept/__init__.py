"""Private: what is kept in gpunet's home folder beside the records of this machine."""
