from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gpunet.cli.main import main
from gpunet.errors import (
    INTERRUPTED_EXIT_CODE,
    MISSING_EXIT_CODE,
    PREEMPTED_EXIT_CODE,
    DataError,
    GpunetError,
    SpecError,
    StudyError,
    TableError,
    TrainingError,
    UsageError,
    WorkerError,
)
from gpunet.search.study.opening import open_study
from gpunet.testing.servers import HANG_GUARD_S
from gpunet.train.recipes import recipe_named


def search(*arguments: object) -> None:
    main(["search", *map(str, arguments)])


def test_a_device_that_is_not_there_costs_no_trial(create: list[str], tmp_path: Path) -> None:
    search(*create)
    with pytest.raises(TrainingError, match="--on is 'cuda:99', but torch finds ") as caught:
        search("worker", "--study", tmp_path / "digits.sqlite", "--on", "cuda:99")
    assert caught.value.exit_code == MISSING_EXIT_CODE
    assert open_study(tmp_path / "digits.sqlite").trials() == []


@pytest.mark.slow
def test_a_worker_trains_a_study_to_its_end(
    create: list[str], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search(*create)
    where = ["--study", str(tmp_path / "digits.sqlite"), "--on", "cpu"]
    search("worker", *where, "--trials", 1)
    assert "1 trials ended, 0 requeued, 0 taken up by others: 1 trials done" in capsys.readouterr().out
    moved = table.rename(tmp_path / "moved.sqlite")
    try:
        with pytest.raises(TableError):
            search("worker", *where)
        search("worker", *where, "--table", moved)
    finally:
        moved.rename(table)
    said = capsys.readouterr().out
    assert "all 3 trials have ended" in said
    found = open_study(tmp_path / "digits.sqlite").trials()
    assert [each.state for each in found] == ["complete"] * 3
    for each in found:
        assert each.epochs == 2
        assert each.weights is not None
        assert (tmp_path / "digits-digits" / each.folder / each.weights).is_file()
    search("best", *where[:2])
    assert f"{max(each.top1_percent for each in found):.2f}" in capsys.readouterr().out


@pytest.mark.slow
def test_two_workers_share_a_study_of_a_folder_of_images(
    create: list[str], write_table: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Named from where the study is made, worked on from elsewhere, and after the images have moved."""
    for split, count in (("train", 40), ("validation", 2)):
        for colour, name in enumerate(("dark", "light")):
            (tmp_path / "shades" / split / name).mkdir(parents=True)
            for number in range(count):
                picture = Image.new("RGB", (16, 16), (100 * colour + number,) * 3)
                picture.save(tmp_path / "shades" / split / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    recipe = {**recipe_named("quick").to_dict(), "batch_size": 8, "epochs": 1}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    where = ["--study", str(tmp_path / "digits.sqlite"), "--name", "shades"]
    given = [*create, *where, "--data", "shades", "--images-fraction", 1, "--recipe", "recipe.json", "--trials", 4]
    search(*given, "--table", write_table(tmp_path / "two.sqlite", 2))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    search("worker", *where, "--on", "cpu", "--processes", 2, "--trials", 1)
    said = capsys.readouterr().out
    assert {
        "worker 0: 1 trials ended, 0 requeued, 0 taken up by others: 1 trials done",
        "worker 1: 1 trials ended, 0 requeued, 0 taken up by others: 1 trials done",
    } <= set(said.splitlines())
    (tmp_path / "shades").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="shades: there is no such folder"):
        search("worker", *where, "--on", "cpu")
    monkeypatch.chdir(tmp_path)
    search("worker", "--study", "digits.sqlite", *where[2:], "--on", "cpu", "--processes", 2, "--data-root", "moved")
    trials = open_study(tmp_path / "digits.sqlite", "shades").trials()
    assert [each.state for each in trials] == ["complete"] * 4
    assert len({each.vector for each in trials}) == 4


@pytest.mark.parametrize("action", [["worker"], ["extend", "--trials", "5"]])
def test_a_study_that_is_mistyped_is_not_made(action: list[str], url: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"typo\.sqlite: there is no such file"):
        search(*action, "--study", tmp_path / "typo.sqlite")
    assert not (tmp_path / "typo.sqlite").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "why"), [
    (signal.SIGTERM, PREEMPTED_EXIT_CODE, "asked to leave (SIGTERM)"),
    (signal.SIGINT, INTERRUPTED_EXIT_CODE, "asked to leave"),
])  # fmt: skip
def test_a_signal_makes_a_worker_lay_back_and_leave(
    number: int, code: int, why: str, create: list[str], tmp_path: Path
) -> None:
    search(*create, "--epochs", 1000, "--name", "long")
    command = [sys.executable, "-m", "gpunet", "search", "worker", "--on", "cpu", "--hours", "20",
               "--study", str(tmp_path / "digits.sqlite")]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_interrupts
    )  # fmt: skip
    guard = threading.Timer(HANG_GUARD_S, process.kill)
    guard.start()
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "begins" in first
        process.send_signal(number)
        said, errors = process.communicate()
    finally:
        guard.cancel()
        process.kill()
        process.wait()
    assert process.returncode == code
    assert f"0 trials ended, 1 requeued, 0 taken up by others: {why}\n" in said
    (record,) = open_study(tmp_path / "digits.sqlite").trials()
    assert record.state == "waiting"
    assert record.tries[0]["end"] == why
    if number == signal.SIGINT:
        again = f"gpunet search worker --study {tmp_path / 'digits.sqlite'} --hours 20 --on cpu"
        assert errors.splitlines()[-2:] == [
            "leaving at the next step, with a checkpoint; Ctrl-C again leaves at once",
            f"this goes on from there: {again}",
        ]


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored


def test_an_interrupt_at_once_says_how_to_go_on_too(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gpunet.search.study.opening.open_study", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search("worker", "--study", url, "--name", "mine", "--loader-workers", 2, "--table", "t.sqlite")
    said = capsys.readouterr().err
    again = f"gpunet search worker --study {url} --name mine --table {Path.cwd() / 't.sqlite'} --loader-workers 2"
    assert said == f"this goes on from there: {again}\n"
    with pytest.raises(KeyboardInterrupt):
        search("worker", "--study", url, "--processes", 3, "--until-eof")
    assert capsys.readouterr().err == ""  # who started it says it
    with pytest.raises(KeyboardInterrupt):
        search("worker", "--study", url, "--processes", 3)
    assert capsys.readouterr().err.endswith("--processes 3\n")


@pytest.mark.parametrize(("arguments", "kind", "message"), [
    (["--processes", 0], UsageError, "--processes"),
    (["--processes", -1], UsageError, "--processes"),
    (["--trials", -1], UsageError, "--trials"),
    (["--trials", "many"], UsageError, "--trials"),
    (["--loader-workers", -1], UsageError, "--loader-workers"),
    (["--hours", "nan"], WorkerError, "hours must be a finite number of 0 or more, but got nan"),
    (["--hours", "-1"], WorkerError, "hours must be a finite number of 0 or more, but got -1"),
    (["--heartbeat-s", "0"], WorkerError, "heartbeat[-_]s must be a finite number above 0, but got 0"),
    (["--heartbeat-s", "nan"], WorkerError, "heartbeat[-_]s must be a finite number above 0, but got nan"),
    (["--grace-s", "1"], GpunetError, "."),
    (["--patience-s", "nan"], GpunetError, "patience[-_]s must be a finite number of 0 or more, but got nan"),
    (["--checkpoint-minutes", "nan"], GpunetError, "checkpoint[-_]minutes must be a finite number above 0"),
    (["--cluster", "slurm"], UsageError, "--cluster"),
])  # fmt: skip
def test_workers_that_are_told_nonsense(
    arguments: list[object], kind: type[GpunetError], message: str, url: str
) -> None:  # fmt: skip
    with pytest.raises(kind, match=message):
        search("worker", "--study", url, *arguments)


def test_old_spellings_go_on_working(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SpecError, match="trainer: "):
        search("worker", "--study", url, "--device", "cpu", "--image-workers=1")
    said = capsys.readouterr().err
    assert "--device is called --on now" in said
    assert "--image-workers is called --loader-workers now" in said
    with pytest.raises(UsageError, match="--processes"):
        search("worker", "--study", url, "--workers", 0)


def test_a_worker_of_a_study_without_a_trainer_that_is_known(url: str) -> None:
    with pytest.raises(SpecError, match="trainer: "):
        search("worker", "--study", url)
