"""Private: the commands, one a file. What they print and take is documented by their --help and the guides."""
