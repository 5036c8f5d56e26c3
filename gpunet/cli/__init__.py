"""The commands `gpunet` and `gpunet-export`."""
