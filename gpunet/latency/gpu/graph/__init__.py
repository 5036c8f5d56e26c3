"""Private: a network's operations, read from torch or ONNX, and which of them become one kernel."""
