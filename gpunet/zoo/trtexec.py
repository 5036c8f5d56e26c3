"""A trtexec log as a latency record: how a machine with TensorRT but without gpunet feeds the zoo."""

from __future__ import annotations

from gpunet.core.device import compute_capability, resolve
from gpunet.errors import InvalidArgumentError, UnknownDeviceError
from gpunet.model.entry import LatencyRecord
from gpunet.runtime.trt.trtexec_log import TrtexecResult, import_trtexec
from gpunet.zoo.catalog import Zoo, catalog

_ACCEPT = "Or record it under what it says: accept=True."
# Multiprocessors of GPUs that can be cut in slices (MIG), of the smallest board that is whole.
_WHOLE = {"a100": 108, "a30": 56, "h100": 114, "h200": 132}


def record_from_trtexec(
    text: str,
    *,
    model: str,
    device: str,
    board: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    version: str | None = None,
    source: str = "trtexec",
    zoo: Zoo = None,
    accept: bool = False,
) -> LatencyRecord:
    """The record of a measurement by trtexec: its median GPU compute time, with the switches in the conditions.

    Args:
        text: the log, or the JSON that `--exportTimes` wrote.
        model: name of the entry.
        device: the chip, by any of its names; see `gpunet.core.device`.
        board: the board's name; None for the GPU that the log names.
        batch_size, precision: where the text does not say them; a log of a strongly typed build says no precision.
        version: TensorRT's, where the text does not say it; with it, the JSON's switches are that trtexec's defaults.
        source: who measured, for the record.
        zoo: folders of one's own entries.
        accept: where the text says another GPU, batch or precision than was claimed, record it under what it says.

    Raises:
        InvalidArgumentError: (a ValueError) the text is neither, does not say what is not given, contradicts what is
            claimed, or is of a network of another input size.
        UnknownDeviceError: (a LookupError) no chip has that name.
    """
    found = import_trtexec(text, version=version)
    _check_input(model, found, zoo)
    chip = _chip(found, device, accept)
    if accept:
        batch_size, precision = found.batch_size or batch_size, found.precision or precision
    known = {
        "batch_size": batch_size or found.batch_size,
        "precision": precision or found.precision,
        "board": board or found.device,
        "version": found.version or version,
    }
    missing = [name for name, value in known.items() if not value]
    if missing:
        raise InvalidArgumentError(
            f"the text does not say the {missing[0].replace('_', ' ')}, and it is not given.",
            f"Give it: {missing[0]}=..., or --{missing[0].replace('_', '-')} on the command line.",
        )
    for name, given, said in (
        ("batch_size", batch_size, found.batch_size),
        ("precision", precision, found.precision),
    ):
        if given is not None and said is not None and given != said:
            raise InvalidArgumentError(f"{name} is {said} in the text, but got {given!r}.", f"Leave it out. {_ACCEPT}")
    size = int(known["batch_size"] or 1)
    return LatencyRecord(
        model=model,
        chip=chip,
        board=str(known["board"]),
        batch_size=size,
        precision=str(known["precision"]),
        runtime="tensorrt",
        runtime_version=str(known["version"]),
        statistic="median",
        latency_ms=found.latency_ms,
        kind="measured",
        source=source,
        throughput_ips=None if found.throughput_qps is None else found.throughput_qps * size,
        conditions=found.to_dict(),
    )


def _check_input(model: str, found: TrtexecResult, zoo: Zoo) -> None:
    """Raise InvalidArgumentError where the text is of another input than the network's."""
    entry, shape = catalog(zoo).get(model), found.input_shape
    if entry is None or shape is None or entry.input_px is None:
        return
    wanted = (entry.in_chans, entry.input_px, entry.input_px)
    if shape[-3:] != wanted:
        said, own = ("x".join(map(str, each)) for each in (shape[-3:], wanted))
        raise InvalidArgumentError(
            f"the text is of a network that takes {said}, but {model} takes {own}: its latency is another's.",
            f"Export it as it is: gpunet-export {model} -o {model}.onnx.",
        )


def _chip(found: TrtexecResult, device: str, accept: bool) -> str:
    """The chip to record under: the one that is claimed, unless the text says another.

    Raises:
        InvalidArgumentError: it says another, or that it had a slice of the GPU, and that is not accepted.
    """
    claimed = resolve(device).chip
    said = _named(found.device)
    contradiction = ""
    if said is not None and said != claimed:
        contradiction = f"it was taken on {found.device} ({said})"
    elif found.compute_capability not in (None, compute_capability(claimed)):
        contradiction = f"it was taken on {found.device}, of compute capability {found.compute_capability}"
    elif "MIG" in (found.device or "") or (found.multiprocessors or 999) < _WHOLE.get(claimed, 0):
        contradiction = f"it had a slice of the GPU (MIG), of {found.multiprocessors} multiprocessors"
    if not contradiction:
        return claimed
    if accept and (said or contradiction.startswith("it had")):
        return said or claimed
    raise InvalidArgumentError(
        f"the text contradicts the device {device!r} ({claimed}): {contradiction}.",
        f"Name the device that it was taken on. {_ACCEPT}" if said else "Name the device that it was taken on.",
    )


def _named(board: str | None) -> str | None:
    """The chip of a board's name, as far as it is known."""
    try:
        return None if board is None else resolve(board.partition(" MIG")[0]).chip
    except UnknownDeviceError:
        return None
