"""A network's feature maps, and the pyramid over them (Lin et al., Feature Pyramid Networks, CVPR 2017).

What stands on a map of stride r of an `H x W` picture, anchors and boxes, takes it to have ceil(H / r) x ceil(W / r)
cells. Networks whose convolutions do not pad have fewer: gpunet_2 at 800 x 1333 px gives 198 x 332 at stride 4, where
200 x 334 are meant. Those maps are padded with zeros, alike on both sides, which leaves every cell where it looks;
`Pyramid.padding` says by how much.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.model.entry import Entry

FINEST_STRIDE, COARSEST_STRIDE = 4, 32
_TRIED_PX = (192, 256)


class Pyramid(nn.Module):
    """Feature maps of every stride from 4 to 32 that a network has, all of as many channels, and one more coarser.

    Args:
        network: gives a list of maps `n x c x h x w` (or `n x h x w x c`, where its `output_fmt` is NHWC).
        strides: of these maps, ascending.
        channels: of these maps.
        out_channels: of the pyramid's.
        frozen_batch_norm: the network's BatchNorm keeps its statistics, scales and shifts.

    Attributes:
        out_channels: as torchvision's detectors ask for it.
        all_strides: of the pyramid's maps.

    Raises:
        InvalidArgumentError: (a ValueError) the network does not run on pictures of two sizes, or gives other maps.
    """

    def __init__(
        self, network: nn.Module, strides: list[int], channels: list[int], out_channels: int, *, frozen_batch_norm: bool
    ) -> None:
        super().__init__()
        self.network = network
        self.strides, self.out_channels = strides, out_channels
        self.all_strides = [*strides, 2 * strides[-1]]
        self._channels_last = str(getattr(network, "output_fmt", "NCHW")).endswith("NHWC")
        self._frozen = frozen_batch_norm
        if frozen_batch_norm:
            for module in network.modules():
                if isinstance(module, _BatchNorm):
                    module.requires_grad_(False)
        self._check(channels)
        self.fpn = FeaturePyramidNetwork(channels, out_channels, LastLevelMaxPool())

    def train(self, mode: bool = True) -> Pyramid:
        """As torch's, but for BatchNorm that keeps its statistics."""
        super().train(mode)
        if self._frozen:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """`n x 3 x H x W` -> maps '0', '1', ... and 'pool', the finest first."""
        maps = self.maps(images)
        return self.fpn(OrderedDict((str(level), each) for level, each in enumerate(maps)))

    def maps(self, images: Tensor) -> list[Tensor]:
        """`n x 3 x H x W` -> the network's maps, `n x c x ceil(H / stride) x ceil(W / stride)` each."""
        sides = [int(side) for side in images.shape[-2:]]
        found = []
        for each, stride in zip(self._raw(images), self.strides, strict=True):
            missing = [-(-side // stride) - int(has) for side, has in zip(sides, each.shape[-2:], strict=True)]
            if any(missing):
                (above, below), (left, right) = ((lost // 2, lost - lost // 2) for lost in missing)
                each = functional.pad(each, (left, right, above, below))
            found.append(each)
        return found

    def padding(self, height_px: int, width_px: int) -> dict[int, tuple[tuple[int, int], tuple[int, int]]]:
        """For each stride whose map is padded: the cells (down, across) that the network gives, and those needed."""
        first = next(self.network.parameters())
        was = self.training
        self.eval()
        with torch.inference_mode():
            raw = self._raw(torch.zeros(1, 3, height_px, width_px, device=first.device, dtype=first.dtype))
        self.train(was)
        found = {}
        for each, stride in zip(raw, self.strides, strict=True):
            has, needed = tuple(each.shape[-2:]), (-(-height_px // stride), -(-width_px // stride))
            if has != needed:
                found[stride] = ((has[0], has[1]), needed)
        return found

    def _raw(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = [*self.network(images)]
        return [each.permute(0, 3, 1, 2) for each in maps] if self._channels_last else maps

    def _check(self, channels: list[int]) -> None:
        was = self.network.training
        self.network.eval()
        try:
            with torch.inference_mode():
                found = self._raw(torch.zeros(1, 3, *_TRIED_PX))
                self._raw(torch.zeros(1, 3, *reversed(_TRIED_PX)))
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            first = str(error).strip().partition("\n")[0]
            raise InvalidArgumentError(
                f"the backbone does not run on pictures of any size, as a detector needs it: {first}",
                "Take a convolutional network, such as a GPUNet.",
            ) from error
        finally:
            self.network.train(was)
        if [each.ndim for each in found] != [4] * len(channels) or [each.shape[1] for each in found] != channels:
            shapes = ", ".join(str(tuple(each.shape)) for each in found)
            raise InvalidArgumentError(
                f"the backbone says that its maps have {channels} channels, but they are {shapes}.",
                "Take another network.",
            )


class AveragedMaps(nn.Module):
    """A backbone that gives the averages of all of its maps, so that a runtime can leave none of them out.

    Args:
        pyramid: whose network it is.
    """

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__()
        self.pyramid = pyramid

    def forward(self, images: Tensor) -> Tensor:
        """`n x 3 x H x W` -> `n x the sum of the maps' channels`."""
        return torch.cat([each.mean(dim=(2, 3)) for each in self.pyramid.maps(images)], dim=1)


def padding_in_words(padding: dict[int, tuple[tuple[int, int], tuple[int, int]]]) -> str:
    """What `Pyramid.padding` found, in a sentence; '' for nothing."""
    parts = [
        f"{has[0]}x{has[1]} to {needed[0]}x{needed[1]} (stride {stride})" for stride, (has, needed) in padding.items()
    ]
    return f"the backbone's maps are padded: {', '.join(parts)}" if parts else ""


def levels_of(network: Any, name: str) -> tuple[list[int], list[int], list[int]]:
    """Which of a network's feature levels a pyramid takes: their indices, strides and channels.

    Of every stride from 4 to 32 the last level; networks of one stride give one.

    Raises:
        InvalidArgumentError: (a ValueError) it has none.
    """
    said: Any = getattr(network, "feature_info", None) or ()
    infos: list[dict[str, Any]] = [*getattr(said, "info", said)]
    chosen: dict[int, tuple[int, int]] = {}
    for index, info in enumerate(infos):
        stride = int(info["reduction"])
        if FINEST_STRIDE <= stride <= COARSEST_STRIDE:
            chosen[stride] = index, int(info["num_chs"])
    if not chosen:
        raise InvalidArgumentError(
            f"{name} names no feature maps of strides from {FINEST_STRIDE} to {COARSEST_STRIDE}.",
            "Take a GPUNet, or a network of timm's that features_only=True works for.",
        )
    strides = sorted(chosen)
    return [chosen[each][0] for each in strides], strides, [chosen[each][1] for each in strides]


def averaged_maps(network: nn.Module, entry: Entry) -> AveragedMaps:
    """The backbone that a network is, alone: to measure it without a detector.

    Args:
        network: of the entry, which says what maps it has.
        entry: the zoo's.

    Raises:
        InvalidArgumentError: (a ValueError) it has no feature maps, or not of pictures of any size.
    """
    from gpunet.zoo.models import model_from_entry

    levels, strides, channels = levels_of(network, entry.name)
    body = model_from_entry(entry, pretrained=False, features_only=True, out_indices=levels)
    return AveragedMaps(Pyramid(body, strides, channels, 8, frozen_batch_norm=True)).eval()
