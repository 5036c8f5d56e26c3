"""What can be asked of `deploy`, checked before there is a network: formats, precisions, layouts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_choice
from gpunet.core.files import check_writable
from gpunet.errors import InvalidArgumentError
from gpunet.exporters.verify import TOLERANCES
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.formats import Format
from gpunet.runtime.trt.options import BuildOptions

if TYPE_CHECKING:
    from gpunet.exporters.int8.calibration import Calibration


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that can be met, as far as it can be known without the network.

    Args:
        path: of the file.
        target: its format, by name.
        runtime: that runs it; for ONNX, ONNX Runtime.
        format: what writes it.
        precision: 'fp32', 'fp16', 'bf16' or 'int8'.
        batch: the batch sizes it takes.
        io_fp16: half at input and output too.
        layout: of 8-bit integers, by the runtime they are for; of no effect at other precisions.
        options: how an engine is built, with the precision and the batch above.
    """

    path: Path
    target: str
    runtime: str
    format: Format
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
    runtime, chosen = runtimes.format_named(target)
    checked_choice("precision", precision, TOLERANCES)
    check_suffix(path, chosen)
    _check_computed(precision, target, runtime)
    if io_fp16 and (precision != "fp16" or not chosen.takes_half):
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
    layout = _checked_layout(int8_layout, chosen, runtime, precision)
    if leave_out and precision != "int8":
        raise InvalidArgumentError(
            f"leave_out goes with int8, but got {', '.join(leave_out)} for {precision}.", "Leave it out."
        )
    if not chosen.is_engine and (cache or options not in (None, BuildOptions())):
        given = "cache is" if cache else "build options are"
        raise InvalidArgumentError(
            f"{given} for engines, but the format is {target!r}.",
            "Leave that out, or build an engine: --trt or --trt-rtx.",
        )
    batch = BatchProfile.parse(batch_size)
    options = dataclasses.replace(options or BuildOptions(), precision=precision, batch=batch.sizes)
    chosen.check(options)
    check_writable(path)
    return Request(path, target, runtime, chosen, precision, batch, io_fp16, layout, options)


def _check_computed(precision: str, target: str, runtime: str) -> None:
    """Raise InvalidArgumentError where the runtime of a format computes nothing in a precision."""
    if precision in runtimes.get(runtime).precisions:
        return
    able = [each.name for name, each in runtimes.file_formats().items() if precision in runtimes.get(name).precisions]
    raise InvalidArgumentError(
        f"the format {target!r} cannot be in {precision}: {runtime} does not compute in it.",
        f"These can: {', '.join(able)}.",
    )


def check_suffix(path: Path, chosen: Format) -> None:
    """Raise InvalidArgumentError where a path ends as another format's files do, or not as this one's."""
    usual, found = chosen.suffixes[0], path.suffix.lower()
    if found in chosen.suffixes:
        return
    others = [each for _, each in runtimes.format_of(path)]
    if chosen.is_engine:
        if others or found == ".json":
            raise InvalidArgumentError(
                f"an engine is no {found} file, but got {path}.", f"Try {path.with_suffix(usual)}."
            )
        return
    flags = " or ".join(each.option[0] for each in others if each.option[0])
    wanted = f" {found} goes with {flags}." if flags else ""
    raise InvalidArgumentError(f"path must end in {usual}, but got {path}.", f"Try {path.with_suffix(usual)}.{wanted}")


def _checked_layout(asked: str | None, chosen: Format, runtime: str, precision: str) -> str:
    # An ONNX file may go anywhere: its integers are laid out as every runtime takes them, or as is asked.
    own = (runtimes.PORTABLE_LAYOUT if chosen.any_runtime else runtimes.layout_for(runtime)).name
    if asked is None:
        return own
    if precision != "int8":
        raise InvalidArgumentError(f"int8_layout goes with int8, but got {asked!r} for {precision}.", "Leave it out.")
    layout = checked_choice("int8_layout", asked, runtimes.layouts())
    if not chosen.any_runtime and layout != own:
        raise InvalidArgumentError(
            f"int8_layout is {own!r} for {chosen.name}, but got {asked!r}.", "It can be chosen for ONNX alone."
        )
    return layout
