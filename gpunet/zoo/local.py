"""Latency records of this machine: measured on first use, kept under its fingerprint, found again later.

A file `measurements/<fingerprint>.json` in gpunet's home folder holds the measurements of one processor or GPU,
system, number of threads, runtime, runtime version and precision. It is written anew after each network, so that a
process that is stopped loses one at most. An entry may bring its own: a record made of a measurement on a machine of
this fingerprint, as a published entry holds it, is as good as one measured here. To find records again loads neither
torch nor onnx nor a runtime.
"""

from __future__ import annotations

import functools
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gpunet.core import files
from gpunet.core.machine import Fingerprint, fingerprint
from gpunet.core.progress import ProgressBar
from gpunet.errors import GpunetError, MissingDependencyError, RuntimeUnavailableError
from gpunet.exporters.reference import reference_for
from gpunet.model.entry import TIMM, Entry, LatencyRecord
from gpunet.runtime import Runtime
from gpunet.runtime import available as available_runtime
from gpunet.runtime.base import check_precision, check_threads
from gpunet.runtime.beside import measure_beside
from gpunet.runtime.reference import Reference
from gpunet.runtime.timing import Measurement, NoisyMachineWarning
from gpunet.zoo.benchmark import check_batch_size, check_network_precision, session_from_network
from gpunet.zoo.kept.failures import Failures
from gpunet.zoo.local_file import (
    DamagedRecordsWarning,
    accessible,
    read_or_empty,
    read_or_set_aside,
    records_path,
    write,
)
from gpunet.zoo.measured import fingerprint_of, measurement_from_record, record_from_measurement

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DamagedRecordsWarning", "local_records", "records_path"]

_MOST_SAID = 300  # letters of a reason


def local_records(
    entries: Iterable[Entry],
    *,
    runtime: str | None = None,
    batch_size: int = 1,
    precision: str = "fp32",
    threads: int | None = None,
    progress: bool = True,
    refresh: bool = False,
    kept_only: bool = False,
    on_failure: Callable[[Entry, str], None] | None = None,
    build: Callable[[Entry], nn.Module] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[LatencyRecord]:
    """Latency records of these entries on this machine; what has not been measured yet is measured now.

    What this machine's own file holds comes first, then a record that the entry brings and that was made of a
    measurement under this fingerprint (`gpunet.zoo.measured`); of several of those the slowest.

    A network whose repeats say that the machine was not quiet, or beside which the machine's speed moved, is measured a
    second time; of two that are no better the lower is kept, since whatever else runs only ever adds time. Each carries
    the reference that was timed around it (`gpunet.runtime.reference`), so that it can be compared with a later one.
    Two processes do not measure at once: the second waits, and
    finds the records of the first.

    Args:
        entries: the networks; those of which only figures are known are left out.
        runtime: its name; None for the best installed.
        batch_size: images a run.
        precision: 'fp32', 'fp16' or 'bf16'.
        threads: threads that compute; None for all available.
        progress: show a bar on stderr that names the network being measured.
        refresh: measure all of them anew, whatever is kept; the new figures replace the old.
        kept_only: records of those alone that have been measured; with `refresh` they are measured anew, no others.
        on_failure: told of each network that cannot be built, exported or run, and why: it is passed over, now and by
            later calls, until `refresh` or other versions. None raises.
        build: makes an entry's module in evaluation mode; None for the untrained network (latency does not depend on
            the weights' values).
        clock: seconds, monotonic; tests pass their own.

    Returns:
        A record an entry, in their order: chip 'local', the processor's or GPU's name as board, the median; or the
        record that the entry brings, as it stands there. None of what is passed over.

    Warns:
        NoisyMachineWarning: some figures are uncertain, whether measured now or kept; names the networks.
        DamagedRecordsWarning: the records' file could not be read and was set aside.

    Raises:
        RuntimeUnavailableError: (a RuntimeError) the runtime cannot run here, or not at this precision.
        InvalidArgumentError: (a ValueError) an argument is out of range.
        RecordsError: (a RuntimeError) the records cannot be read or written.
    """
    chosen = available_runtime(runtime)
    check_batch_size(batch_size)
    check_precision(chosen.name, precision, chosen.precisions)
    check_network_precision(precision)
    computing = check_threads(threads) if chosen.device == "cpu" else None
    here = fingerprint(
        runtime=chosen.name,
        runtime_version=chosen.version(),
        precision=precision,
        threads=computing,
        on_gpu=chosen.device == "gpu",
    )
    wanted = {key_of(entry, batch_size): entry for entry in entries if entry.buildable}
    brought = _brought(wanted, here, batch_size)
    path = records_path(here)
    found = read_or_empty(path, here)
    failures = None if on_failure is None else Failures(path)
    if refresh and failures is not None:
        failures.forget(wanted)
    if kept_only:
        wanted = {key: entry for key, entry in wanted.items() if key in found or key in brought}
    elif failures is not None:
        wanted = _able(wanted, found.keys() | brought.keys(), failures, on_failure)
    if refresh:
        brought = {}
    if refresh or not found.keys() | brought.keys() >= wanted.keys():
        measure_one = functools.partial(
            _measure_entry,
            runtime=chosen,
            reference=functools.cache(functools.partial(reference_for, chosen, threads, clock)),
            batch_size=batch_size,
            precision=precision,
            threads=threads,
            build=build or _untrained,
            clock=clock,
        )
        with ExitStack() as held:
            with accessible(path):
                held.enter_context(files.lock(path.parent / "measuring"))
            found = read_or_set_aside(path, here)

            def keep(key: str, measurement: Measurement) -> None:
                found[key] = measurement
                write(path, here, found)

            known = set() if refresh else found.keys() | brought.keys()
            missing = {key: entry for key, entry in wanted.items() if key not in known}
            failed = _measure_all(missing, measure_one, keep, failures, progress=progress)
        for key, reason in failed.items():
            entry = wanted.pop(key)
            if on_failure is not None:
                on_failure(entry, reason)
    own = {
        key: record_from_measurement(entry.name, found[key], board=here.processor)
        for key, entry in wanted.items()
        if key in found
    }
    records = {**brought, **own}
    _warn_of_noise(records[key] for key in wanted)
    return [records[key] for key in wanted]


def _brought(wanted: Mapping[str, Entry], here: Fingerprint, batch_size: int) -> dict[str, LatencyRecord]:
    """The records, by key, that the entries bring along and that are of this machine; the slowest of each."""
    found: dict[str, LatencyRecord] = {}
    for key, entry in wanted.items():
        of_here = [
            record
            for record in entry.records
            if record.batch_size == batch_size
            and fingerprint_of(record) == here
            and measurement_from_record(record) is not None
        ]
        if of_here:
            found[key] = max(of_here, key=lambda record: record.latency_ms)
    return found


def kept_measurement(entry: Entry, like: Measurement) -> Measurement | None:
    """What this machine's own file holds of an entry under the conditions of another measurement of it; None for none.

    Raises:
        RecordsError: (a RuntimeError) the file cannot be read.
    """
    here = fingerprint_of(record_from_measurement(entry.name, like))
    return None if here is None else read_or_empty(records_path(here), here).get(key_of(entry, like.batch_size))


def key_of(entry: Entry, batch_size: int) -> str:
    """What a measurement is of: the entry's name, its network and input (`Entry.identity`) and the batch size.

    Of timm's networks the name is left out: tags share a latency.
    """
    return f"{TIMM if entry.role == TIMM else entry.name} {entry.identity} batch {batch_size}"


# ------------------------------------------------------------------ measuring


def _able(
    wanted: Mapping[str, Entry], known: Set[str], failures: Failures, on_failure: Callable[[Entry, str], None] | None
) -> dict[str, Entry]:
    """Those of the networks that have figures, or have not failed before; the others are told of."""
    reasons = failures.reasons()
    able = {key: entry for key, entry in wanted.items() if key in known or key not in reasons}
    if on_failure is not None:
        for key in wanted.keys() - able.keys():
            on_failure(wanted[key], reasons[key])
    return able


def _measure_all(
    missing: Mapping[str, Entry],
    measure_one: Callable[[Entry], Measurement],
    keep: Callable[[str, Measurement], None],
    failures: Failures | None,
    *,
    progress: bool,
) -> dict[str, str]:
    """Measure one after the other and keep each at once; returns what failed and why, where failures are kept."""
    failed = {}
    with ProgressBar("measuring", len(missing), shown=progress and bool(missing), line_every_s=0) as bar:
        for done, (key, entry) in enumerate(missing.items()):
            bar.update(done, description=f"measuring {entry.name}")
            if failures is None:
                keep(key, measure_one(entry))
            elif (reason := _failing(key, entry, measure_one, keep, failures)) is not None:
                failed[key] = reason
            bar.update(done + 1, description=f"measured {entry.name}")
    return failed


def _failing(
    key: str, entry: Entry, measure_one: Callable[[Entry], Measurement], keep: Callable[[str, Measurement], None],
    failures: Failures,
) -> str | None:  # fmt: skip
    """Measure and keep one network; why it cannot be, which is kept too, or None."""
    with failures.trying(key):
        try:
            measured = measure_one(entry)
        except (MissingDependencyError, RuntimeUnavailableError):
            raise  # that is of the machine, and of every network
        except Exception as error:  # timm, torch and the runtimes raise classes of many kinds; the reason says which
            reason = error.message if isinstance(error, GpunetError) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())[:_MOST_SAID]
            failures.add(key, reason)
            return reason
    keep(key, measured)
    return None


def _warn_of_noise(records: Iterable[LatencyRecord]) -> None:
    """Say which figures are uncertain: at each use, not only when they were measured."""
    measured = ((record.model, measurement_from_record(record)) for record in records)
    noisy = [
        f"{name} (spread {each.spread_percent:.0f} %, waited {each.conditions.get('waited_percent') or 0:.0f} %"
        f"{f', machine moved {each.moved_percent:.0f} %' if each.moved else ''})"
        for name, each in measured
        if each is not None and each.noisy
    ]
    if noisy:
        warnings.warn(
            f"the machine was not quiet when these were measured, even at a second try: {', '.join(noisy)}. The "
            "figures are uncertain. Stop what else is running and measure again: local_records(..., "
            "refresh=True), or gpunet find --device local --refresh.",
            NoisyMachineWarning,
            stacklevel=3,
        )


def _measure_entry(
    entry: Entry,
    *,
    runtime: Runtime,
    reference: Callable[[], Reference | None],
    batch_size: int,
    precision: str,
    threads: int | None,
    build: Callable[[Entry], nn.Module],
    clock: Callable[[], float],
) -> Measurement:
    session, images = session_from_network(
        build(entry),
        runtime,
        batch_size=batch_size,
        precision=precision,
        threads=threads,
        input_px=entry.input_px,
    )
    return measure_beside(
        session, images, reference(), noise_too=True, clock=clock, conditions={"model": entry.name}, warn=False
    )


def _untrained(entry: Entry) -> nn.Module:
    from gpunet.zoo.models import model_from_entry

    return model_from_entry(entry, pretrained=False)
