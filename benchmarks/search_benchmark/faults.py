"""A soak: real trials by worker processes that are killed at random, on a storage that fails for a while.

One worker after another is killed (SIGKILL) and another one started at once, until the time is over and there were as
many kills as are wanted; then those that are left spend the budget. In mid-run the SQLite file is first locked and then
not writable for some seconds, or the PostgreSQL server is stopped and started. Afterwards the record must be as if
nothing had happened.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core import console
from gpunet.errors import PREEMPTED_EXIT_CODE
from gpunet.testing.servers import PostgreSQL
from search_benchmark import small
from search_benchmark.counted_worker import steps_of, work

if TYPE_CHECKING:
    from gpunet.search.study.study import Study

KILL, STOP = "kill", "stop"
LEFT_BY_SIGTERM = "asked to leave (SIGTERM)"  # as a study's trials have it
_IMPORTED = (
    "search_benchmark.counted_worker", "gpunet.cli.search.worker", "gpunet.search.work.worker", "botorch", "optuna",
    "timm", "psycopg",
)  # fmt: skip
_MANY = 100_000  # trials, until the time is over
_LOOK_S = 0.1
_LAST_S = 900.0  # for what is under way when the time is over, on a machine as busy as may be
_OUTAGE_S = 4.0
_STRETCHED = 10.0
_ENDED = re.compile(r"trial (\d+), .*: (complete|pruned|failed for good)")


class Workers:
    """Worker processes, of which one that ends is told; a context manager, which kills those that are left.

    They are forked from a process that has imported everything: a fresh interpreter takes 8 s of a processor to be at
    work, and what is killed before that has not been disturbed at anything.

    Args:
        arguments: of each, for `gpunet search worker`.
        log: what they say.
    """

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._given = (arguments, log)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_IMPORTED))
        self.processes: list[BaseProcess] = []
        self.killed = self.stopped = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        while self.processes:
            self._end(len(self.processes) - 1, BaseProcess.kill)

    def start(self) -> None:
        """One more."""
        with _environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="",
                          PYTHONPATH=os.pathsep.join(filter(None, sys.path))):  # fmt: skip
            process = self._context.Process(target=work, args=self._given)
            process.start()
        self.processes.append(process)

    def kill(self, number: int) -> None:
        """Kill one of them."""
        self._end(number, BaseProcess.kill)
        self.killed += 1

    def stop(self, number: int) -> list[str]:
        """Ask one of them to leave; what was wrong with how it did."""
        code = self._end(number, BaseProcess.terminate)
        self.stopped += 1
        as_it_should = (PREEMPTED_EXIT_CODE, -signal.SIGTERM)  # of one that was still starting: its own default
        return [] if code in as_it_should else [f"a worker that was asked to leave ended with exit code {code}"]

    def processor_s(self) -> float:
        """What those at work have used of a processor, in seconds."""
        return sum(_processor_s(process.pid) for process in self.processes)

    def gone(self) -> list[int]:
        """Exit codes of those that have ended by themselves since."""
        codes = [each.exitcode for each in self.processes]
        self.processes = [each for each, code in zip(self.processes, codes, strict=True) if code is None]
        return [code for code in codes if code is not None]

    def _end(self, number: int, how: Callable[[BaseProcess], None]) -> int | None:
        """The exit code of one of them; None where it was still there after _LAST_S, and was killed."""
        process = self.processes.pop(number)
        how(process)
        process.join(_LAST_S)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        return code


def _processor_s(pid: int | None) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Within: the process's environment with these."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def soak(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Run it, and print its table; what to write, and what failed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunet-search-")))
        if args.storage == "postgresql":
            database = stack.enter_context(PostgreSQL())
            url, outages = database.url(), [_restart(database)]
        else:
            path = folder / "study.sqlite"
            url, outages = str(path), [_lock(path), _hold_journal(path)]
        outage_count = len(outages)
        study = small.make_study(url, folder, trials=_MANY, epochs=args.epochs, optimizer=args.optimizer)
        workers = Workers(
            ["--study", url, "--heartbeat-s", str(args.heartbeat_s), "--grace-s", str(3 * args.heartbeat_s),
             "--on", "cpu"], folder / "workers.log",
        )  # fmt: skip
        began_s = time.monotonic()
        with workers:
            faults = _disturbed(workers, study, args, outages)
        said = (folder / "workers.log").read_text(errors="replace")
        body = {
            "storage": args.storage, "workers": args.workers, "took_s": time.monotonic() - began_s,
            "killed": workers.killed, "stopped": workers.stopped, "outages": outage_count,
            **examined(study, said, workers.killed + workers.stopped),
        }  # fmt: skip
        faults += body.pop("faults")
        if faults:
            print(said[-3000:], file=sys.stderr)
        study.storage.close()
    show(body)
    print(f"\n{'FAIL' if faults else 'PASS'}: {body['trials']} trials, of which none is lost, doubled or failed")
    return body, faults


def _disturbed(workers: Workers, study: Study, args: argparse.Namespace, outages: list[Callable[[], Any]]) -> list[str]:
    """End and start workers until the time is over and enough were ended, and wait for the budget's end."""
    generator = np.random.default_rng(args.seed)
    faults: list[str] = []
    for _ in range(args.workers):
        workers.start()
    end_s = time.monotonic() + _LAST_S
    while not study.frozen() and time.monotonic() < end_s:  # processes may take long to come up
        time.sleep(_LOOK_S)
    began_s = time.monotonic()
    ends = generator.permutation([KILL] * args.kills + [STOP] * args.stops).tolist()
    wanted, ended, parts = len(ends), 0, len(outages) + 1
    pause = _Pause(workers, generator.uniform(*args.kill_s))
    while (part := min((time.monotonic() - began_s) / (60 * args.faults), ended / wanted if wanted else 1.0)) < 1:
        time.sleep(_LOOK_S)
        if part >= (parts - len(outages)) / parts:
            outages.pop(0)()
        for code in workers.gone():
            faults.append(f"a worker ended with exit code {code}")
            workers.start()
        if pause.over():
            number = int(generator.integers(len(workers.processes)))
            if ends and ends.pop() == STOP:
                faults += workers.stop(number)
            else:
                workers.kill(number)
            ended += 1
            workers.start()
            pause = _Pause(workers, generator.uniform(*args.kill_s))
    study.set_max_trials(len(study.frozen()) + 2 * args.workers)  # those that were given and are not made yet fit in
    end_s = time.monotonic() + _LAST_S
    while workers.processes:
        faults += [f"a worker ended with exit code {code}" for code in workers.gone() if code != 0]
        if time.monotonic() > end_s:
            return [*faults, f"the budget was not spent {_LAST_S:g} s after the last worker was killed"]
        time.sleep(_LOOK_S)
    return faults


class _Pause:
    """Between two kills: so long as workers that have the machine to themselves would take for what they do in it.

    A busy machine makes it longer, up to _STRETCHED times: else workers that come to nothing would be killed.
    """

    def __init__(self, workers: Workers, seconds: float) -> None:
        self._workers, self._seconds = workers, seconds
        self._began_s, self._used_s = time.monotonic(), workers.processor_s()

    def over(self) -> bool:
        took_s = time.monotonic() - self._began_s
        used_s = self._workers.processor_s() - self._used_s
        side_by_side = min(len(self._workers.processes), os.cpu_count() or 1)
        return took_s >= self._seconds and (
            used_s >= self._seconds * side_by_side or took_s >= _STRETCHED * self._seconds
        )


# -------------------------------------------------------------------- outages


def _lock(path: Path) -> Callable[[], None]:
    """Another program holds the file."""

    def outage() -> None:
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(_OUTAGE_S)
            connection.execute("ROLLBACK")

    return outage


def _hold_journal(path: Path) -> Callable[[], None]:
    """The file cannot be written, not by root either: a folder lies where its journal would be."""

    def outage() -> None:
        with _in_place_of(path.with_name(f"{path.name}-journal")):
            time.sleep(_OUTAGE_S)

    return outage


@contextlib.contextmanager
def _in_place_of(journal: Path) -> Iterator[None]:
    while True:
        with contextlib.suppress(FileExistsError):  # a transaction is under way
            journal.mkdir()
            break
        time.sleep(0.001)
    try:
        yield
    finally:
        journal.rmdir()


def _restart(database: PostgreSQL) -> Callable[[], None]:
    def outage() -> None:
        database.stop()
        time.sleep(_OUTAGE_S)
        database.start()

    return outage


# --------------------------------------------------------------------- checks


def examined(study: Study, said: str, killed: int) -> dict[str, Any]:
    """What the record holds, and under `faults` what is wrong with it."""
    trials = study.trials()
    images, ranking, _ = small.DATA.ranking(small.BATCH)
    epoch_steps = len(images) // small.BATCH + -(-len(ranking) // small.BATCH)  # batches, of scoring too
    faults = [f"trial {each.number} is {each.state}: {each.reason}" for each in trials if each.state != "complete"]
    if [each.number for each in trials] != list(range(study.max_trials())):
        faults.append(f"there are {len(trials)} trials, not {study.max_trials()}")
    if len({each.vector for each in trials}) != len(trials):
        faults.append("a network was proposed twice")
    told = Counter(int(number) for number, _ in _ENDED.findall(said))
    faults += [f"trial {number} was ended {count} times" for number, count in told.items() if count > 1]
    steps, again, attempts_more = 0, 0, 0
    for each in trials:
        done, attempts = steps_of(study.trial_folder(each.number))
        steps += done
        again += max(0, done - epoch_steps * each.epochs)
        attempts_more += max(0, attempts - 1)
        # An attempt that is cut off loses what lies behind its last checkpoint, an epoch at most. One that heeds
        # SIGTERM keeps the step that it has just done, and does not ask about it any more.
        unasked = sum(one["end"] == LEFT_BY_SIGTERM for one in each.tries)
        least = epoch_steps * each.epochs - unasked
        if not least <= done <= epoch_steps * (each.epochs + max(0, attempts - 1)):
            faults.append(f"trial {each.number}: {done} steps for {each.epochs} epochs in {attempts} attempts")
        if attempts - 1 > len(each.tries):
            faults.append(f"trial {each.number} was tried {attempts} times, of which {len(each.tries)} are on record")
    if attempts_more > killed:
        faults.append(f"{attempts_more} trials were tried again after {killed} kills")
    running = study.storage.trials(study.storage.study_id(f"{study.name}/workers") or 0)
    return {
        "trials": len(trials), "epochs": sum(each.epochs for each in trials), "epoch_steps": epoch_steps,
        "steps": steps, "steps_again": again, "tried_again": attempts_more,
        "tries": dict(Counter(each["end"] for trial in trials for each in trial.tries)),
        "sessions": len(running), "faults": faults,
    }  # fmt: skip


def show(body: dict[str, Any]) -> None:
    """Print the table."""
    rows = [
        (name.replace("_", " ").removesuffix(" s"), f"{value:.0f}" if isinstance(value, float) else value)
        for name, value in body.items()
    ]
    print(console.table(["soak", "found>"], rows))
