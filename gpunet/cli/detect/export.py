"""`gpunet detect export`: a detector, or the part of it that computes, as the file that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import complete_model, opt
from gpunet.core import console
from gpunet.core.hub import working_offline
from gpunet.errors import InvalidArgumentError

if TYPE_CHECKING:
    from gpunet.detection.detector import Detector

_WHAT = (
    "the folder of a run of 'gpunet detect train'; or a network's name, for --part backbone, or pyramid, which is "
    "untrained then"
)
_PART = "detector (the default), pyramid (backbone and pyramid), or backbone (its maps alone)"


@command(
    "export", said_as={"path": "--out", "input_px": "--input", "part": "--part", "precision": "--precision"},
    examples=["gpunet detect export gpunet_2_coco -o gpunet_2_coco.onnx",
              "gpunet detect export gpunet_2 --part pyramid --input 3x800x1333 --trt-rtx -p fp16 -o pyramid.engine"],
)  # fmt: skip
def export(
    detector: Annotated[str, typer.Argument(metavar="RUN|NETWORK", help=_WHAT, autocompletion=complete_model)],
    out: Annotated[Path | None, opt("--out", "-o", metavar="FILE", help="the file to write")] = None,
    part: Annotated[Literal["detector", "pyramid", "backbone"], opt("--part", help=_PART)] = "detector",
    input_size: options.Input = None,
    trt_rtx: Annotated[
        bool, opt("--trt-rtx", help="a TensorRT-RTX engine of a backbone or pyramid, beside its ONNX file")
    ] = False,
    precision: Annotated[
        Literal["fp32", "fp16"], opt("--precision", "-p", help="of an engine (default: fp32)")
    ] = "fp32",
    no_pretrained: options.NoPretrained = False,
    weights: options.Weights = None,
    timeout_s: options.Timeout = None,
    offline: options.Offline = False,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Export a detector to one ONNX file, of a fixed input size, proved on pictures.

    On ONNX Runtime, and on OpenVINO where it is installed, the file must find the boxes that torch finds, or compute
    its maps. An engine is built from that file and its layers are inspected; it is not run.
    """
    from gpunet.detection.engine import export_engine
    from gpunet.detection.export import export_detector

    if out is None:
        raise InvalidArgumentError("--out is missing: which file is to be written?", "-o detector.onnx")
    if trt_rtx and part == "detector":
        raise InvalidArgumentError(
            "a whole detector is no TensorRT-RTX engine: its outputs are of no fixed size.", "--part pyramid"
        )
    if precision != "fp32" and not trt_rtx:
        raise InvalidArgumentError(f"--precision {precision} is of an engine.", "Add --trt-rtx, or leave it out.")
    sides = options.input_sides(input_size)
    how: dict[str, Any] = {"weights": weights} if weights is not None else {}
    how |= {} if timeout_s is None else {"timeout_s": timeout_s}
    with working_offline(offline):
        model = _detector(detector, part, pretrained=not no_pretrained, zoo=zoo, **how)
    file = out.with_suffix(".onnx") if trt_rtx else out
    report = export_detector(model, file, part=part, input_px=sides)
    engine = export_engine(file, out, precision=precision) if trt_rtx else None
    if as_json:
        console.print_json({**report.to_dict(), "engine": None if engine is None else engine.to_dict()})
        return
    print(report)
    if engine is not None:
        print(engine)


def _detector(name: str, part: str, *, pretrained: bool, **how: Any) -> Detector:
    from gpunet.detection.detector import cascade_rcnn
    from gpunet.detection.training import DETECTOR, load_detector

    if (Path(name) / DETECTOR).is_file() or (part == "detector" and Path(name).is_dir()):
        return load_detector(name)
    if part == "detector":
        raise InvalidArgumentError(
            f"{name} is no folder of a detector.",
            "Train one: gpunet detect train; or export a backbone: --part backbone.",
        )
    if part == "pyramid":
        console.note(f"The pyramid over {name} is untrained: right for measuring latency, not for use.")
    return cascade_rcnn(name, ("object",), pretrained, **how).eval()
