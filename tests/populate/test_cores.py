"""What is measured waits for what trains on the same cores."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.studies import definition

from gpunet.errors import PreemptedError
from gpunet.populate.context import Context
from gpunet.populate.cores import training_lock, wait_until_nothing_trains
from gpunet.populate.place import StateFolder, write_json
from gpunet.populate.presets import PRESETS
from gpunet.search.storage.storage import WORKERS
from gpunet.search.work.creation import create_study
from gpunet.search.work.registry import WorkerRegistry
from gpunet.search.work.session import PROCESS


class Run:
    """A folder of state with a study of one tier, and what was said."""

    def __init__(self, folder: Path) -> None:
        plan = PRESETS["demo-small"]()
        self.said: list[str] = []
        self.place = StateFolder(folder, plan)
        self.context = Context(plan, self.place, self.said.append)
        tier = {"number": 0, "low_ms": 0.0, "high_ms": None, "candidates": [], "count": 1, "edges_ms": [], "counts": []}
        write_json(self.place.tiers, {"tiers": [tier]})
        study = create_study(self.place.storage, "small-tier-0", definition(), folder=self.place.search_folder("s"))
        self.registry = WorkerRegistry(study.storage, study.storage.made_study(f"small-tier-0{WORKERS}")[0], 100.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def never(seconds: float) -> None:
    pytest.fail("there is nothing to wait for")


def test_a_worker_on_this_machine_is_waited_for(run: Run) -> None:
    session = run.registry.register()
    looks: list[float] = []

    def leaves(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            session.close()

    wait_until_nothing_trains(run.context, leaves)
    assert len(looks) == 3
    assert len(run.said) == 1
    assert "waits for what trains on this machine: worker" in run.said[0]
    wait_until_nothing_trains(run.context, never)


def test_workers_of_other_machines_and_dead_ones_are_not(run: Run) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    for process in ("another-machine:1", f"{socket.gethostname()}:{ended.pid}"):
        run.registry.storage.set_attr(run.registry.register().id, PROCESS, process)
    wait_until_nothing_trains(run.context, never)


def test_fine_tuning_is_waited_for_and_one_that_is_asked_to_leave_does(run: Run) -> None:
    held = training_lock(run.place)
    held.acquire()
    wait_until_nothing_trains(run.context, lambda seconds: held.release())
    assert run.said == ["[measuring] waits for what trains on this machine: fine-tuning"]
    with training_lock(run.place), pytest.raises(PreemptedError, match="asked to leave in the stage measuring"):
        wait_until_nothing_trains(Context(run.context.plan, run.place, print, lambda: True), never)
