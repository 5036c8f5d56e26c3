"""A torch network's operations: recorded at the level of aten on the meta device, where nothing is computed.

`torch.export` and `make_fx` see the same operations; recording the dispatcher's calls takes a tenth of their time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from timm.layers import set_fused_attn, use_fused_attn
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gpunet.errors import InvalidArgumentError
from gpunet.latency.gpu.graph.operations import Operation

_VIEWS = frozenset(
    [
        "view",
        "_unsafe_view",
        "reshape",
        "t",
        "transpose",
        "permute",
        "unsqueeze",
        "squeeze",
        "slice",
        "select",
        "expand",
        "split",
        "chunk",
        "unbind",
        "alias",
        "detach",
        "as_strided",
        "split_with_sizes",
        "_reshape_alias",
        "unfold",
        "flatten",
        "lift_fresh",
        "narrow",
        "lift_fresh_copy",
        "contiguous",
        "dropout",
        "_to_copy",
    ]
)
_MADE = frozenset(
    [
        "empty",
        "zeros",
        "ones",
        "arange",
        "full",
        "scalar_tensor",
        "eye",
        "new_zeros",
        "new_empty",
        "empty_like",
        "zeros_like",
        "ones_like",
        "fill",
        "zero",
        "_local_scalar_dense",
    ]
)
_ACTS = frozenset(
    [
        "relu",
        "relu6",
        "sigmoid",
        "clamp",
        "clamp_min",
        "clamp_max",
        "hardtanh",
        "hardsigmoid",
        "tanh",
        "leaky_relu",
        "elu",
        "abs",
        "neg",
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "square",
        "reciprocal",
        "pow",
    ]
)
_SWISH = frozenset(["silu", "hardswish", "gelu", "mish", "softplus"])
_NORMS = frozenset(
    [
        "native_layer_norm",
        "native_group_norm",
        "_softmax",
        "softmax",
        "var_mean",
        "linalg_vector_norm",
        "norm",
        "layer_norm",
        "var",
        "std",
        "_safe_softmax",
    ]
)
_POOLS = frozenset(
    [
        "max_pool2d_with_indices",
        "avg_pool2d",
        "max_pool2d",
        "adaptive_avg_pool2d",
        "_adaptive_avg_pool2d",
        "upsample_nearest2d",
        "upsample_bilinear2d",
        "upsample_bicubic2d",
        "grid_sampler_2d",
    ]
)
_REDUCE = frozenset(["mean", "sum", "amax", "max", "cumsum", "argmax", "min", "topk"])
_CONCAT = frozenset(("cat", "stack"))
_COPY = frozenset(
    [
        "clone",
        "roll",
        "index",
        "pixel_shuffle",
        "pixel_unshuffle",
        "im2col",
        "col2im",
        "_unsafe_index",
        "repeat",
        "index_select",
        "gather",
        "channel_shuffle",
        "native_channel_shuffle",
        "flip",
        "copy",
        "scatter",
        "index_put",
    ]
)
_BATCHNORM = frozenset(
    ["native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "batch_norm"]
)  # fmt: skip
_SIMPLE = {
    **dict.fromkeys(_ACTS, "act"), **dict.fromkeys(_SWISH, "swish"), **dict.fromkeys(_NORMS, "norm"),
    **dict.fromkeys(_POOLS, "pool"), **dict.fromkeys(_REDUCE, "reduce"), **dict.fromkeys(_CONCAT, "concat"),
    **dict.fromkeys(_COPY, "copy"), **dict.fromkeys(_BATCHNORM, "batchnorm"), "constant_pad_nd": "pad",
    "reflection_pad2d": "pad", "replication_pad2d": "pad",
}  # fmt: skip
_MATMULS = frozenset(("addmm", "mm", "bmm", "baddbmm"))


def operations_of_module(build: Callable[[], nn.Module], shape: tuple[int, int, int]) -> list[Operation]:
    """The operations of a network for one image.

    Args:
        build: makes the network; it is called with torch's meta device as the default, so that no weight is allocated.
        shape: C, H, W of the image.

    Raises:
        InvalidArgumentError: (a ValueError) the network cannot be traced at this input.
    """
    fused_attention = use_fused_attn()
    set_fused_attn(False)  # as its products, which TensorRT finds in an exported graph
    try:
        with torch.device("meta"), torch.no_grad():
            module = build().eval()
            image = torch.empty(1, *shape, device="meta")
            recorder = _Recorder(image)
            with recorder:
                module(image)
    except (RuntimeError, ValueError, AssertionError, NotImplementedError, TypeError, IndexError) as error:
        size = "x".join(map(str, shape))
        raise InvalidArgumentError(
            f"the network cannot be traced at an input of {size}: {type(error).__name__}: {str(error)[:200]}",
            "Give the input size that it is built for, or an exported ONNX file.",
        ) from error
    finally:
        set_fused_attn(bool(fused_attention))
    return recorder.found


class _Recorder(TorchDispatchMode):
    """Notes every call of the dispatcher; a tensor is an activation with a number, a view of one, or a constant.

    Attributes:
        found: the operations.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Operation] = []
        self._kept: list[Tensor] = [image]  # alive: an identity must not be given twice
        self._root = {id(image): 0}  # of an activation, or a view of it
        self._number = {0: 0}  # of a root: that of the activation that it holds now

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute as without this mode, and note the call."""
        made = func(*args, **(kwargs or {}))
        name = str(func).split(".")[1]
        outputs = [each for each in _flat(made) if isinstance(each, Tensor)]
        inputs = [each for each in _flat([*args, *(kwargs or {}).values()]) if isinstance(each, Tensor)]
        activations = [each for each in inputs if id(each) in self._root]
        if not outputs or not activations:
            return made  # made of constants alone: folded when the engine is built
        self._kept += outputs
        in_place = name.endswith("_") and not name.startswith("_")
        name = name.rstrip("_") if in_place else name
        if name in _MADE:
            return made
        if name in _VIEWS:
            for each in outputs:
                self._root[id(each)] = self._root[id(activations[0])]
            return made
        self._note(name, args, inputs, activations, outputs[0])
        number = len(self.found)
        if in_place and id(args[0]) in self._root:
            self._number[self._root[id(args[0])]] = number  # whatever views it reads the new one, too
        else:
            for each in outputs:
                self._root[id(each)] = number
            self._number[number] = number
        return made

    def _note(
        self, name: str, args: Sequence[Any], inputs: Sequence[Tensor], activations: Sequence[Tensor], output: Tensor
    ) -> None:
        numbers = tuple(self._number[self._root[id(each)]] for each in activations)
        constants = sum(each.numel() for each in inputs if id(each) not in self._root)
        kind = _SIMPLE.get(name, "binary")
        about: dict[str, Any] = {"weights": constants}
        if name in ("convolution", "_convolution"):
            kind, about = "conv", _convolution(args, output)
        elif name in _MATMULS:
            left, right = inputs[-2:]
            kind, about = "matmul", _product(left, right, constant=id(right) not in self._root)
        read = tuple(each.numel() for each in activations)
        self.found.append(Operation(kind, numbers, len(self.found) + 1, read, output.numel(), **about))


def _product(left: Tensor, right: Tensor, *, constant: bool) -> dict[str, Any]:
    """Of `rows x depth` and `depth x columns`, or of a batch of both."""
    several = left.dim() == 3
    return {
        "rows": left.shape[-2], "columns": right.shape[-1], "depth": left.shape[-1],
        "groups": left.shape[0] if several else 1, "weights": right.numel() if constant else 0,
        "per_image": several and not constant,
    }  # fmt: skip


def _convolution(args: Sequence[Any], output: Tensor) -> dict[str, Any]:
    weight, stride, groups = args[1], args[3], args[8]
    out_channels, in_channels, *kernel = weight.shape
    return {
        "rows": output.shape[0] * math.prod(output.shape[2:]), "columns": out_channels // groups,
        "depth": in_channels * math.prod(kernel), "groups": groups, "kernel_size": max(kernel, default=1),
        "stride": stride[0], "weights": weight.numel(),
    }  # fmt: skip


def _flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [part for each in value for part in _flat(each)]
    return [value]
