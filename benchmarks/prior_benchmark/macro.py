"""The networks of NAS-Bench-Macro (Su et al., "Prioritized Architecture Sampling with Monte-Carlo Tree Search", 2021).

A stem, eight layers of three kinds, a head; CIFAR-10. The widths are those by which all parameters come out as
published.
"""

from __future__ import annotations

from torch import Tensor, nn

STEM, HEAD, CLASSES, PX = 32, 1280, 10, 32
LAYERS = ((64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))  # channels and stride
KINDS = {"1": (3, 3), "2": (6, 5)}  # expansion and kernel size; '0' is no block


def macro_network(code: str) -> nn.Sequential:
    """The network of a code such as '02012100', untrained."""
    layers: list[nn.Module] = [*_conv(3, STEM, 3), nn.ReLU6()]
    inputs = STEM
    for kind, (outputs, stride) in zip(code, LAYERS, strict=True):
        if kind in KINDS:
            layers.append(_Block(inputs, outputs, stride, *KINDS[kind]))
        elif inputs != outputs:
            layers += _conv(inputs, outputs, 1, stride)
        inputs = outputs
    layers += [*_conv(inputs, HEAD, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(HEAD, CLASSES)]
    return nn.Sequential(*layers)


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]


class _Block(nn.Module):
    """An inverted residual block."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, size: int) -> None:
        super().__init__()
        hidden = expansion * inputs
        self.body = nn.Sequential(
            *_conv(inputs, hidden, 1), nn.ReLU6(), *_conv(hidden, hidden, size, stride, hidden), nn.ReLU6(),
            *_conv(hidden, outputs, 1),
        )  # fmt: skip
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.residual else out
