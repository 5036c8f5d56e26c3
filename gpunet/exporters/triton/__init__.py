"""Triton model repositories: the folder, its config.pbtxt, and protobuf's text format."""
