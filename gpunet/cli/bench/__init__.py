"""`gpunet bench`: networks measured side by side, and what trtexec measured."""
