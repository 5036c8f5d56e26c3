"""`gpunet anchor`: measurements on a GPU that narrow the estimates of all other networks there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, UnknownDeviceError, UsageError

if TYPE_CHECKING:
    from gpunet.latency.gpu.anchors import Anchor
    from gpunet.latency.gpu.sheets import GpuSheet

_SHOWN = "gpunet_1"  # whose estimate is shown before and after


@command(
    "anchor", panel="Ask",
    examples=["gpunet anchor l4", "gpunet anchor l4 --trtexec trtexec.log --network gpunet_0"],
)  # fmt: skip
def anchor(
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="GPU, by any of its names: l4, rtx4090, ...")],
    trtexec: Annotated[
        list[Path] | None, opt("--trtexec", metavar="LOG...", help="what trtexec printed there, one or several")
    ] = None,
    network: Annotated[
        list[str] | None,
        opt("--network", metavar="MODEL...", complete=options.complete_model,
            help="the network of each log, in order; one for all (default: gpunet_0)"),
    ] = None,
    batch_size: Annotated[
        int | None, opt("--batch-size", "-b", metavar="N", help="images a run, where the log does not say it")
    ] = None,
    precision: options.Precision = None,
    gpu_sheet: options.GpuSheet = None,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Measurements on a GPU that narrow the estimates of all other networks there.

    Without a log, the commands that make one: export here, run where the GPU is, bring the log back. Logs are kept
    under the device, and all of them count.
    """
    from gpunet.latency.gpu.sheets import read_sheets, sheet_named

    own = read_sheets(gpu_sheet) if gpu_sheet is not None else ()
    sheet = sheet_named(device, own)
    names = network or ["gpunet_0"]
    if not trtexec:
        _print_commands(device, names[0], as_json)
        return
    if len(names) not in (1, len(trtexec)):
        raise UsageError(f"{len(trtexec)} logs need one --network or {len(trtexec)}, but got {len(names)}.")
    names = names * len(trtexec) if len(names) == 1 else names
    given = [_from_log(log, name, sheet, batch_size, precision) for log, name in zip(trtexec, names, strict=True)]
    _keep(sheet, given, own, as_json)


def _print_commands(device: str, name: str, as_json: bool) -> None:
    from gpunet.cli.bench.trtexec import VERSIONS
    from gpunet.runtime.trt.options import BuildOptions
    from gpunet.runtime.trt.trtexec import trtexec_command

    export = f"gpunet-export {name} --precision fp16 -o {name}.onnx"
    commands = {version: trtexec_command(f"{name}.onnx", version, options=BuildOptions(precision="fp16"))
                for version in VERSIONS}  # fmt: skip
    back = f"gpunet anchor {device} --trtexec trtexec.log --network {name} --precision fp16"
    if as_json:
        console.print_json({"export": export, "trtexec": commands, "back": back})
        return
    print(f"# the network, on any machine (its latency does not depend on the weights: --no-pretrained)\n{export}")
    for version, line in commands.items():
        print(f"# where the GPU is, with TensorRT {version}: keep the log\n{line} | tee trtexec.log")
    print(f"# back here\n{back}")


def _from_log(log: Path, name: str, sheet: GpuSheet, batch_size: int | None, precision: str | None) -> Anchor:
    """The measurement that a log holds.

    Raises:
        InvalidArgumentError: it cannot be read, is of another input, or says another batch or precision.
    """
    from gpunet.latency.gpu.anchors import Anchor
    from gpunet.latency.gpu.answers import name_of_entry
    from gpunet.runtime.trt.trtexec_log import decoded, import_trtexec
    from gpunet.zoo.timm_zoo.names import entry_by_name

    entry = entry_by_name(name)
    try:
        found = import_trtexec(decoded(log.read_bytes()))
    except OSError as error:
        message = f"{log} cannot be read: {error.strerror}."
        raise InvalidArgumentError(message, "Keep what trtexec prints: | tee LOG", exit_code=ABSENT_EXIT_CODE) from None
    shape = found.input_shape
    if shape is not None and entry.input_px is not None and tuple(shape[-2:]) != (entry.input_px, entry.input_px):
        raise InvalidArgumentError(
            f"{log} is of an input of {shape[-1]} px, but {name} takes {entry.input_px}: its latency is another's."
        )
    for what, wanted, said in (("batch size", batch_size, found.batch_size), ("precision", precision, found.precision)):
        if wanted is not None and said is not None and wanted != said:
            raise InvalidArgumentError(f"{log}: the {what} is {said} there, but got {wanted}.", "Leave it out.")
    kind = precision or found.precision
    if kind != "fp16":
        raise InvalidArgumentError(
            f"{log}: an anchor is of fp16, but the log is of {kind or 'a precision that it does not say'}.",
            "If the engine computes in fp16: --precision fp16.",
        )
    if found.multiprocessors is not None and abs(found.multiprocessors - sheet.sms) > 0.02 * sheet.sms:
        raise InvalidArgumentError(
            f"{log}: it was taken on {found.device or 'a GPU'} with {found.multiprocessors} multiprocessors, but "
            f"{sheet.name} has {sheet.sms:g}.",
            "Name the device that it was taken on, or give its sheet: --gpu-sheet FILE.",
        )
    said_on = _sheet_of(found.device)
    if said_on is not None and said_on.architecture != sheet.architecture:
        raise InvalidArgumentError(
            f"{log}: it was taken on {found.device}, but the device is {sheet.name}.",
            "Name the device that it was taken on.",
        )
    source = f"trtexec{f' {found.version}' if found.version else ''}, from {log.name}"
    return Anchor(name_of_entry(entry), batch_size or found.batch_size or 1, "fp16", found.latency_ms, source)


def _sheet_of(board: str | None) -> GpuSheet | None:
    """The sheet of a board that a log names, where there is one."""
    from gpunet.latency.gpu.sheets import sheet_named

    try:
        return None if board is None else sheet_named(board.partition(" MIG")[0])
    except UnknownDeviceError:
        return None


def _keep(sheet: GpuSheet, given: list[Anchor], own: tuple[GpuSheet, ...], as_json: bool) -> None:
    from gpunet.latency.gpu.anchors import add_anchors, profile_path, read_anchors
    from gpunet.latency.gpu.answers import name_of_entry
    from gpunet.latency.gpu.estimator import GpuEstimator
    from gpunet.zoo.catalog import catalog

    for each in given:  # before anything is kept
        GpuEstimator().table(each.network)
    shown = name_of_entry(catalog()[_SHOWN])
    before = GpuEstimator(anchors=read_anchors(sheet.key), sheets=own).estimate(shown, sheet.name)
    anchors = add_anchors(sheet.key, given)
    after = GpuEstimator(anchors=anchors, sheets=own).estimate(shown, sheet.name)
    if as_json:
        console.print_json(
            {"device": sheet.name, "profile": str(profile_path(sheet.key)), "anchors": len(anchors),
             "before": before.to_dict(), "after": after.to_dict()}
        )  # fmt: skip
        return
    for each in given:
        print(f"{each.network}: {each.latency_ms:g} ms at batch {each.batch_size} on {sheet.name}, {each.source}")
    print(f"kept in {profile_path(sheet.key)}, with {len(anchors)} in all")
    for word, record in (("before", before), ("after", after)):
        low_ms, high_ms = record.conditions["low_ms"], record.conditions["high_ms"]
        print(f"{_SHOWN} {word}: {record.latency_ms:g} ms ({low_ms:g} to {high_ms:g})")
