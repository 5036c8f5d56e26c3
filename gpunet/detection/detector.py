"""Detectors on any backbone of the zoo: torchvision's parts (pyramid, proposals, heads), put together here.

`cascade_rcnn` is the detector of the paper's section 4.3; `faster_rcnn` is the same with one plain head, to compare.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from gpunet.core.arguments import checked_integer
from gpunet.detection.backbone import Pyramid, levels_of
from gpunet.detection.cascade import LEAST_SCORE, MOST_BOXES, PyramidRoIAlign, cascade_heads
from gpunet.detection.spec import DetectorSpec
from gpunet.errors import GpunetError, InvalidArgumentError
from gpunet.model.network import GPUNet
from gpunet.model.preprocessing import image_config
from gpunet.zoo.models import gpunet_from_spec
from gpunet.zoo.named import network_named

_ASPECTS = (0.5, 1.0, 2.0)
_OPTIONS = ("short_px", "long_px", "frozen_batch_norm", "pyramid_channels", "head_features", "anchor_strides",
            "proposals", "sampled_boxes")  # fmt: skip


class Detector(GeneralizedRCNN):  # type: ignore[misc]  # torchvision has no types
    """A detector; called as torchvision's.

    While training, `model(images, targets)` gives a dict of losses; else `model(images)` gives for each picture `boxes`
    (`n x 4`: left, top, right, bottom, in px of the picture given), `labels` (n, from 1) and `scores` (n, descending).
    `images` is a list of `3 x H x W` float tensors in [0, 1], of any sizes; `targets` a list of dicts with `boxes`
    (`n x 4`) and `labels` (n, int64, from 1), where n may be 0.

    Args:
        spec: what it is.
        pyramid: backbone and pyramid.
    """

    def __init__(self, spec: DetectorSpec, pyramid: Pyramid) -> None:
        strides, channels = pyramid.all_strides, pyramid.out_channels
        anchors = AnchorGenerator(
            sizes=tuple((round(spec.anchor_strides * stride),) for stride in strides),
            aspect_ratios=(_ASPECTS,) * len(strides),
        )
        kept = {"training": 2 * spec.proposals, "testing": spec.proposals}
        proposals = RegionProposalNetwork(
            anchors, RPNHead(channels, anchors.num_anchors_per_location()[0]), fg_iou_thresh=0.7, bg_iou_thresh=0.3,
            batch_size_per_image=256, positive_fraction=0.5, pre_nms_top_n=kept, post_nms_top_n=kept, nms_thresh=0.7,
        )  # fmt: skip
        maps, finest, classes = len(pyramid.strides), pyramid.strides[0], len(spec.classes)
        make = cascade_heads if spec.kind == "cascade" else _plain_heads
        heads = make(
            PyramidRoIAlign(maps, finest), channels, spec.head_features, classes, sampled_boxes=spec.sampled_boxes
        )
        # Sides that the coarsest stride divides: torchvision's anchors would stand beside their cells else.
        transform = GeneralizedRCNNTransform(
            spec.short_px, spec.long_px, list(spec.mean), list(spec.std), size_divisible=strides[-1]
        )
        super().__init__(pyramid, proposals, heads, transform)
        self.spec, self.num_classes = spec, classes

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes: label k is `classes[k - 1]`."""
        return self.spec.classes


def cascade_rcnn(
    backbone: str | Path = "gpunet_2",
    classes: Sequence[str] | int = (),
    pretrained_backbone: bool = True,
    **options: Any,
) -> Detector:
    """Cascade R-CNN on a backbone, in training mode; its heads are untrained.

    Args:
        backbone: a GPUNet (a name, the folder of an entry or of a run, a spec's JSON file), or any network of timm's
            that features_only=True works for, on pictures of any size.
        classes: their names; or how many there are, which are called class_1, class_2, ... then.
        pretrained_backbone: begin with its trained weights; its BatchNorm then keeps its statistics.
        options: `short_px`, `long_px`, `frozen_batch_norm`, `pyramid_channels`, `head_features`, `anchor_strides`,
            `proposals`, `sampled_boxes` (see `DetectorSpec`); `zoo` (folders of one's own entries), `weights` (a file,
            for the backbone), `timeout_s`.

    Raises:
        SpecError: (a ValueError) a size or the classes break a rule.
        InvalidArgumentError: (a ValueError) the network has no feature maps that a pyramid can stand on.
        UnknownModelError: (a LookupError) there is no such network.
        WeightsError: (a RuntimeError) its weights cannot be had.
    """
    return _made("cascade", backbone, classes, pretrained_backbone, options)


def faster_rcnn(
    backbone: str | Path = "gpunet_2",
    classes: Sequence[str] | int = (),
    pretrained_backbone: bool = True,
    **options: Any,
) -> Detector:
    """Faster R-CNN (Ren et al., 2015) on a backbone: as `cascade_rcnn`, with torchvision's one head."""
    return _made("faster", backbone, classes, pretrained_backbone, options)


def detector_from_spec(spec: DetectorSpec) -> Detector:
    """The detector that a spec describes, untrained, in training mode.

    Raises:
        InvalidArgumentError: (a ValueError) the backbone cannot be one.
        UnknownModelError: (a LookupError) there is no such backbone.
    """
    make: Callable[..., nn.Module]
    if isinstance(spec.backbone, str):
        make = functools.partial(_network, spec.backbone)
    else:
        make = functools.partial(gpunet_from_spec, spec.backbone)
    return _detector(spec, make(), make)


def _made(
    kind: str, backbone: str | Path, classes: Sequence[str] | int, pretrained: bool, options: dict[str, Any]
) -> Detector:
    found = {name: options.pop(name) for name in ("zoo", "weights", "timeout_s") if name in options}
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InvalidArgumentError(
            f"unknown argument {unknown[0]!r}.", f"A detector takes {', '.join(_OPTIONS)}; zoo, weights, timeout_s."
        )
    trained = pretrained or found.get("weights") is not None
    options.setdefault("frozen_batch_norm", trained)
    if isinstance(classes, int):
        classes = [f"class_{number}" for number in range(1, checked_integer("classes", classes, 1) + 1)]
    spec = DetectorSpec("-", tuple(classes), kind, **options)  # before weights are fetched
    whole = _network(str(backbone), **{name: each for name, each in found.items() if name == "zoo"})
    config = image_config(whole)
    if config["input_size"][0] != 3:
        raise InvalidArgumentError(
            f"{backbone} takes images of {config['input_size'][0]} channels, but pictures have 3.",
            "Take a network of 3 channels.",
        )
    own = whole.spec.to_dict() if isinstance(whole, GPUNet) else str(backbone)
    called = Path(backbone).name.removesuffix(".json")
    spec = DetectorSpec(
        own, spec.classes, kind, mean=config["mean"], std=config["std"], backbone_name=called, **options
    )
    return _detector(spec, whole, functools.partial(_network, str(backbone), pretrained=trained, **found))


def _network(name: str, **how: Any) -> nn.Module:
    return network_named(name, timm_too=True, **{"pretrained": False, **how})


def _detector(spec: DetectorSpec, whole: nn.Module, make: Callable[..., nn.Module]) -> Detector:
    levels, strides, channels = levels_of(whole, spec.backbone_name)
    try:
        body = make(features_only=True, out_indices=levels)
    except (AttributeError, RuntimeError, TypeError) as error:
        if isinstance(error, GpunetError):
            raise
        raise InvalidArgumentError(
            f"{spec.backbone_name} gives no feature maps: {type(error).__name__}: {error}",
            "Take a GPUNet, or a network of timm's that features_only=True works for.",
        ) from error
    pyramid = Pyramid(body, strides, channels, spec.pyramid_channels, frozen_batch_norm=spec.frozen_batch_norm)
    return Detector(spec, pyramid).train()


def _plain_heads(
    pool: PyramidRoIAlign, channels: int, head_features: int, classes: int, *, sampled_boxes: int
) -> RoIHeads:
    """The heads of torchvision's Faster R-CNN, with its figures; see `cascade_heads` for the arguments."""
    return RoIHeads(
        pool, TwoMLPHead(channels * pool.output_size[0] ** 2, head_features),
        FastRCNNPredictor(head_features, classes + 1), fg_iou_thresh=0.5, bg_iou_thresh=0.5,
        batch_size_per_image=sampled_boxes, positive_fraction=0.25, bbox_reg_weights=None, score_thresh=LEAST_SCORE,
        nms_thresh=0.5, detections_per_img=MOST_BOXES,
    )  # fmt: skip
