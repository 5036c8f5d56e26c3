"""ONNX graphs: traced from torch, rewritten, widened, halved, and what their tensors are."""
