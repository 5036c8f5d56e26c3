"""`gpunet table ...`, an action a file."""
