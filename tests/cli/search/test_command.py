from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers.estimates import roofline_ms
from helpers.studies import definition, every_network
from helpers.tables import CONDITIONS, figures
from optuna.trial import TrialState
from PIL import Image

from gpunet.cli.main import main
from gpunet.core import console
from gpunet.errors import (
    DataError,
    GpunetError,
    InvalidArgumentError,
    SpecError,
    StudyError,
    StudyUnavailableError,
    TableError,
)
from gpunet.latency.table import LatencyTable
from gpunet.search import ConvSpace, StageChoices
from gpunet.search.study.opening import open_study
from gpunet.search.study.study import WORKERS, Study
from gpunet.search.work.creation import create_study
from gpunet.search.work.registry import WorkerRegistry
from gpunet.testing.servers import HANG_GUARD_S
from gpunet.train.recipes import recipe_named

TINY = ConvSpace(
    (16,), (8,),
    (StageChoices("conv", 2, None, (3,), activations=("swish",)),
     StageChoices("irb", 2, (8, 16), (3,), (1, 2), ("swish",), (2,), (True,))),
    head_filters=16,
)  # fmt: skip


def search(*arguments: object) -> None:
    main(["search", *map(str, arguments)])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Four trials: complete with 50 and 70 %, failed, running."""
    made = create_study(tmp_path / "search.sqlite", "mine", definition(0.0, 900.0, max_trials=9))
    board = WorkerRegistry(made.storage, made.storage.made_study("mine" + WORKERS)[0], 100.0)
    session = board.register()
    for row in range(4):
        made.create_trial(every_network()[row].tolist(), 0.1 + row, f"key {row}", session.id)
    for number, top1 in ((0, 50.0), (1, 70.0)):
        made.storage.report(made.trial_id(number), 1, top1)
        made.storage.finish(made.trial_id(number), TrialState.COMPLETE, top1)
    made.storage.set_attr(made.trial_id(2), "reason", "a layer is too wide")
    made.storage.finish(made.trial_id(2), TrialState.FAIL)
    made.record_measured(1, 1.25, {"batch": 1})
    return made


@pytest.fixture
def url(study: Study, tmp_path: Path) -> str:
    return str(tmp_path / "search.sqlite")


# ----------------------------------------------------------------------------- reading


def test_status(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    search("status", "--study", url)
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "study mine: 4 of 9 trials, 0 to 900 ms, random"
    assert said.out.splitlines()[1] == "2 complete, 0 pruned, 1 failed, 1 running, 0 waiting"
    assert said.out.splitlines()[2].startswith("1 workers registered: ")
    assert said.out.splitlines()[3] == "best: trial 1, 70.00 %, 1.1 ms estimated"
    assert "trial 2 failed: a layer is too wide" in said.err
    search("status", "--study", url, "--json")
    body = json.loads(capsys.readouterr().out)
    assert (body["study"], body["max_trials"], body["trials"], body["complete"]) == ("mine", 9, 4, 2)
    assert body["best"]["number"] == 1
    assert len(body["workers"]) == 1


def test_status_of_one_that_has_just_been_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_study(tmp_path / "search.sqlite", "new", definition())
    search("status", "--study", tmp_path / "search.sqlite", "--name", "new")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "study new: 0 of 20 trials, 0 ms, random"
    assert said[2] == "0 workers registered"
    search("status", "--study", tmp_path / "search.sqlite", "--json")
    assert json.loads(capsys.readouterr().out)["best"] is None


def test_best_and_pareto(url: str, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    search("best", "--study", url)
    lines = capsys.readouterr().out.splitlines()
    assert "70.00" in lines[-1]
    assert str(study.trial_folder(1)) in lines[-1]
    search("best", "--study", url, "-n", 5, "--json")
    assert [each["number"] for each in json.loads(capsys.readouterr().out)] == [1, 0]
    search("pareto", "--study", url, "--json")
    body = json.loads(capsys.readouterr().out)
    assert [each["number"] for each in body] == [0, 1]
    assert body[1]["measured"] == {"latency_ms": 1.25, "conditions": {"batch": 1}}
    search("pareto", "--study", url, "--folder", "/elsewhere")
    assert "/elsewhere/trial-00001" in capsys.readouterr().out


def test_no_best_yet(tmp_path: Path) -> None:
    create_study(tmp_path / "search.sqlite", "new", definition())
    with pytest.raises(StudyError, match="no trial of the study new is complete"):
        search("best", "--study", tmp_path / "search.sqlite")


def test_export(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study.json"
    search("export", "--study", url, "-o", out)
    assert capsys.readouterr().out == f"{out}: 4 trials\n"
    body = json.loads(out.read_text(encoding="utf-8"))
    assert body["definition"]["optimizer"] == "random"
    assert [each["state"] for each in body["trials"]] == ["complete", "complete", "failed", "running"]


def test_extend(url: str, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    search("extend", "--study", url, "--trials", 30)
    assert capsys.readouterr().out == "study mine: 9 trials before, 30 now\n"
    assert study.max_trials() == 30
    with pytest.raises(StudyError, match="max_trials must be an integer of 1 or more, but got 0"):
        search("extend", "--study", url, "--trials", 0)


@pytest.mark.parametrize(("arguments", "kind", "message"), [
    (["--study", "{tmp}/nowhere.sqlite"], StudyError, r"nowhere\.sqlite: there is no such file"),
    (["--study", "{tmp}/search.sqlite", "--name", "other"], StudyError, "holds no study other"),
    (["--study", "mysql://host/db"], StudyError, "mysql:// is no storage that gpunet knows"),
    (["--study", "grpc://host"], StudyError, "names no host and port"),
    (["--study", "{tmp}/text.sqlite"], StudyUnavailableError, "file is not a database"),
])  # fmt: skip
@pytest.mark.parametrize("action", ["status", "best", "pareto", "export"])
def test_studies_that_are_not_there(
    action: str, arguments: list[str], kind: type[GpunetError], message: str, url: str, tmp_path: Path
) -> None:
    (tmp_path / "text.sqlite").write_text("some text " * 500, encoding="utf-8")
    given = [each.replace("{tmp}", str(tmp_path)) for each in arguments]
    with pytest.raises(kind, match=message) as caught:
        search(action, *given, *(["-o", tmp_path / "out.json"] if action == "export" else []))
    assert caught.value.hint
    assert not (tmp_path / "nowhere.sqlite").exists()
    assert not (tmp_path / "out.json").exists()


def test_known_errors_show_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpunet.cli.main", "search", "status", "--study", str(tmp_path / "nowhere.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG_GUARD_S)
    assert done.returncode == 2
    assert "there is no such file" in done.stderr
    assert "gpunet search create makes a study." in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------- making and working


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table") / "table.sqlite", num_classes=10)


def write_table(path: Path, num_classes: int) -> Path:
    """Of all layers of the tiny space."""
    keys = TINY.lookup_plan(num_classes=num_classes).keys()
    with LatencyTable(path, CONDITIONS) as made:
        for key in keys:
            made.add(key, figures(roofline_ms(key)))
    return path


@pytest.fixture
def create(table: Path, tmp_path: Path) -> list[str]:
    space = tmp_path / "space.json"
    space.write_text(json.dumps(TINY.to_dict()), encoding="utf-8")
    return ["create", "--study", str(tmp_path / "digits.sqlite"), "--name", "digits", "--space", str(space),
            "--table", str(table), "--data", "digits", "--fraction", "0.12", "--epochs", "2", "--trials", "3",
            "--optimizer", "random", "--pruner", "none"]  # fmt: skip


def test_create(create: list[str], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search(*create)
    said = capsys.readouterr()
    assert said.out == f"study digits: 3 trials, checkpoints in {tmp_path / 'digits-digits'}\n"
    assert "gpunet search worker --study" in said.err
    made = open_study(tmp_path / "digits.sqlite").definition
    assert (made.table, made.epochs, made.num_classes, made.optimizer) == (str(table), 2, 10, "random")
    search(*create)
    with pytest.raises(StudyError, match="holds another study digits: its seed differs"):
        search(*create, "--seed", 1)


@pytest.mark.parametrize(("changes", "kind", "message"), [
    (["--table", "{tmp}/nowhere.sqlite"], TableError, "nowhere"),
    (["--space", "{tmp}/nowhere.json"], InvalidArgumentError, "--space"),
    (["--data", "{tmp}/nowhere"], DataError, "nowhere"),
    (["--high-ms", "0"], InvalidArgumentError, "bounds in ms must rise, but are 0, 0"),
    (["--low-ms", "1000"], StudyError, "no network of the space has an estimate 1000 ms or more"),
    (["--trials", "0"], SpecError, "max_trials: "),
    (["--recipe", "gpunet_d2", "--epochs", "1"], InvalidArgumentError, "has distillation, which would rank students"),
    (["--name", "a/b"], StudyError, "a study's name has letters"),
    (["--study", "grpc://127.0.0.1"], StudyError, "names no host and port"),
])  # fmt: skip
def test_what_cannot_be_made(
    changes: list[str], kind: type[GpunetError], message: str, create: list[str], tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        search(*create, *(each.replace("{tmp}", str(tmp_path)) for each in changes))
    assert not (tmp_path / "digits.sqlite").exists()


@pytest.mark.slow
def test_a_worker_trains_a_study_to_its_end(
    create: list[str], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search(*create)
    where = ["--study", str(tmp_path / "digits.sqlite"), "--device", "cpu"]
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
    create: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    given = [*create, *where, "--data", "shades", "--fraction", 1, "--recipe", "recipe.json", "--trials", 4]
    search(*given, "--table", write_table(tmp_path / "two.sqlite", num_classes=2))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    search("worker", *where, "--device", "cpu", "--workers", 2, "--trials", 1)
    said = capsys.readouterr().out
    assert {
        "worker 0: 1 trials ended, 0 requeued, 0 taken up by others: 1 trials done",
        "worker 1: 1 trials ended, 0 requeued, 0 taken up by others: 1 trials done",
    } <= set(said.splitlines())
    (tmp_path / "shades").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="shades: there is no such folder"):
        search("worker", *where, "--device", "cpu")
    monkeypatch.chdir(tmp_path)
    search("worker", "--study", "digits.sqlite", *where[2:], "--device", "cpu", "--workers", 2, "--data-root", "moved")
    trials = open_study(tmp_path / "digits.sqlite", "shades").trials()
    assert [each.state for each in trials] == ["complete"] * 4
    assert len({each.vector for each in trials}) == 4


@pytest.mark.parametrize("action", [["worker"], ["extend", "--trials", "5"]])
def test_a_study_that_is_mistyped_is_not_made(action: list[str], url: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"typo\.sqlite: there is no such file"):
        search(*action, "--study", tmp_path / "typo.sqlite")
    assert not (tmp_path / "typo.sqlite").exists()


@pytest.mark.slow
def test_sigterm_makes_a_worker_lay_back_and_leave(create: list[str], tmp_path: Path) -> None:
    search(*create, "--epochs", 1000, "--name", "long")
    command = [sys.executable, "-m", "gpunet.cli.main", "search", "worker", "--device", "cpu",
               "--study", str(tmp_path / "digits.sqlite")]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    guard = threading.Timer(HANG_GUARD_S, process.kill)
    guard.start()
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "begins" in first
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate()
    finally:
        guard.cancel()
        process.kill()
        process.wait()
    assert process.returncode == console.PREEMPTED_EXIT_CODE
    assert "0 trials ended, 1 requeued, 0 taken up by others: asked to leave (SIGTERM)" in said
    (record,) = open_study(tmp_path / "digits.sqlite").trials()
    assert record.state == "waiting"
    assert record.tries[0]["end"] == "asked to leave (SIGTERM)"


def test_workers_are_counted(url: str) -> None:
    for count in (0, -1):
        with pytest.raises(InvalidArgumentError, match=f"--workers must be 1 or more, but got {count}"):
            search("worker", "--study", url, "--workers", count)


def test_a_worker_of_a_study_without_a_trainer_that_is_known(url: str) -> None:
    with pytest.raises(SpecError, match="trainer: "):
        search("worker", "--study", url)


def test_a_proxy_on_a_port_that_is_taken(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("grpc")
    with pytest.raises(StudyError, match="grpc://host:1 is a proxy itself"):
        search("proxy", "--study", "grpc://host:1")
    with pytest.raises(StudyError, match=r"no-such-host\.invalid:1 cannot be listened on") as caught:
        search("proxy", "--study", url, "--host", "no-such-host.invalid", "--port", 1)
    assert caught.value.hint == "Choose another port: --port"


def test_a_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc")
    known = open_study

    def impatient(*arguments: Any, **options: Any) -> Any:
        return known(*arguments, **{**options, "patience_s": 0.1})

    monkeypatch.setattr("gpunet.search.study.opening.open_study", impatient)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        with pytest.raises(StudyUnavailableError, match="does not serve") as caught:
            search("status", "--study", f"grpc://127.0.0.1:{one.getsockname()[1]}")
    assert caught.value.hint == "When it answers again, run the same command: everything recorded is kept."
