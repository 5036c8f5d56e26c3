"""Networks to damage: one that is trained, and others of random weights whose classifier is fitted to ten pictures.

What an untrained network puts first is chance, and integers change it on half of the pictures. So of random weights the
BatchNorm statistics are those of pictures, and the classifier, least squares with a penalty, tells ten crops of
photographs apart: each picture is one crop, mixed with up to 45 % of another one. Which class comes first then depends
on all layers, at int8 too.
"""

from __future__ import annotations

import functools
import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from side_by_side import precisions
from torch import nn
from torch.nn import functional

import gpunet
from gpunet.exporters.graph.half import half_from_float
from gpunet.exporters.int8.calibration import CalibrationImages, calibration_images
from gpunet.exporters.int8.quantize import int8_from_float
from gpunet.exporters.int8.ranges import TensorRange
from gpunet.exporters.onnx import image_shape, onnx_from_network

if TYPE_CHECKING:
    from onnx import ModelProto

PRECISIONS = ("fp32", "fp16", "int8")
DIGITS = "digits"
BATCH = 25
SIDE_PX = 64
_CLASSES, _MOST_MIXED, _NOISE, _PENALTY = 10, 0.45, 0.1, 0.1
_FITTED, _CALIBRATED = 400, 64
_OPEN, _LEAST_SPREAD = 0.5, 0.1
_TESTS = Path(__file__).parents[2] / "tests"


@dataclass(frozen=True)
class Healthy:
    """A graph at a precision, and what its tensors held on the calibration's pictures; nothing but at int8."""

    graph: ModelProto
    held: dict[str, TensorRange] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A network to damage.

    Args:
        name: of it.
        float32: its graph, of an open batch.
        calibration: pictures of its domain, which it is verified on too.
        pictures: others, that tell which class comes first: `n x C x H x W`.
    """

    name: str
    float32: ModelProto
    calibration: CalibrationImages
    pictures: np.ndarray

    def healthy(self, precision: str, layout: str) -> Healthy:
        """The sound graph; `layout` is of its integers."""
        if precision == "int8":
            held: dict[str, TensorRange] = {}
            return Healthy(int8_from_float(self.float32, self.calibration, layout=layout, held=held)[0], held)
        return Healthy(half_from_float(self.float32) if precision == "fp16" else self.float32)


@functools.cache
def subject(name: str, pictures: int, input_px: int = SIDE_PX) -> Subject:
    """'digits', which is trained (tests/helpers); or NAME or NAME@PX of the zoo or timm, of random weights."""
    if name == DIGITS:
        return _digits(pictures)
    torch.manual_seed(0)
    known, _, side = name.partition("@")
    side_px = int(side or input_px)
    model = _network(known, side_px)
    _open_branches(model)
    shape = image_shape(model, side_px)
    images, labels = _mixed(np.stack(list(precisions.crops(model, shape, _CLASSES))), _FITTED + pictures)
    precisions.settle(model, images[:_CALIBRATED], _CALIBRATED)
    _fit(model, torch.from_numpy(images[:_FITTED]), torch.from_numpy(labels[:_FITTED]))
    float32 = onnx_from_network(model, batch_size=(1, BATCH, BATCH), input_px=side_px)
    calibration = calibration_images(model, shape, images[:_CALIBRATED])
    return Subject(name, float32, calibration, images[_FITTED:])


def _digits(pictures: int) -> Subject:
    if str(_TESTS) not in sys.path:
        sys.path.append(str(_TESTS))
    network, images, _ = importlib.import_module("helpers.trained_digits").trained()
    float32 = onnx_from_network(network, batch_size=(1, BATCH, BATCH))
    calibration = calibration_images(network, images.shape[1:], images[:128])
    return Subject(DIGITS, float32, calibration, images[128 : 128 + pictures])


def _network(name: str, side_px: int) -> Any:
    if name in gpunet.list_models():
        return gpunet.load(name, pretrained=False, num_classes=_CLASSES)
    import timm

    try:
        return timm.create_model(name, num_classes=_CLASSES, img_size=side_px).eval()  # transformers need to know it
    except TypeError:
        return timm.create_model(name, num_classes=_CLASSES).eval()


def _mixed(originals: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures `count x C x H x W`, each mostly one of the originals; and which."""
    draw = np.random.default_rng(0)
    labels = draw.integers(len(originals), size=count)
    others = (labels + draw.integers(1, len(originals), size=count)) % len(originals)
    part = draw.uniform(0.0, _MOST_MIXED, (count, 1, 1, 1))
    noise = _NOISE * draw.standard_normal((count, *originals.shape[1:]))
    return ((1 - part) * originals[labels] + part * originals[others] + noise).astype(np.float32), labels


def _open_branches(model: nn.Module) -> None:
    """Let residual branches count that start at nothing, by a BatchNorm of 0 or a layer's scale of 1e-6."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.ndim == 1 and name.endswith(("weight", "gamma")) and values.abs().max() < 1e-3:
                values.fill_(_OPEN)


def _fit(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Give the classifiers of a network (some have two) the weights of least squares, in place."""
    layers = [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == _CLASSES]
    seen: dict[nn.Module, torch.Tensor] = {}
    hooks = [layer.register_forward_pre_hook(lambda layer, given: seen.update({layer: given[0]})) for layer in layers]
    with torch.inference_mode():
        model(images)
        wanted = 2 * functional.one_hot(labels, _CLASSES).double() - 1
        for layer, hook in zip(layers, hooks, strict=True):
            hook.remove()
            features = seen[layer].double()
            # What hardly varies is not blown up: half's rounding alone would then decide which class comes first.
            mean, spread = features.mean(0), features.std(0) + _LEAST_SPREAD * features.std()
            normal = (features - mean) / spread
            penalty = _PENALTY * len(normal) * torch.eye(normal.shape[1], dtype=torch.float64)
            weight = torch.linalg.solve(normal.T @ normal + penalty, normal.T @ (wanted - wanted.mean(0)))
            layer.weight.copy_((weight / spread[:, None]).T)
            layer.bias.copy_(wanted.mean(0) - (mean / spread) @ weight)
