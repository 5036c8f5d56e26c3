"""`gpunet bench --trtexec` and `--import-trtexec`: measure where TensorRT is, keep the record here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpunet.cli.bench.subjects import RunsBy
from gpunet.core import console
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, UsageError

VERSIONS = ("8.6", "10.4", "11")


def model_named(names: Sequence[str] | None, zoo: Sequence[str] | None) -> str:
    """The one model that the command line names.

    Raises:
        UsageError: it names none, or several.
        UnknownModelError: there is none of that name.
    """
    from gpunet.zoo.catalog import entry_named

    if names is None or len(names) != 1:
        raise UsageError(
            f"name one model for trtexec, but got {' '.join(names or ()) or 'none'}.",
            "Such as: gpunet bench gpunet_1 --trtexec",
        )
    return entry_named(names[0], zoo).name


def print_commands(name: str, by: RunsBy, *, as_json: bool) -> None:
    """Print what exports a model and measures it by trtexec, for each version of TensorRT."""
    from gpunet.runtime.trt.options import BuildOptions
    from gpunet.runtime.trt.trtexec import trtexec_command

    precision = by.precision or "fp16"
    options = BuildOptions(precision=precision, batch=by.batch_size)
    file = f"{name}.onnx"
    commands = {version: trtexec_command(file, version, options=options) for version in VERSIONS}
    export = f"gpunet-export {name} --precision {precision} -b {by.batch_size} -o {file}"
    if as_json:
        console.print_json({"export": export, "trtexec": commands})
        return
    print(f"# the network, on any machine\n{export}")
    for version, command in commands.items():
        print(f"# TensorRT {version}: keep the log\n{command} | tee trtexec.log")
    print(f"# back here\ngpunet bench {name} --import-trtexec trtexec.log --device CHIP --precision {precision}")


def import_log(log: Path, name: str, *, device: str | None, out: Path | None, as_json: bool, **how: Any) -> None:
    """Print the record in a log of trtexec's, and add it to a CSV; `how`: see record_from_trtexec.

    Raises:
        InvalidArgumentError: there is no such log, or it cannot be read as one.
        EntryError: the CSV that is there cannot be read as latency records.
    """
    from gpunet.runtime.trt.trtexec_log import decoded
    from gpunet.zoo.reading import append_records
    from gpunet.zoo.trtexec import record_from_trtexec

    if device is None:
        raise UsageError(
            "--import-trtexec needs the chip it ran on, but --device is not given.", "Such as: --device a100"
        )
    try:
        text = decoded(log.read_bytes())
    except OSError as error:
        message = f"{log} cannot be read: {error.strerror}."
        raise InvalidArgumentError(message, "Keep what trtexec prints: | tee LOG", exit_code=ABSENT_EXIT_CODE) from None
    record = record_from_trtexec(text, model=name, device=device, source=f"trtexec, from {log.name}", **how)
    if out is not None:
        append_records(out, [record])
    if as_json:
        console.print_json(record.to_dict())
        return
    switches = record.conditions["switches"]
    print(f"{name}: {record}")
    print("  " + ", ".join(f"{key.replace('_', ' ')} {'on' if on else 'off'}" for key, on in switches.items()))
    if out is not None:
        print(f"  added to {out}; gpunet find --zoo {out.parent} uses it")
