"""Fill a latency table: measure the layers that it lacks, and nothing twice.

Layers are measured in random order, so that a drift of the machine does not look like a property of a stage. The work
can be cut into shards by a hash of the keys, for array jobs or one process a GPU; several builders on one table share
it by claims. A builder may be stopped or killed at any moment and started again.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gpunet.core.machine import process_has_ended
from gpunet.core.progress import ProgressBar
from gpunet.errors import GpunetError, InvalidArgumentError, RuntimeUnavailableError, TableError
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.records import LayerLatency, NetworkLatency
from gpunet.latency.table import LatencyTable
from gpunet.latency.watch import Measured, Watch
from gpunet.runtime.reference import Look

CLAIM_COUNT = 16
EFFORTS = (0.5, 4.0)  # the least and the most
FAILURES_IN_A_ROW = 20


class Meter(Protocol):
    """What measures: see `gpunet.latency.meter.LayerMeter`."""

    def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
        """Measure one layer."""
        ...

    def networks(self, networks: Sequence[Sequence[LayerKey]]) -> list[NetworkLatency]:
        """Measure networks whole."""
        ...

    def reference(self) -> Look:
        """Measure the reference."""
        ...


@dataclass(frozen=True)
class BuildProgress:
    """Where a build stands.

    Args:
        done: layers of the shard that the table holds, whoever measured them.
        total: layers of the shard.
        measured: by this builder.
        failed: by this builder.
        elapsed_s: since it began.
    """

    done: int
    total: int
    measured: int
    failed: int
    elapsed_s: float

    @property
    def layers_per_s(self) -> float:
        """Rate of this builder."""
        return self.measured / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """Time left at this rate; None before the first layer."""
        return (self.total - self.done) / self.layers_per_s if self.measured else None


def build(
    table: LatencyTable,
    keys: Iterable[LayerKey],
    meter: Meter,
    *,
    shard: tuple[int, int] = (1, 1),
    lone: bool = False,
    networks: Sequence[Sequence[LayerKey]] = (),
    counts: Mapping[LayerKey, float] | None = None,
    max_layers: int | None = None,
    max_time_s: float | None = None,
    seed: int | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> BuildProgress:
    """Measure what `table` lacks of `keys`; a layer that failed before is tried again, once a call.

    Args:
        table: open for writing, under the meter's conditions.
        keys: those wanted.
        meter: measures them.
        shard: which part, of how many; (1, 1) for all.
        lone: measure every layer by itself too, for the paper's plain sum; layers that the table has only in context
            are measured anew.
        networks: to measure whole, as far as the table lacks them: in turn with the layers, for what is summed and what
            it is compared with must be of one machine's mood.
        counts: how often a network of the space has each layer, on average: time goes to those that networks have most
            of (`efforts`); None for as much to each.
        max_layers: stop after so many.
        max_time_s: stop after so long.
        seed: of the order; None for a new one at each call, so that builders begin at different places.
        on_progress: called before the first layer and after each.
        clock: seconds, monotonic; tests pass their own.

    Returns:
        Where it ended.

    Raises:
        InvalidArgumentError: (a ValueError) the shard is not valid.
        TableError: (a RuntimeError) the table cannot be written: what was measured before is kept.
        RuntimeUnavailableError: (a RuntimeError) many layers failed in a row; the message holds the last reason.
    """
    wanted = in_shard(dict.fromkeys(keys), shard)
    effort = efforts(wanted, counts or {})
    pending = table.missing(wanted, lone=lone)
    random.Random(seed).shuffle(pending)
    known = {tuple(whole) for whole, _ in table.networks()}
    whole = [each for each in networks if tuple(each) not in known]
    owner = builder_name()
    for other in table.claimants():
        if process_has_ended(other.rpartition(":")[0]):  # without giving its claims back
            table.release(other)
    started_s, measured, failed, in_a_row = clock(), 0, 0, 0
    done = len(wanted) - len(pending)
    every = max(1, len(pending) // (len(whole) + 1))  # layers between two networks
    watch = Watch(table, meter, owner, clock)

    def progress() -> BuildProgress:
        state = BuildProgress(done, len(wanted), measured, failed, clock() - started_s)
        if on_progress is not None:
            on_progress(state)
        return state

    def measured_layer(key: LayerKey) -> LayerLatency:
        return meter.layer(key, lone=lone, effort=effort[key])

    def again(wanting: list[Measured]) -> None:
        while wanting:
            each = wanting.pop()
            if isinstance(each, tuple):
                measure_network(table, meter, watch, each)
            else:
                table.add(each, watch.timed(lambda key=each: measured_layer(key)))  # type: ignore[misc]
            wanting += watch.note(each)

    state = progress()
    try:
        while pending:
            claimed = table.claim(pending, owner, CLAIM_COUNT, lone=lone)
            if not claimed:
                break  # all that is left is another builder's
            for key in claimed:
                if (max_layers is not None and measured >= max_layers) or (
                    max_time_s is not None and state.elapsed_s >= max_time_s
                ):
                    return state
                table.renew(owner)
                try:
                    figures = watch.timed(lambda key=key: measured_layer(key))  # type: ignore[misc]
                except (TableError, MemoryError):
                    raise
                except GpunetError as error:
                    failed, in_a_row = failed + 1, in_a_row + 1
                    table.add_failure(key, str(error))
                    _give_up(error, in_a_row)
                else:
                    table.add(key, figures)
                    measured, done, in_a_row = measured + 1, done + 1, 0
                    again(watch.note(key))
                    if whole and measured % every == 0:
                        again([tuple(whole.pop())])
                state = progress()
            held = set(claimed)
            others = [key for key in pending if key not in held]
            pending = table.missing(others, lone=lone)
            done += len(others) - len(pending)
        while whole:
            again([tuple(whole.pop())])
        while left := watch.end():
            again(left)
    finally:
        table.release(owner)
    return state


def efforts(keys: Sequence[LayerKey], counts: Mapping[LayerKey, float]) -> dict[LayerKey, float]:
    """How much of the usual time each layer gets, 1 on average.

    A sum's error is least for the time spent if a layer has repeats in proportion to the root of how often networks
    have it. Where `counts` says nothing of a layer, it gets the usual.
    """
    roots = [math.sqrt(counts[key]) for key in keys if counts.get(key)]
    if not roots:
        return dict.fromkeys(keys, 1.0)
    usual = math.fsum(roots) / len(roots)
    least, most = EFFORTS
    return {key: min(most, max(least, math.sqrt(counts[key]) / usual)) if counts.get(key) else 1.0 for key in keys}


def builder_name() -> str:
    """A name of its own for a builder: its machine, its process, and a word that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def measure_network(table: LatencyTable, meter: Meter, watch: Watch, keys: Sequence[LayerKey]) -> None:
    """Measure a network whole, into the table."""
    table.add_network(keys, watch.timed(lambda: meter.networks([keys])[0]))


def _give_up(error: GpunetError, in_a_row: int) -> None:
    if in_a_row >= FAILURES_IN_A_ROW:
        raise RuntimeUnavailableError(
            f"{in_a_row} layers failed one after the other, the last with: {error.message}",
            "gpunet table show FILE --failures lists them. Mend the cause, then run the same command again.",
        ) from error


def in_shard(keys: Iterable[LayerKey], shard: tuple[int, int]) -> list[LayerKey]:
    """The keys of shard i of n: each key is in one, whatever else is asked for and on whatever machine.

    Raises:
        InvalidArgumentError: (a ValueError) 1 <= i <= n does not hold.
    """
    number, count = shard
    if not 1 <= number <= count:
        raise InvalidArgumentError(f"1 <= i <= n must hold for a shard i/n, but got {number}/{count}.", "Such as 1/4.")
    if count == 1:
        return list(keys)
    return [key for key in keys if _hash(key) % count == number - 1]


def _hash(key: LayerKey) -> int:
    return int.from_bytes(hashlib.sha256(key.text.encode()).digest()[:8], "big")


def parse_shard(text: str) -> tuple[int, int]:
    """'2/8' -> (2, 8).

    Raises:
        InvalidArgumentError: (a ValueError) it is not of that form.
    """
    number, slash, count = text.partition("/")
    if not (slash and text.isascii() and number.isdecimal() and count.isdecimal()):
        raise InvalidArgumentError(f"a shard is written i/n, such as 2/8, but got {text!r}.", "1/1 is all.")
    shard = (int(number), int(count))
    in_shard((), shard)
    return shard


@contextlib.contextmanager
def build_progress(description: str) -> Iterator[Callable[[BuildProgress], None]]:
    """A bar with the rate and the time left; the callable is for `build(on_progress=...)`."""
    with ProgressBar(description) as bar:

        def show(state: BuildProgress) -> None:
            rate = f"{state.layers_per_s:.1f} layers/s" if state.measured else ""
            failed = f"{state.failed} failed" if state.failed else ""
            bar.update(state.done, total=state.total, said=", ".join(filter(None, (rate, failed))))

        yield show
