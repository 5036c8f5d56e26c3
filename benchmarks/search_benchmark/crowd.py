"""Many workers in one process, a thread each: what `simulate` starts.

Each has its own storage, session, optimiser and pruner, as if it were alone in its process; but the threads of one
process share the interpreter's lock, and gRPC lets channels to one address share a connection. Both can only make them
slower than workers with processes of their own.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.errors import PreemptedError
from gpunet.search.storage.storage import StudyStorage
from gpunet.search.study.opening import open_study
from gpunet.search.study.trainer import Trained
from gpunet.search.work.summary import Costs, WorkerSettings
from gpunet.search.work.worker import Worker


@dataclass(frozen=True)
class CrowdPlan:
    """What a process does.

    Args:
        url: of the proxy.
        name: of the study.
        workers: threads.
        wait_s: that a trial of full length waits, in place of training.
        seed: of how long they wait.
        most_s: after so long they leave, and what they have done so far is told.
        heartbeat_s, grace_s: see `gpunet.search.work.worker.WorkerSettings`.
    """

    url: str
    name: str
    workers: int
    wait_s: float
    seed: int
    most_s: float = float("inf")
    heartbeat_s: float = 30.0
    grace_s: float = 120.0


@dataclass
class TrialCosts:
    """What one trial cost its worker, in seconds, beside the waiting.

    Attributes:
        asking_s, reporting_s, pruning_s, telling_s: the parts; `pruning_s` is the pruner with all that it reads.
        waited_s: in place of training.
        epochs: that it waited for.
    """

    asking_s: float = 0.0
    reporting_s: float = 0.0
    pruning_s: float = 0.0
    telling_s: float = 0.0
    waited_s: float = 0.0
    epochs: int = 0

    @property
    def sum_s(self) -> float:
        """All of it."""
        return self.asking_s + self.reporting_s + self.pruning_s + self.telling_s


@dataclass
class Found:
    """What a process tells at its end; plain types."""

    trials: list[dict[str, float]] = field(default_factory=list)
    rounds: list[dict[str, float]] = field(default_factory=list)
    calls_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ends: list[str] = field(default_factory=list)
    lost: int = 0
    faults: list[str] = field(default_factory=list)


class TimedStorage(StudyStorage):
    """A storage that notes how long each call took, by name, with everything that it waited for."""

    calls_s: dict[str, list[float]]

    def _patiently(self, call: Callable[..., Any], told: bool = False, refused_s: float | None = None) -> Any:
        began_s = time.perf_counter()
        try:
            return super()._patiently(call, told, refused_s)
        finally:
            self.calls_s[sys._getframe(1).f_code.co_name].append(time.perf_counter() - began_s)


def timed(url: str, calls_s: dict[str, list[float]]) -> TimedStorage:
    """A storage whose calls are noted there."""
    made = TimedStorage.__new__(TimedStorage)
    made.calls_s = calls_s
    TimedStorage.__init__(made, url)
    return made


class WaitingTrainer:
    """Waits in place of training, and reports what a hidden function says of the vector.

    Args:
        choices: of each digit.
        wait_s: of a trial of full length.
        epochs: of it.
        seed: of how much longer or shorter than `wait_s` each takes.
    """

    def __init__(self, choices: Sequence[int], wait_s: float, epochs: int, seed: int) -> None:
        self._choices, self._wait_s, self._epochs = np.array(choices), wait_s, epochs
        self._generator = np.random.default_rng(seed)
        self.costs = Costs()
        self.trials: list[TrialCosts] = []

    def __call__(
        self, vector: Sequence[int], folder: Path, *, seed: int, report: Callable[[int, float, float], bool],
        should_stop: Callable[[], bool],
    ) -> Trained:  # fmt: skip
        """See `gpunet.search.study.trainer.Trainer`."""
        reached = hidden_top1_percent(vector, self._choices)
        epoch_s = self._wait_s * self._generator.uniform(0.8, 1.2) / self._epochs
        found = TrialCosts(asking_s=self.costs.asking_s[-1])
        self.trials.append(found)
        pruned, top1_percent = False, 0.0
        while found.epochs < self._epochs and not pruned:
            time.sleep(epoch_s)
            if should_stop():
                self.trials.pop()
                raise PreemptedError("the time is over")
            found.waited_s += epoch_s
            found.epochs += 1
            top1_percent = reached * (1 - 0.5 * float(np.exp(-found.epochs / 3)))
            reported, began_s = sum(self.costs.reporting_s[-1:]), time.perf_counter()
            count = len(self.costs.reporting_s)
            pruned = report(found.epochs, top1_percent, 0.0)
            took_s = time.perf_counter() - began_s
            reported = sum(self.costs.reporting_s[count:])
            found.reporting_s += reported
            found.pruning_s += took_s - reported
        return Trained(top1_percent, found.epochs, pruned, None, found.waited_s)


def hidden_top1_percent(vector: Sequence[int], choices: np.ndarray) -> float:
    """A smooth function of the digits with one best network, 60 to 80 %."""
    unit = (np.asarray(vector) + 0.5) / choices
    best = 0.5 + 0.4 * np.sin(1.7 * np.arange(len(choices)))
    weights = 1 / (1 + np.arange(len(choices)) % 7)
    return float(80 - 20 * np.average(np.square(unit - best), weights=weights) / 0.8)


def work(plan: CrowdPlan) -> Found:
    """Work on the study with so many workers, until each has ended."""
    import optuna
    import torch

    from gpunet.search.spaces.paper import PAPER_SPACE
    from search_benchmark.estimates import roofline_of

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    estimator, found, guard = roofline_of(PAPER_SPACE), Found(), threading.Lock()

    end_s = time.monotonic() + plan.most_s

    def one(number: int) -> None:
        try:
            storage = timed(plan.url, found.calls_s)
            study = open_study(plan.url, plan.name, storage=storage)
            trainer = WaitingTrainer(
                study.definition.space.lattice().choices, plan.wait_s, study.definition.epochs, plan.seed + number
            )
            worker = Worker(
                study, trainer, estimator, WorkerSettings(heartbeat_s=plan.heartbeat_s, grace_s=plan.grace_s),
                should_stop=lambda: time.monotonic() > end_s,
            )  # fmt: skip
            trainer.costs = worker.done.costs
            done = worker.work()
            storage.close()
            for each, telling_s in zip(trainer.trials, done.costs.telling_s, strict=True):
                each.telling_s = telling_s
            with guard:
                found.trials += [asdict(each) for each in trainer.trials]
                found.rounds += [asdict(each) for each in done.costs.rounds]
                found.ends.append(done.end)
                found.lost += done.lost
        except Exception as error:
            with guard:
                found.faults.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(plan.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
