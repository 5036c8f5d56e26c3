"""`gpunet zoo ...`, an action a file."""
