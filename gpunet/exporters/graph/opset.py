"""Which ONNX opsets a network can be exported at."""

from __future__ import annotations

import onnx

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_integer
from gpunet.errors import InvalidArgumentError

DEFAULT_OPSET = 17
MIN_OPSET = 13
_SURE_OPSET = 21  # what the oldest ONNX Runtime that gpunet installs with can run


def check_opset(opset: int, *, newest: int | None = None) -> None:
    """Raise InvalidArgumentError unless the opset is from 13 to what the installed onnx and ONNX Runtime know.

    Args:
        opset: the one to check.
        newest: the newest of onnx; None to ask the installed one.
    """
    newest = newest or onnx.defs.onnx_opset_version()
    checked_integer("opset", opset, MIN_OPSET)
    if opset > newest:
        raise InvalidArgumentError(
            f"opset must be at most {newest}, the newest of onnx {onnx.__version__}, but got {opset}.",
            f"The default, {DEFAULT_OPSET}, runs everywhere.",
        )
    if opset > _SURE_OPSET:
        onnxruntime = runtimes.get("onnxruntime")
        try:
            onnxruntime.load(_trivial(opset))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                f"opset {opset} is newer than the installed ONNX Runtime {onnxruntime.version()} can run, so that the "
                "file could not be verified.",
                f"Upgrade onnxruntime, or take the default, {DEFAULT_OPSET}.",
            ) from error


def _trivial(opset: int) -> onnx.ModelProto:
    """The smallest network of an opset: its input is its output."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    body = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "trivial", value[:1], value[1:])
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(
        body, opset_imports=opsets, ir_version=onnx.helper.find_min_ir_version_for(opsets, True)
    )
