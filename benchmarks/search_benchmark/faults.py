"""A soak: real trials by worker processes that are killed at random, on a storage that fails for a while.

One worker after another is killed (SIGKILL) and another one started at once, until the time is over; then those that
are left spend the budget. In mid-run the SQLite file is first locked and then not writable for some seconds, or the
PostgreSQL server is stopped and started. Afterwards the record must be as if nothing had happened.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from gpunet.core import console
from gpunet.errors import PREEMPTED_EXIT_CODE
from gpunet.testing.servers import PostgreSQL
from search_benchmark import small
from search_benchmark.counted_worker import steps_of

if TYPE_CHECKING:
    from gpunet.search.study.study import Study

KILL, STOP = "kill", "stop"
_MANY = 100_000  # trials, until the time is over
_LOOK_S = 0.1
_LAST_S = 300.0  # for what is under way when the time is over
_OUTAGE_S = 4.0
_ENDED = re.compile(r"trial (\d+), .*: (complete|pruned|failed for good)")


class Workers:
    """Worker processes, of which one that ends is told.

    Args:
        command: of each.
        log: what they say.
    """

    def __init__(self, command: list[str], log: IO[bytes]) -> None:
        self._command, self._log = command, log
        self.processes: list[subprocess.Popen[bytes]] = []
        self.killed = self.stopped = 0

    def start(self) -> None:
        """One more."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
                       "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # fmt: skip
        self.processes.append(
            subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=environment
            )
        )

    def kill(self, number: int) -> None:
        """Kill one of them."""
        process = self.processes.pop(number)
        process.kill()
        process.wait()
        self.killed += 1

    def stop(self, number: int) -> list[str]:
        """Ask one of them to leave; what was wrong with how it did."""
        process = self.processes.pop(number)
        process.terminate()
        self.stopped += 1
        code = process.wait(_LAST_S)
        as_it_should = (PREEMPTED_EXIT_CODE, -signal.SIGTERM)  # of one that was still importing: its own default
        return [] if code in as_it_should else [f"a worker that was asked to leave ended with exit code {code}"]

    def gone(self) -> list[int]:
        """Exit codes of those that have ended by themselves since."""
        codes = [each.poll() for each in self.processes]
        self.processes = [each for each, code in zip(self.processes, codes, strict=True) if code is None]
        return [code for code in codes if code is not None]


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
        log = stack.enter_context(open(folder / "workers.log", "ab"))
        workers = Workers(
            [sys.executable, "-m", "search_benchmark.counted_worker", "search", "worker", "--study", url,
             "--heartbeat-s", str(args.heartbeat_s), "--grace-s", str(3 * args.heartbeat_s), "--on", "cpu"], log,
        )  # fmt: skip
        began_s = time.monotonic()
        try:
            faults = _disturbed(workers, study, args, outages)
        finally:
            for process in workers.processes:
                process.kill()
                process.wait()
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
    now_s = time.monotonic()
    end_s = now_s + 60 * args.faults
    ends = generator.permutation([KILL] * args.kills + [STOP] * args.stops).tolist()
    times_s = [now_s + 60 * args.faults * (number + 1) / (len(outages) + 1) for number in range(len(outages))]
    next_s = now_s + generator.uniform(*args.kill_s)
    while time.monotonic() < end_s or ends:
        time.sleep(_LOOK_S)
        if times_s and time.monotonic() >= times_s[0]:
            times_s.pop(0)
            outages.pop(0)()
        for code in workers.gone():
            faults.append(f"a worker ended with exit code {code}")
            workers.start()
        if time.monotonic() >= next_s:
            number = int(generator.integers(len(workers.processes)))
            if ends and ends.pop() == STOP:
                faults += workers.stop(number)
            else:
                workers.kill(number)
            workers.start()
            next_s = time.monotonic() + generator.uniform(*args.kill_s)
    study.set_max_trials(len(study.frozen()) + 2 * args.workers)  # those that were given and are not made yet fit in
    end_s = time.monotonic() + _LAST_S
    while workers.processes:
        faults += [f"a worker ended with exit code {code}" for code in workers.gone() if code != 0]
        if time.monotonic() > end_s:
            return [*faults, f"the budget was not spent {_LAST_S:g} s after the last worker was killed"]
        time.sleep(_LOOK_S)
    return faults


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
        # An attempt that is cut off loses what lies behind its last checkpoint, an epoch at most.
        if not epoch_steps * each.epochs <= done <= epoch_steps * (each.epochs + max(0, attempts - 1)):
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
