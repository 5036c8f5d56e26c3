"""`gpunet search ...`, an action a file."""
