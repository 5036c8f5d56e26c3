"""NVIDIA's released checkpoints: their tensor names, turned into this project's.

Source: the state dicts of NVIDIA DeepLearningExamples, GPUNet (2022 release). Their names count layers through the
whole network, from 3 on:

    plain family       'network.head: 2.net.<i>'   'network.stage: <s> layer<n>.<part>'   'network. layer<n>.net.<i>'
    distilled family   'network.head:.net.<i>'     'network.stage: <s> irb<n>.body.<i>'   'network.tail:.net.<i>'

where <i> is a place in an nn.Sequential of convolution, BatchNorm, activation, ... The stage's number <s> says nothing
that the layer's does not. In the distilled family convolutions after the stem stand in the head's Sequential.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from gpunet.errors import CheckpointError
from gpunet.model.network import GPUNet
from gpunet.model.spec import NetworkSpec
from gpunet.zoo.weights.checkpoint import read_checkpoint

__all__ = ["convert_state_dict", "expected_shapes", "faults", "is_nvidia", "read_checkpoint"]

_FIRST_LAYER = 3
_STEM = {0: "conv_stem", 1: "bn1"}
_BODY = {0: "conv_pw", 1: "bn1", 3: "conv_dw", 4: "bn2", 6: "conv_pwl", 7: "bn3"}
_PLAIN_TAIL = {0: "conv_head", 1: "bn2", 6: "classifier"}
_DISTILLED_TAIL = {0: "conv_head", 1: "bn2", 4: "conv_hidden", 8: "classifier"}
_SQUEEZE_EXCITATION = {"se.conv_reduce": "se.fc1", "se.conv_expand": "se.fc2"}

_NAME = re.compile(
    r"network\.(?:"
    r"head: ?2?\.net\.(?P<head>\d+)"
    r"|stage: \d+ layer(?P<layer>\d+)\.(?P<part>[a-z0-9_]+(?:\.conv_[a-z]+)?)"
    r"|stage: \d+ irb(?P<irb>\d+)\.body\.(?P<body>\d+)"
    r"| layer(?P<last>\d+)\.net\.(?P<plain_tail>\d+)"
    r"|tail:\.net\.(?P<distilled_tail>\d+)"
    r")\.(?P<leaf>weight|bias|running_mean|running_var|num_batches_tracked)"
)


def is_nvidia(names: Iterable[str]) -> bool:
    """Whether tensor names are those of NVIDIA's checkpoints."""
    return any(name.startswith("network.") for name in names)


def expected_shapes(spec: NetworkSpec, *, num_classes: int = 1000, in_chans: int = 3) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state dict of a GPUNet of this spec, in network order; no memory is taken for it."""
    with torch.device("meta"):
        network = GPUNet(spec, num_classes=num_classes, in_chans=in_chans)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def convert_state_dict(state_dict: Mapping[str, Tensor], spec: NetworkSpec) -> dict[str, Tensor]:
    """NVIDIA's state dict under this project's names, in network order, float32 (counters int64), contiguous.

    Every tensor of the spec's network must be there with its shape, and no other. The number of classes and of input
    channels is the file's own: a network fine-tuned with NVIDIA's code converts too.

    Args:
        state_dict: names as NVIDIA's, without 'module.'; see read_checkpoint.
        spec: the network that it is of.

    Raises:
        CheckpointError: naming the tensors that are missing, unexpected or of another shape.
    """
    layers = [f"blocks.{number}.{index}" for number, stage in enumerate(spec.stages) for index in range(stage.layers)]
    stem_layers = 0
    if spec.head.hidden_features is not None:
        for stage in spec.stages:
            if stage.type != "conv":
                break
            stem_layers += stage.layers
    converted: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in state_dict.items():
        new = _translate(name, layers, stem_layers)
        if new is None or new in converted:
            unknown.append(name)
        else:
            converted[new] = tensor
    classifier, stem = converted.get("classifier.weight"), converted.get("conv_stem.weight")
    shapes = expected_shapes(
        spec,
        num_classes=classifier.shape[0]
        if classifier is not None and classifier.ndim == 2 and len(classifier)
        else 1000,
        in_chans=stem.shape[1] if stem is not None and stem.ndim == 4 and stem.shape[1] else 3,
    )
    wrong = faults({name: tuple(tensor.shape) for name, tensor in converted.items()}, shapes, unknown)
    if wrong:
        raise CheckpointError(
            f"the checkpoint is not of this network: {wrong}.", "Is it the checkpoint of another model of the family?"
        )
    return {
        name: converted[name].to(torch.int64 if name.endswith("num_batches_tracked") else torch.float32).contiguous()
        for name in shapes
    }


def faults(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], unexpected: Iterable[str] = ()
) -> str:
    """What keeps names and shapes `found` from being `expected`, in words; '' where they are equal.

    Args:
        found: shapes by name.
        expected: likewise.
        unexpected: further names that have no place in the network.
    """
    missing = [name for name in expected if name not in found]
    extra = [*unexpected, *(name for name in found if name not in expected)]
    wrong = [
        f"{name} is {_size(found[name])}, not {_size(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    said = [_listed("missing", missing), _listed("unexpected", extra), _listed("of another shape", wrong)]
    return "; ".join(part for part in said if part)


def _translate(name: str, layers: list[str], stem_layers: int) -> str | None:
    """Our name of NVIDIA's tensor `name`; None where it has no place in the network."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    place = _place({key: value for key, value in match.groupdict().items() if value is not None}, layers, stem_layers)
    return None if place is None else f"{place}.{match['leaf']}"


def _place(found: dict[str, str], layers: list[str], stem_layers: int) -> str | None:
    if "head" in found:
        layer, position = divmod(int(found["head"]), 3)
        if layer == 0:
            return _STEM.get(position)
        part = {0: "conv", 1: "bn1"}.get(position)
        return None if part is None or layer > stem_layers else f"{layers[layer - 1]}.{part}"
    if "plain_tail" in found:
        return _PLAIN_TAIL.get(int(found["plain_tail"])) if int(found["last"]) == len(layers) + _FIRST_LAYER else None
    if "distilled_tail" in found:
        return _DISTILLED_TAIL.get(int(found["distilled_tail"]))
    if "irb" in found:
        number, part = int(found["irb"]) - _FIRST_LAYER + stem_layers, _BODY.get(int(found["body"]))
    else:
        number = int(found["layer"]) - _FIRST_LAYER
        part = _SQUEEZE_EXCITATION.get(found["part"], found["part"])
    return f"{layers[number]}.{part}" if part is not None and 0 <= number < len(layers) else None


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"


def _listed(what: str, names: list[str], limit: int = 6) -> str:
    if not names:
        return ""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{len(names)} {what} ({', '.join(names[:limit])}{rest})"
