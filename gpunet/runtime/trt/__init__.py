"""TensorRT and TensorRT-RTX: one builder and one session for both. `gpunet.runtime.trt.runtime` is the door.

library.py knows what differs between the two and their versions; options.py what can be asked of a build and whether
it can be had; builder.py builds; layers.py reads the built engine's layers and precision.py judges them; session.py
runs an engine and timing.py times it on the GPU; trtexec.py speaks with NVIDIA's own tool.
"""
