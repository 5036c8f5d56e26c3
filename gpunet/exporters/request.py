"""What can be asked of `deploy`, checked before there is a network: formats, precisions, layouts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.core.arguments import checked_choice
from gpunet.core.files import require
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.int8.qdq_plan import layout_named
from gpunet.exporters.tensorrt import check_engine_export, check_writable
from gpunet.exporters.verify import TOLERANCES
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.trt.options import BuildOptions

if TYPE_CHECKING:
    from gpunet.exporters.int8.calibration import Calibration

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".engine", "tensorrt_rtx": ".engine"}
ENGINES = ("tensorrt", "tensorrt_rtx")
# How 8-bit integers are laid out. An ONNX file may go anywhere: it can be asked for another layout.
_LAYOUTS = {"onnx": "tensorrt", "tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt", "openvino": "openvino"}


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that can be met, as far as it can be known without the network.

    Args:
        path: of the file.
        target: its format.
        precision: 'fp32', 'fp16' or 'int8'.
        batch: the batch sizes it takes.
        io_fp16: half at input and output too.
        layout: of 8-bit integers, by the runtime they are for; of no effect at other precisions.
        options: how an engine is built, with the precision and the batch above.
    """

    path: Path
    target: str
    precision: str
    batch: BatchProfile
    io_fp16: bool
    layout: str
    options: BuildOptions


def check_request(
    path: str | Path,
    *,
    target: str = "onnx",
    precision: str = "fp32",
    batch_size: int | tuple[int, int, int] = 1,
    io_fp16: bool = False,
    calibration: Calibration | None = None,
    int8_layout: str | None = None,
    leave_out: Sequence[str] = (),
    options: BuildOptions | None = None,
    cache: bool = False,
) -> Request:
    """Everything about a request that can be known before there is a network: see `deploy`, for its errors too."""
    path = Path(path).expanduser()
    checked_choice("target", target, FORMATS)
    checked_choice("precision", precision, TOLERANCES)
    _check_suffix(path, target)
    if io_fp16 and (precision != "fp16" or target == "openvino"):
        raise InvalidArgumentError(
            f"io_fp16 goes with precision 'fp16' for ONNX and engines, but got {precision!r} for {target}.",
            "Leave io_fp16 out.",
        )
    if (precision == "int8") != (calibration is not None):
        given = "is not given" if calibration is None else f"is given for {precision}"
        raise InvalidArgumentError(
            f"calibration goes with int8 and int8 with calibration, but it {given}.",
            "A folder with a hundred pictures like those that the network will see does, or one of timm's datasets.",
        )
    layout = _checked_layout(int8_layout, target, precision)
    if leave_out and precision != "int8":
        raise InvalidArgumentError(
            f"leave_out goes with int8, but got {', '.join(leave_out)} for {precision}.", "Leave it out."
        )
    if target not in ENGINES and (cache or options not in (None, BuildOptions())):
        given = "cache is" if cache else "build options are"
        raise InvalidArgumentError(
            f"{given} for engines, but target is {target!r}.", "Leave that out, or build an engine: --trt or --trt-rtx."
        )
    batch = BatchProfile.parse(batch_size)
    options = dataclasses.replace(options or BuildOptions(), precision=precision, batch=batch.sizes)
    if target in ENGINES:
        check_engine_export(target, path, options)
    elif target == "openvino":
        require("openvino", "openvino", purpose="to write OpenVINO IR")
    check_writable(path)
    return Request(path, target, precision, batch, io_fp16, layout, options)


def _check_suffix(path: Path, target: str) -> None:
    suffix, found = FORMATS[target], path.suffix.lower()
    if target in ENGINES:
        if found in (".onnx", ".xml", ".json"):
            raise InvalidArgumentError(
                f"an engine is no {found} file, but got {path}.", f"Try {path.with_suffix(suffix)}."
            )
    elif found != suffix:
        option = {".xml": "--openvino", ".engine": "--trt or --trt-rtx", ".plan": "--trt or --trt-rtx"}.get(found)
        wanted = "" if option is None else f" {found} goes with {option}."
        raise InvalidArgumentError(
            f"path must end in {suffix}, but got {path}.", f"Try {path.with_suffix(suffix)}.{wanted}"
        )


def _checked_layout(asked: str | None, target: str, precision: str) -> str:
    if asked is None:
        return _LAYOUTS[target]
    if precision != "int8":
        raise InvalidArgumentError(f"int8_layout goes with int8, but got {asked!r} for {precision}.", "Leave it out.")
    layout = layout_named(asked).name
    if target != "onnx" and layout != _LAYOUTS[target]:
        raise InvalidArgumentError(
            f"int8_layout is {_LAYOUTS[target]!r} for {target}, but got {asked!r}.", "It can be chosen for ONNX alone."
        )
    return layout
