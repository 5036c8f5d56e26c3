"""A detector, its backbone and pyramid, or its backbone alone as one ONNX file, kept only if it finds what torch finds.

Sizes are fixed in the graph. The input `input` is `1 x 3 x H x W` float32: of a whole detector in [0, 1] (the graph
normalises), a picture of another shape in the upper left corner and the means of the channels around it
(`fitted`); of the others normalised. The outputs are `boxes` (`n x 4`, px of the input), `labels` (n, from 1) and
`scores` (n, descending); of the others a map each, `map_4`, `map_8`, ... by their strides.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from gpunet.core.files import atomic_path, check_writable, require, sha256_of
from gpunet.detection.backbone import Pyramid
from gpunet.detection.cascade import LEAST_SCORE, MOST_BOXES
from gpunet.detection.detector import Detector
from gpunet.detection.matching import matched
from gpunet.detection.spec import DetectorSpec
from gpunet.errors import ExportError, InvalidArgumentError, VerificationError
from gpunet.exporters.graph.trace import detached_copy, quiet
from gpunet.exporters.images import shipped_photographs, synthetic_picture
from gpunet.exporters.onnx import check_graph
from gpunet.model.decoding import read_picture

PARTS = ("detector", "pyramid", "backbone")
OPSET = 17
INPUT = "input"
_MOST_RELATIVE = 2e-4  # of a map's largest value, in float32
_LEAST_IOU, _MOST_SCORE = 0.99, 5e-3  # of boxes that are the same
_UNSURE = 0.02  # a box this near to the least score may be in one answer alone


class _Whole(nn.Module):
    """A detector on one picture of a fixed size, without scaling."""

    def __init__(self, detector: Detector, height: int, width: int) -> None:
        super().__init__()
        self._parts: Any = detector
        self.detector, self._size = detector, (height, width)
        self._coarsest = detector.backbone.all_strides[-1]
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(detector.spec, name))[:, None, None])
        self.mean: Tensor
        self.std: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`1 x 3 x H x W` in [0, 1] -> boxes, labels, scores."""
        height, width = self._size
        below, right = -height % self._coarsest, -width % self._coarsest
        padded = nn.functional.pad((images - self.mean) / self.std, (0, right, 0, below))
        maps = self.detector.backbone(padded)
        proposals, _ = self.detector.rpn(ImageList(padded, [self._size]), maps)
        found, _ = self.detector.roi_heads(maps, proposals, [self._size])
        return found[0]["boxes"], found[0]["labels"], found[0]["scores"]


class _Maps(nn.Module):
    """A backbone's maps, padded; with the pyramid over them, or without."""

    def __init__(self, pyramid: Pyramid, *, whole: bool) -> None:
        super().__init__()
        self.pyramid, self._whole = pyramid, whole

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """`1 x 3 x H x W`, normalised -> maps, the finest first."""
        return tuple(self.pyramid(images).values()) if self._whole else tuple(self.pyramid.maps(images))


@dataclass(frozen=True)
class DetectorExport:
    """What `export_detector` wrote.

    Args:
        path: the file.
        part: of `PARTS`.
        input_px: height and width.
        size_bytes, sha256: of the file.
        verified_by: the runtimes that it was compared on, with their versions.
        pictures: that it was compared on.
        boxes: of a whole detector: that were matched.
        worst: the largest difference: of scores; of maps relative to their largest value.
    """

    path: Path
    part: str
    input_px: tuple[int, int]
    size_bytes: int
    sha256: str
    verified_by: tuple[str, ...]
    pictures: int
    boxes: int | None
    worst: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "path": str(self.path), "input_px": list(self.input_px),
                "verified_by": list(self.verified_by)}  # fmt: skip

    def __str__(self) -> str:
        runtimes, height, width = ", ".join(self.verified_by), *self.input_px
        what = f"{self.boxes} boxes match, scores" if self.part == "detector" else "maps agree, values"
        return (
            f"{self.path}: {self.part}, {height} x {width} px, {self.size_bytes / 1e6:.1f} MB\nsha256 {self.sha256}\n"
            f"verified by {runtimes} on {self.pictures} pictures: {what} to {self.worst:.2g}"
        )


def export_detector(
    model: Detector, path: str | Path, *, part: str = "detector", input_px: tuple[int, int] | None = None,
    images: Sequence[Image.Image] | None = None, least_score: float = LEAST_SCORE,
) -> DetectorExport:  # fmt: skip
    """Write a detector, or a part of it, as ONNX; compared with torch on ONNX Runtime, and OpenVINO where it is there.

    Args:
        model: is not touched: a copy in evaluation mode is exported.
        path: where to; ends in .onnx. Until all held, what is there stays as it is.
        part: 'detector'; 'pyramid' for backbone and pyramid; 'backbone' for its maps alone.
        input_px: height and width of the input; None for the detector's own sizes.
        images: pictures to compare on; None for photographs that installed packages ship, else synthetic ones.
        least_score: of a whole detector's boxes that are compared.

    Raises:
        InvalidArgumentError: (a ValueError) an argument breaks its rule.
        ExportError: (a RuntimeError) torch cannot export it, or the file cannot be written.
        VerificationError: (an ExportError) a runtime finds other boxes, or computes other maps; no file is left.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() != ".onnx":
        raise InvalidArgumentError(f"path must end in .onnx, but got {path}.", f"Try {path.with_suffix('.onnx')}.")
    check_writable(path)
    spec = model.spec
    sides = (spec.short_px, spec.long_px) if input_px is None else input_px
    served, names = _served(model, part, sides)
    pictures = [fitted(each, spec, sides)[0] for each in images or _pictures()]
    normalised = part != "detector"
    arrays = [_normalised(each, spec) if normalised else each for each in pictures]
    with atomic_path(path) as written:
        proto = _traced(served, sides, names, _about(spec, part, sides))
        check_graph(proto)
        written.write_bytes(proto.SerializeToString())
        with torch.inference_mode():
            wanted = [tuple(each.numpy() for each in served(torch.from_numpy(array))) for array in arrays]
        compared: list[tuple[int, float]] = []
        verified_by = []
        for title, run in runners(written, names):
            for array, expected in zip(arrays, wanted, strict=True):
                found = run(array)
                compared.append(
                    (0, _same_maps(title, names, expected, found)) if normalised
                    else _same_boxes(title, expected, found, least_score)
                )  # fmt: skip
            verified_by.append(title)
        size, sha256 = written.stat().st_size, sha256_of(written)
    boxes = None if normalised else sum(count for count, _ in compared) // len(verified_by)
    worst = max((difference for _, difference in compared), default=0.0)
    return DetectorExport(path, part, sides, size, sha256, tuple(verified_by), len(arrays), boxes, worst)


def fitted(picture: Image.Image, spec: DetectorSpec, sides: tuple[int, int]) -> tuple[np.ndarray, float]:
    """A picture as an exported detector takes it, `1 x 3 x H x W` float32, and px of the input for a px of it.

    Args:
        picture: in RGB.
        spec: the detector's.
        sides: height and width of the input.
    """
    height, width = sides
    scale = min(height / picture.height, width / picture.width)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    image = np.asarray(picture.resize(size, Image.Resampling.BILINEAR), dtype=np.float32).transpose(2, 0, 1) / 255
    whole = np.empty((1, 3, height, width), np.float32)
    whole[0] = np.array(spec.mean, np.float32)[:, None, None]
    whole[0, :, : image.shape[1], : image.shape[2]] = image
    return whole, scale


def _normalised(images: np.ndarray, spec: DetectorSpec) -> np.ndarray:
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (spec.mean, spec.std))
    return ((images - mean) / std).astype(np.float32)


def _pictures() -> list[Image.Image]:
    shipped = shipped_photographs()
    return [read_picture(each) for each in shipped] if shipped else [synthetic_picture(seed) for seed in range(3)]


def _served(model: Detector, part: str, sides: tuple[int, int]) -> tuple[nn.Module, list[str]]:
    if part not in PARTS:
        raise InvalidArgumentError(f"part must be one of {', '.join(PARTS)}, but got {part!r}.")
    if len(sides) != 2 or any(not isinstance(side, int) or side < 32 for side in sides):
        raise InvalidArgumentError(f"input_px must be (height, width), both of 32 or more, but got {sides!r}.")
    twin = cast(Detector, detached_copy(model))
    if part == "detector":
        return _Whole(twin, *sides).eval(), ["boxes", "labels", "scores"]
    pyramid = twin.backbone
    strides = pyramid.all_strides if part == "pyramid" else pyramid.strides
    return _Maps(pyramid, whole=part == "pyramid").eval(), [f"map_{stride}" for stride in strides]


def _about(spec: DetectorSpec, part: str, sides: tuple[int, int]) -> dict[str, str]:
    return {
        "gpunet.part": part, "gpunet.detector": json.dumps(spec.to_dict()), "gpunet.classes": json.dumps(spec.classes),
        "gpunet.input_px": json.dumps(list(sides)),
    }  # fmt: skip


def _traced(
    served: nn.Module, sides: tuple[int, int], names: Sequence[str], about: Mapping[str, str]
) -> onnx.ModelProto:
    buffer = io.BytesIO()
    image = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(0))
    dynamic = {name: {0: "found"} for name in names} if names[0] == "boxes" else None
    try:
        with quiet(), torch.inference_mode():
            torch.onnx.export(
                served, (image,), cast(Any, buffer), dynamo=False, opset_version=OPSET, input_names=[INPUT],
                output_names=[*names], dynamic_axes=dynamic,
            )  # fmt: skip
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"torch {torch.__version__} cannot export the detector: {type(error).__name__}: {first}",
            "Report it with the name of the backbone.",
        ) from error
    proto = onnx.load_from_string(buffer.getvalue())
    if dynamic is None:  # torch says no sizes of them, though all are fixed
        with torch.inference_mode():
            shapes = [each.shape for each in served(image)]
        for port, shape in zip(proto.graph.output, shapes, strict=True):
            port.CopyFrom(onnx.helper.make_tensor_value_info(port.name, onnx.TensorProto.FLOAT, list(shape)))
    onnx.helper.set_model_props(proto, dict(about))
    proto.producer_name = "gpunet"
    return proto


def runners(path: Path, names: Sequence[str]) -> list[tuple[str, Callable[[np.ndarray], list[np.ndarray]]]]:
    """ONNX Runtime, and OpenVINO where it is installed, in float32 on the processor."""
    import onnxruntime

    from gpunet import runtime as runtimes

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: list[tuple[str, Callable[[np.ndarray], list[np.ndarray]]]] = [
        (f"ONNX Runtime {onnxruntime.__version__}", lambda images: session.run([*names], {INPUT: images}))
    ]
    openvino = runtimes.get("openvino")
    if openvino.unavailable() is None:
        library = require("openvino", "openvino", purpose="to compare with")
        from gpunet.runtime.openvino.runtime import core

        compiled = core().compile_model(
            library.convert_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        )
        found.append((f"OpenVINO {openvino.version()}", lambda images: [*compiled(images).to_tuple()]))
    return found


def _same_maps(title: str, names: Sequence[str], wanted: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    worst = 0.0
    for name, one, other in zip(names, wanted, found, strict=True):
        difference = float(np.abs(one - other).max()) / max(1e-12, float(np.abs(one).max()))
        if one.shape != other.shape or not difference <= _MOST_RELATIVE:
            raise VerificationError(
                f"{title} computes another {name}: of {other.shape}, where torch's is of {one.shape}; values differ by "
                f"{difference:.2g} of the largest, where {_MOST_RELATIVE:g} are allowed.",
                "No file is left.",
            )
        worst = max(worst, difference)
    return worst


def _same_boxes(
    title: str, wanted: Sequence[np.ndarray], found: Sequence[np.ndarray], least_score: float
) -> tuple[int, float]:
    """How many boxes are in both answers, and how far their scores differ.

    A box whose score is near the least that is told, by threshold or by the number of boxes, may be in one alone.
    """
    told = [float(each[2].min()) for each in (wanted, found) if len(each[2]) >= MOST_BOXES]
    least = max([least_score, *told]) + _UNSURE
    pairs, worst, alone = matched(wanted, found, least_iou=_LEAST_IOU, most_score=_MOST_SCORE)
    sure = [score for score in alone if score > least]
    if sure:
        raise VerificationError(
            f"{title} does not find the boxes that torch finds: {len(sure)} of {len(sure) + pairs} are in one answer "
            f"alone, the surest of score {max(sure):.3f}.",
            "No file is left.",
        )
    return pairs, worst
