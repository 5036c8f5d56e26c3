"""The layers of a GPUNet stage, built of timm.layers: Conv, Fused-IRB and IRB (paper, Table 1).

Input and output of every block are `N x C x H x W`. Strides 1 and 2; padding is symmetric.
"""

from __future__ import annotations

from timm.layers import BatchNormAct2d, SqueezeExcite, get_act_layer
from torch import Tensor, nn

from gpunet.model.shapes import LayerShape


def conv(
    c_in: int, c_out: int, kernel_size: int = 1, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias, as every one of these networks is followed by BatchNorm or has none."""
    return nn.Conv2d(c_in, c_out, kernel_size, stride=stride, padding=padding, groups=groups, bias=False)


def norm_act(channels: int, eps: float, activation: str = "") -> BatchNormAct2d:
    """BatchNorm over `channels`, followed by the activation; '' for none."""
    if not activation:
        return BatchNormAct2d(channels, eps=eps, apply_act=False)
    return BatchNormAct2d(channels, eps=eps, act_layer=get_act_layer(activation), inplace=True)


def squeeze_excitation(shape: LayerShape) -> SqueezeExcite | nn.Identity:
    """Squeeze-excitation on the hidden width; its inner activation is the block's, its gate a sigmoid."""
    if not shape.reduced_channels:
        return nn.Identity()
    return SqueezeExcite(
        shape.hidden_channels, rd_channels=shape.reduced_channels, act_layer=get_act_layer(shape.activation)
    )


class ConvLayer(nn.Module):
    """`conv` stage: convolution, BatchNorm, activation; never residual: the released weights were trained so."""

    def __init__(self, shape: LayerShape, eps: float) -> None:
        super().__init__()
        self.conv = conv(
            shape.in_channels, shape.out_channels, shape.kernel_size, stride=shape.stride, padding=shape.padding
        )
        self.bn1 = norm_act(shape.out_channels, eps, shape.activation)

    def forward(self, x: Tensor) -> Tensor:
        """`N x C x H x W` in and out."""
        return self.bn1(self.conv(x))


class _Residual(nn.Module):
    """Adds the input where stride is 1 and channels agree; `drop_path` may drop the branch in training."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.residual = shape.residual
        self.drop_path: nn.Module = nn.Identity()

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """`N x C x H x W` in and out."""
        return x + self.drop_path(self.branch(x)) if self.residual else self.branch(x)


class FusedInvertedResidual(_Residual):
    """`fused_irb` stage (Fused-IRB): k x k convolution to the hidden width, [SE,] 1x1 projection."""

    def __init__(self, shape: LayerShape, eps: float) -> None:
        super().__init__(shape)
        hidden = shape.hidden_channels
        self.conv_exp = conv(shape.in_channels, hidden, shape.kernel_size, stride=shape.stride, padding=shape.padding)
        self.bn1 = norm_act(hidden, eps, shape.activation)
        self.se = squeeze_excitation(shape)
        self.conv_pwl = conv(hidden, shape.out_channels)
        self.bn2 = norm_act(shape.out_channels, eps)

    def branch(self, x: Tensor) -> Tensor:
        """The block without its residual."""
        return self.bn2(self.conv_pwl(self.se(self.bn1(self.conv_exp(x)))))


class InvertedResidual(_Residual):
    """`irb` stage (IRB): 1x1 expansion (kept at expansion 1), depthwise k x k, [SE,] 1x1 projection."""

    def __init__(self, shape: LayerShape, eps: float) -> None:
        super().__init__(shape)
        hidden = shape.hidden_channels
        self.conv_pw = conv(shape.in_channels, hidden)
        self.bn1 = norm_act(hidden, eps, shape.activation)
        self.conv_dw = conv(
            hidden, hidden, shape.kernel_size, stride=shape.stride, padding=shape.padding, groups=hidden
        )
        self.bn2 = norm_act(hidden, eps, shape.activation)
        self.se = squeeze_excitation(shape)
        self.conv_pwl = conv(hidden, shape.out_channels)
        self.bn3 = norm_act(shape.out_channels, eps)

    def branch(self, x: Tensor) -> Tensor:
        """The block without its residual."""
        x = self.bn1(self.conv_pw(x))
        x = self.bn2(self.conv_dw(x))
        return self.bn3(self.conv_pwl(self.se(x)))


BLOCKS: dict[str, type[nn.Module]] = {
    "conv": ConvLayer,
    "fused_irb": FusedInvertedResidual,
    "irb": InvertedResidual,
}
