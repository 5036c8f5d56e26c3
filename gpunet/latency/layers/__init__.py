"""Layers as keys: what their latency depends on, what they compute, their ONNX graphs. A family of layers is a file."""
