from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.studies import definition

from gpunet.cli.main import main
from gpunet.errors import ABSENT_EXIT_CODE, GpunetError, StudyError, StudyUnavailableError, UsageError
from gpunet.search.study.study import Study
from gpunet.search.work.creation import create_study
from gpunet.testing.servers import HANG_GUARD_S


def search(*arguments: object) -> None:
    main(["search", *map(str, arguments)])


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


def test_recommend(url: str, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    search("recommend", "--study", url)
    said = capsys.readouterr().out
    assert str(study.trial_folder(1)) in said
    assert "expected of its network: 70.00 % (70.00 to 70.00 with a chance of 95 %)" in said
    search("recommend", "--study", url, "--json")
    body = json.loads(capsys.readouterr().out)
    assert (body["trial"]["number"], body["expected_percent"], body["chance"]) == (1, 70.0, 1.0)


def test_no_best_yet(tmp_path: Path) -> None:
    create_study(tmp_path / "search.sqlite", "new", definition())
    with pytest.raises(StudyError, match="no trial of the study new is complete"):
        search("best", "--study", tmp_path / "search.sqlite")
    with pytest.raises(StudyError, match="no trial is complete, so none can be recommended"):
        search("recommend", "--study", tmp_path / "search.sqlite")


def test_export(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study.json"
    search("export", "--study", url, "-o", out)
    assert capsys.readouterr().out == f"{out}: 4 trials\n"
    search("export", "--study", url, "-o", out, "--json")
    assert json.loads(capsys.readouterr().out) == {"study": "mine", "out": str(out), "trials": 4}
    body = json.loads(out.read_text(encoding="utf-8"))
    assert body["definition"]["optimizer"] == "random"
    assert [each["state"] for each in body["trials"]] == ["complete", "complete", "failed", "running"]


def test_extend(url: str, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    search("extend", "--study", url, "--trials", 30)
    assert capsys.readouterr().out == "study mine: 9 trials before, 30 now\n"
    assert study.max_trials() == 30
    search("extend", "--study", url, "--trials", 30, "--json")
    assert json.loads(capsys.readouterr().out) == {"study": "mine", "max_trials_before": 30, "max_trials": 30}
    for wrong in (0, -1, 10**30, "nan"):
        with pytest.raises(UsageError, match="--trials"):
            search("extend", "--study", url, "--trials", wrong)
    assert study.max_trials() == 30


@pytest.mark.parametrize(("arguments", "kind", "message"), [
    (["--study", "{tmp}/nowhere.sqlite"], StudyError, r"nowhere\.sqlite: there is no such file"),
    (["--study", "{tmp}/search.sqlite", "--name", "other"], StudyError, "holds no study other"),
    (["--study", "mysql://host/db"], StudyError, "mysql:// is no storage that gpunet knows"),
    (["--study", "grpc://host"], StudyError, "names no host and port"),
    (["--study", "{tmp}"], StudyError, "is a folder"),
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
    assert done.returncode == ABSENT_EXIT_CODE
    assert "there is no such file" in done.stderr
    assert "gpunet search create makes a study." in done.stderr
    assert "Traceback" not in done.stderr
