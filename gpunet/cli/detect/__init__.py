"""Private: `gpunet detect`."""
