from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from search_benchmark import small

from gpunet.cli.main import main
from gpunet.errors import WorkerError
from gpunet.launch.child import LEFT, Job
from gpunet.launch.processes import gpunet_command
from gpunet.launch.ray import has_room, run_job, run_on_ray

ray = pytest.importorskip("ray", reason="the extra [cluster] is not installed")

HANG_S = 300.0
# Ray leaves sockets and log files to the interpreter's end, and announces what it will do one day.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


def leaving(tmp_path: Path) -> Job:
    """Leaves at its first start as if its node were drained."""
    code = """
import pathlib, sys
first = pathlib.Path(sys.argv[1])
if not first.exists():
    first.touch()
    sys.exit(int(sys.argv[2]))
"""
    return job("drained", code, tmp_path / "started", LEFT)


def job(name: str, code: str, *arguments: object, **environment: str) -> Job:
    return Job(name, [sys.executable, "-c", code, *map(str, arguments)], environment)


# ------------------------------------------------------------------- one task


def test_a_task_tells_the_exit_code_and_the_last_words():
    one = job("one", "import os, sys; print('from', os.environ['PLACE']); sys.exit(3)", PLACE="here")
    assert run_job(one.command, dict(one.environment)) == (3, "from here")


def test_of_many_words_the_last_are_told():
    code, said = run_job(job("one", "print('\\n'.join(map(str, range(1000))))").command, {})
    assert code == 0
    assert said.split() == [str(number) for number in range(980, 1000)]


class Cancelled(BaseException):
    """What Ray raises in a task."""


@pytest.mark.parametrize(("deaf", "stop_s"), [(False, 60.0), (True, 0.2)])
def test_a_task_that_is_cancelled_ends_its_process(tmp_path: Path, deaf: bool, stop_s: float):
    """Even while the process says nothing, and when it does not want to."""
    mark = tmp_path / "pid"
    code = f"""
import os, pathlib, signal, sys, time
if {deaf}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
mark = pathlib.Path(sys.argv[1])
part = mark.with_suffix(".part")
part.write_text(str(os.getpid()))
part.rename(mark)
time.sleep(600)
"""

    def cancel(*_: object) -> None:
        raise Cancelled

    def when_ready() -> None:
        while not mark.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, cancel)
    thread = threading.Thread(target=when_ready, daemon=True)
    thread.start()
    try:
        with pytest.raises(Cancelled):
            run_job([sys.executable, "-c", code, str(mark)], {}, stop_s)
    finally:
        thread.join(timeout=HANG_S)
        signal.signal(signal.SIGUSR1, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


# ------------------------------------------------------------------- a cluster


class Nodes:
    """A Ray cluster on this machine: a head without room for tasks, and nodes that come and go."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={**_SMALL, "num_cpus": 0, "include_dashboard": False}
        )

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, processors: int) -> Any:
        return self._cluster.add_node(**_SMALL, num_cpus=processors)

    def kill(self, node: Any) -> None:
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        session = Path(self._cluster.head_node.get_session_dir_path()).name
        try:
            ray.shutdown()
            self._cluster.shutdown()
        finally:
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    if session.encode() in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                        os.kill(int(process.name), signal.SIGKILL)


_SMALL = {"num_gpus": 0, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    quiet = {
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0",
        "RAY_worker_niceness": "0",  # 15 by default: beside anything else on few processors, tasks stand still
        # A node that is gone is noticed in seconds.
        "RAY_health_check_initial_delay_ms": "0", "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "5", "RAY_health_check_timeout_ms": "5000",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in quiet}
    os.environ.update(quiet)
    found = None
    try:
        found = Nodes()
        ray.init(address=found.address, log_to_driver=False, logging_level="error")
        yield found
    finally:
        if found is not None:
            found.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


@pytest.fixture
def node(nodes: Nodes) -> Iterator[Any]:
    added = nodes.add(2)
    yield added
    with suppress(Exception):  # a test may have killed it
        nodes.kill(added)


def run(jobs: list[Job], **options: Any) -> bool:
    """`run_on_ray`, which is asked to leave rather than hang."""
    until_s = time.monotonic() + HANG_S
    late: list[bool] = []
    wanted = options.pop("should_stop", lambda: False)

    def should_stop() -> bool:
        if time.monotonic() > until_s:
            late.append(True)
        return bool(late) or wanted()

    asked = run_on_ray(jobs, should_stop=should_stop, **options)
    assert not late, "it hung"
    return asked


@pytest.mark.slow
def test_jobs_end_and_are_told(node: Any, tmp_path: Path):
    said: list[str] = []
    jobs = [job("one", "print('hello')"), leaving(tmp_path), job("three", "pass")]
    assert run(jobs, say=said.append) is False
    assert sorted(said) == [
        "drained: has ended", "drained: was asked to leave; it is started again", "one: has ended", "three: has ended",
    ]  # fmt: skip
    with pytest.raises(WorkerError, match="bad ended with exit code 3: what is wrong") as error:
        run([job("good", "pass"), job("bad", "print('what is wrong'); raise SystemExit(3)")], say=said.append)
    assert error.value.hint == "Mend it and run the same command again: it goes on."
    assert "good: has ended" in said


@pytest.mark.slow
def test_asked_to_leave_it_cancels_tasks_and_their_processes_end(node: Any, tmp_path: Path):
    code = """
import os, pathlib, signal, sys, time
def leave(*_):
    pathlib.Path(sys.argv[1], f"left-{sys.argv[2]}").touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1], f"ready-{sys.argv[2]}").touch()
time.sleep(600)
"""
    jobs = [job(f"{number}", code, tmp_path, number) for number in range(2)]
    assert run(jobs, should_stop=lambda: len(list(tmp_path.glob("ready-*"))) == 2, stop_s=30) is True
    assert sorted(path.name for path in tmp_path.glob("left-*")) == ["left-0", "left-1"]


@pytest.mark.slow
def test_a_study_is_completed_though_a_node_is_killed(nodes: Nodes, tmp_path: Path):
    study = small.make_study(str(tmp_path / "study.sqlite"), tmp_path, trials=8, epochs=3, optimizer="lamcts")
    first, second = nodes.add(1), nodes.add(1)
    killed: list[Any] = []

    def kill_when_two_are_at_work() -> bool:
        if not killed and sum(not each.ended and each.epochs > 0 for each in study.trials()) == 2:
            nodes.kill(second)
            killed.append(second)
        return False

    command = gpunet_command(
        "search", "worker", "--study", str(tmp_path / "study.sqlite"), "--heartbeat-s", "0.5", "--grace-s", "3",
        "--on", "cpu", "--until-eof",
    )  # fmt: skip
    said: list[str] = []
    environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    jobs = [Job(name, command, environment) for name in ("one", "two")]
    try:
        assert run(jobs, should_stop=kill_when_two_are_at_work, say=said.append) is False
        assert killed
        assert sorted(said) == ["one: has ended", "two: has ended"]
        trials = study.trials()
        assert [each.number for each in trials] == list(range(8))
        assert [each.state for each in trials] == ["complete"] * 8
        assert [each.epochs for each in trials] == [3] * 8
        assert len({each.vector for each in trials}) == 8
        assert any(each.tries for each in trials)  # both workers held a trial when one was killed
    finally:
        study.storage.close()
        nodes.kill(first)


@pytest.mark.slow
def test_the_command_runs_its_workers_as_tasks(
    node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Paths named from here reach tasks that run in a folder of Ray's; a cluster without GPUs is asked for none."""
    study = small.make_study(str(tmp_path / "study.sqlite"), tmp_path, trials=4, epochs=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stopping = threading.Timer(HANG_S, os.kill, (os.getpid(), signal.SIGTERM))
    stopping.start()
    try:
        main(["search", "worker", "--study", "study.sqlite", "--table", "latencies.sqlite", "--cluster", "ray",
              "--processes", "2", "--heartbeat-s", "0.5", "--grace-s", "3"])  # fmt: skip
    finally:
        stopping.cancel()
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("worker ")]  # Ray speaks too
    assert sorted(said) == ["worker 0: has ended", "worker 1: has ended"]
    assert [each.state for each in study.trials()] == ["complete"] * 4
    study.storage.close()


@pytest.mark.slow
def test_a_task_that_no_node_has_room_for_is_told(node: Any):
    said: list[str] = []
    assert run([job("one", "pass")], gpus=1, say=said.append, should_stop=lambda: bool(said), stop_s=0.5) is True
    assert said == ["no node of the cluster has 1 GPUs and 1 processors: waiting for one that joins it"]


@pytest.mark.parametrize(("gpus", "cpus", "room"), [(1, 4, True), (0, 8, True), (1, 8, False), (2, 1, False)])
def test_room_is_that_of_one_node(gpus: float, cpus: float, room: bool):
    nodes = [{"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}, {"Alive": True, "Resources": {"CPU": 8.0}},
             {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}]  # fmt: skip
    assert has_room(nodes, gpus, cpus) is room


@pytest.mark.slow
def test_without_a_cluster_it_says_so(nodes: Nodes, monkeypatch: pytest.MonkeyPatch):
    def init(**_: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(WorkerError, match="there is no Ray cluster at far:6379: nobody answers") as error:
        run_on_ray([job("one", "pass")], address="far:6379")
    assert error.value.hint == "Start one (ray start --head), or give its address."
