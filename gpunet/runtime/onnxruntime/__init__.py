"""ONNX Runtime on the processor: networks run, and ONNX files written."""
