"""A trtexec log as a latency record: how a machine with TensorRT but without gpunet feeds the zoo."""

from __future__ import annotations

from gpunet.core.device import resolve
from gpunet.errors import InvalidArgumentError
from gpunet.model.entry import LatencyRecord
from gpunet.runtime.trt.trtexec_log import import_trtexec


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

    Raises:
        InvalidArgumentError: (a ValueError) the text is neither, or does not say what is not given.
        UnknownDeviceError: (a LookupError) no chip has that name.
    """
    found = import_trtexec(text, version=version)
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
            raise InvalidArgumentError(f"{name} is {said} in the text, but got {given!r}.", "Leave it out.")
    size = int(known["batch_size"] or 1)
    return LatencyRecord(
        model=model,
        chip=resolve(device).chip,
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
