"""The parts of a NetworkSpec: stem, stages and head, each a frozen dataclass that checks itself."""

from __future__ import annotations

from dataclasses import dataclass

from gpunet.core.fields import check_flag, check_number, check_one_of
from gpunet.errors import SpecError

STAGE_TYPES = ("conv", "fused_irb", "irb")
ACTIVATIONS = ("relu", "swish")
DROP_PATHS_OVER = ("layers", "items")  # see GPUNet.set_drop_rates
INITIALIZATIONS = ("timm", "torch")  # see GPUNet.initialize


def fault(path: str, problem: str, hint: str = "") -> SpecError:
    """The error for what is wrong at a path of a spec."""
    return SpecError(f"{path}: {problem}", hint)


def _kernel_size(path: str, value: object) -> None:
    check_number(path, value, 1, 31, whole=True, rule="kernels are odd, from 1 to 31")
    if isinstance(value, int) and value % 2 == 0:
        raise fault(path, f"{value} is even; kernels are odd")


_FILTERS = "channels are integers from 1 to 65536"


@dataclass(frozen=True)
class StemSpec:
    """The first convolution: `kernel_size` square, stride 2, padding `kernel_size // 2`.

    Args:
        filters: output channels.
        kernel_size: odd.
        activation: 'relu' or 'swish'.
    """

    filters: int
    kernel_size: int = 3
    activation: str = "relu"

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_number(f"{path}.filters", self.filters, 1, 65536, whole=True, rule=_FILTERS)
        _kernel_size(f"{path}.kernel_size", self.kernel_size)
        check_one_of(f"{path}.activation", self.activation, ACTIVATIONS)


@dataclass(frozen=True)
class StageSpec:
    """A run of `layers` layers that share one configuration (paper, Table 1).

    Args:
        type: 'conv', 'fused_irb' or 'irb'.
        filters: output channels of every layer.
        layers: how many; 0 only for an 'irb' stage of stride 1, where the search space allows it.
        kernel_size: odd; of the convolution, the expanding convolution or the depthwise one.
        stride: 1 or 2, of the first layer.
        expansion: hidden width over input channels (not for 'conv').
        activation: 'relu' or 'swish'.
        squeeze_excitation: after the spatial convolution (not for 'conv').
        pad_strided: whether the expanding convolution of a stride-2 'fused_irb' pads by
            `kernel_size // 2`. The released networks do not; new ones should. True for every
            layer that is not a stride-2 Fused-IRB.
    """

    type: str
    filters: int
    layers: int = 1
    kernel_size: int = 3
    stride: int = 1
    expansion: float = 1
    activation: str = "relu"
    squeeze_excitation: bool = False
    pad_strided: bool = True

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_one_of(f"{path}.type", self.type, STAGE_TYPES)
        check_number(f"{path}.filters", self.filters, 1, 65536, whole=True, rule=_FILTERS)
        check_number(f"{path}.layers", self.layers, 0, 1000, whole=True, rule="a stage has 0 to 1000 layers")
        _kernel_size(f"{path}.kernel_size", self.kernel_size)
        check_number(f"{path}.stride", self.stride, 1, 2, whole=True, rule="strides are 1 or 2")
        check_number(f"{path}.expansion", self.expansion, 0, 64, above=True, rule="expansions are above 0, at most 64")
        check_one_of(f"{path}.activation", self.activation, ACTIVATIONS)
        check_flag(f"{path}.squeeze_excitation", self.squeeze_excitation)
        check_flag(f"{path}.pad_strided", self.pad_strided)
        if self.layers == 0 and (self.type != "irb" or self.stride != 1):
            raise fault(
                f"{path}.layers", "0 is allowed only for an irb stage of stride 1", "Leave the stage out instead."
            )
        if self.type == "conv" and (self.expansion != 1 or self.squeeze_excitation):
            field = "expansion" if self.expansion != 1 else "squeeze_excitation"
            raise fault(
                f"{path}.{field}", "a conv stage has neither expansion nor squeeze-excitation", f"Remove {field}."
            )
        if not self.pad_strided and (self.type != "fused_irb" or self.stride != 2):
            raise fault(
                f"{path}.pad_strided",
                "only a fused_irb stage of stride 2 can go without padding",
                "Remove pad_strided.",
            )

    def layer_stride(self, index: int) -> int:
        """Stride of the stage's layer `index`: the stage's own for the first, then 1."""
        return self.stride if index == 0 else 1


@dataclass(frozen=True)
class HeadSpec:
    """1x1 convolution + BatchNorm + ReLU, global pooling, [1x1 convolution + ReLU,] dropout, linear.

    Args:
        filters: width of the convolution before pooling.
        hidden_features: width of the 1x1 convolution after pooling (the distilled family has one,
            without BatchNorm or bias); None for none.
    """

    filters: int
    hidden_features: int | None = None

    def check(self, path: str) -> None:
        """Raise SpecError, naming `path`, where a value breaks its rule."""
        check_number(f"{path}.filters", self.filters, 1, 65536, whole=True, rule=_FILTERS)
        if self.hidden_features is not None:
            check_number(f"{path}.hidden_features", self.hidden_features, 1, 65536, whole=True, rule=_FILTERS)


def hidden_channels(in_channels: int, expansion: float, divisor: int) -> int:
    """Hidden width of a layer: `in_channels * expansion`, rounded as `NetworkSpec.hidden_divisor` says."""
    width = in_channels * expansion
    if divisor == 1:
        return max(1, int(width))
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded
