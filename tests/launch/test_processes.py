from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpunet.errors import WorkerError
from gpunet.launch.child import LEFT, Job
from gpunet.launch.processes import Fleet, gpunet_command, places

HANG_S = 60.0
# Leaves as a worker does: when it is asked to, or when standard input ends. Says `ready` first.
WORKER = """
import signal, sys, threading
asked = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: asked.set())
def read():
    sys.stdin.read()
    asked.set()
threading.Thread(target=read, daemon=True).start()
print("ready", flush=True)
while not asked.wait(0.02):
    pass
sys.exit(75)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def job(name: str, code: str, *arguments: object, **environment: str) -> Job:
    return Job(name, [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], environment)


def crashing(folder: Path, times: int, code: int) -> Job:
    """Ends with that exit code so many times, then with 0."""
    return job(
        "one",
        """
        import pathlib, sys
        folder, times, code = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
        count = len(list(folder.glob("start-*")))
        (folder / f"start-{count}").touch()
        print("start", count, flush=True)
        sys.exit(code if count < times else 0)
        """,
        folder, times, code,
    )  # fmt: skip


def starts(folder: Path) -> int:
    return len(list(folder.glob("start-*")))


def wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# ---------------------------------------------------------------------- a fleet


def test_all_run_and_every_line_is_told():
    said: list[str] = []
    code = "import os; print('hello from', os.environ['PLACE'])"
    fleet = Fleet([job("one", code, PLACE="here"), job("two", code, PLACE="there")], say=said.append)
    assert fleet.run() is False
    assert sorted(said) == ["one: hello from here", "two: hello from there"]


def test_a_fleet_of_nothing_is_refused():
    with pytest.raises(WorkerError, match="a fleet needs at least one process"):
        Fleet([])


def test_one_that_crashes_is_started_again(tmp_path: Path):
    said: list[str] = []
    assert Fleet([crashing(tmp_path, 2, 7)], say=said.append).run() is False
    assert starts(tmp_path) == 3
    assert said.count("one: ended with exit code 7; it is started again") == 2
    assert [line for line in said if "start " in line] == ["one: start 0", "one: start 1", "one: start 2"]


def test_one_that_is_killed_is_started_again(tmp_path: Path):
    killed = job(
        "one",
        """
        import os, pathlib, signal, sys
        mark = pathlib.Path(sys.argv[1]) / "start-0"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
    )
    said: list[str] = []
    assert Fleet([killed], say=said.append).run() is False
    assert said == ["one: ended with exit code -9; it is started again"]


def test_one_that_crashes_too_often_is_an_error_and_the_others_end(tmp_path: Path):
    other = job("two", "import time; time.sleep(0.5); print('done')")
    said: list[str] = []
    with pytest.raises(WorkerError) as error:
        Fleet([crashing(tmp_path, 99, 7), other], restarts=2, say=said.append).run()
    assert error.value.message == "one ended with exit code 7: start 2"
    assert error.value.hint == "Mend it and run the same command again: it goes on."
    assert starts(tmp_path) == 3
    assert "two: done" in said


def test_one_that_was_started_wrongly_is_not_started_again(tmp_path: Path):
    with pytest.raises(WorkerError, match="one ended with exit code 2: start 0"):
        Fleet([crashing(tmp_path, 99, 2)], say=lambda line: None).run()
    assert starts(tmp_path) == 1


def test_what_failed_without_a_word_is_told_so():
    with pytest.raises(WorkerError, match=r"one ended with exit code 3: \(it said nothing\)"):
        Fleet([job("one", "raise SystemExit(3)")], restarts=0, say=lambda line: None).run()


def test_a_program_that_is_not_there_is_told_and_the_others_are_stopped():
    said: list[str] = []
    with pytest.raises(WorkerError, match=r"two cannot be started: .*no-such-program") as error:
        Fleet([job("one", WORKER), Job("two", ["no-such-program"])], say=said.append).run()
    assert error.value.hint == "Is its program installed?"


def test_one_that_leaves_by_itself_is_no_fault():
    assert Fleet([job("one", f"raise SystemExit({LEFT})")], say=lambda line: None).run() is False


def test_asked_to_leave_it_asks_the_others():
    said: list[str] = []
    fleet = Fleet([job("one", WORKER), job("two", WORKER)], say=said.append)
    assert fleet.run(lambda: said.count("one: ready") + said.count("two: ready") == 2) is True
    assert len(said) == 2


def test_sigterm_is_passed_on():
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    assert Fleet([job("one", WORKER)], say=say).run() is True
    assert said == ["one: ready"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_one_that_does_not_leave_is_killed():
    said: list[str] = []
    assert Fleet([job("one", DEAF)], say=said.append, stop_s=0.2).run(lambda: bool(said)) is True
    assert said == ["one: ready"]


def test_a_grandchild_that_lives_on_does_not_hold_the_fleet():
    """It has the process's standard output, whose end is not seen before its own."""
    said: list[str] = []
    code = """
    import subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
    print(child.pid, flush=True)
    """
    thread = threading.Thread(
        target=lambda: Fleet([job("one", code)], say=said.append, last_words_s=0.2).run(), daemon=True
    )
    thread.start()
    thread.join(timeout=HANG_S)
    hangs = thread.is_alive()
    os.kill(int(said[0].partition(": ")[2]), signal.SIGKILL)
    assert not hangs


def test_processes_end_when_the_launcher_is_killed(tmp_path: Path):
    launcher = f"""
    import sys
    from gpunet.launch.child import Job
    from gpunet.launch.processes import Fleet
    code = {("import os; print(os.getpid(), flush=True)" + WORKER)!r}
    Fleet([Job(name, [sys.executable, "-c", code]) for name in "ab"], say=lambda line: print(line, flush=True)).run()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(launcher)], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    children = [int(line.split()[-1]) for line in lines if "ready" not in line]
    assert len(children) == 2
    assert all(map(is_alive, children))
    process.kill()
    process.wait()
    process.stdout.close()
    wait_for(lambda: not any(map(is_alive, children)))


def test_they_run_beside_what_this_process_does(tmp_path: Path):
    said: list[str] = []
    with Fleet([crashing(tmp_path, 1, 7)], say=said.append).beside():
        wait_for(lambda: starts(tmp_path) == 1)
        said.append("own work is done")
    assert starts(tmp_path) == 2  # looked after when it was
    assert said.index("own work is done") < said.index("one: ended with exit code 7; it is started again")


def _fail_after(condition: Callable[[], bool]) -> None:
    wait_for(condition)
    raise ZeroDivisionError


def test_they_leave_when_what_they_stand_beside_fails():
    said: list[str] = []
    fleet = Fleet([job("one", WORKER)], say=said.append)
    with pytest.raises(ZeroDivisionError), fleet.beside():
        _fail_after(lambda: bool(said))
    assert said == ["one: ready"]


# --------------------------------------------------------------------- places


def test_a_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert places() == [{"CUDA_VISIBLE_DEVICES": name} for name in ("4", "5", "6")]
    assert places(2) == [{"CUDA_VISIBLE_DEVICES": name} for name in ("4", "5")]
    assert places(gpus=1) == [{"CUDA_VISIBLE_DEVICES": "4"}]
    with pytest.raises(WorkerError, match="4 processes are more than the 3 GPUs") as error:
        places(4)
    assert error.value.hint == "One process a GPU; CUDA_VISIBLE_DEVICES= uses none."
    with pytest.raises(WorkerError, match="4 GPUs are asked for, but there are 3"):
        places(gpus=4)


def test_without_gpus_a_process_has_its_share_of_the_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("gpunet.launch.processes.available_threads", lambda: 8)
    assert places() == [{"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8"}]
    assert places(3) == 3 * [{"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}]
    assert places(20)[0]["OMP_NUM_THREADS"] == "1"
    with pytest.raises(WorkerError, match="there must be at least one process, but got 0"):
        places(0)


def test_no_gpus_may_be_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert "OMP_NUM_THREADS" in places(1, gpus=0)[0]


def test_the_command_is_that_of_this_interpreter():
    assert gpunet_command("search", "worker") == [sys.executable, "-m", "gpunet.cli.main", "search", "worker"]
