from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.studies import definition

from gpunet.cli.main import main
from gpunet.errors import StudyError
from gpunet.search.storage.storage import StudyStorage
from gpunet.search.study.opening import open_study
from gpunet.search.study.study import BUDGET, Study
from gpunet.search.work.creation import create_study


def search(*arguments: object) -> None:
    main(["search", *map(str, arguments)])


def test_status(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    search("status", "--study", url, "--name", "mine")
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "study mine: 4 of 9 trials, 0 to 900 ms, random"
    assert said.out.splitlines()[1] == "2 complete, 0 pruned, 1 failed, 1 running, 0 waiting"
    assert said.out.splitlines()[2].startswith("1 workers registered: ")
    assert said.out.splitlines()[3] == "best: trial 1, 70.00 %, 1.1 ms estimated"
    assert "trial 2 failed: a layer is too wide" in said.err
    search("status", "--study", url, "--name", "mine", "--json")
    body = json.loads(capsys.readouterr().out)
    assert (body["study"], body["max_trials"], body["trials"], body["complete"]) == ("mine", 9, 4, 2)
    assert body["best"]["number"] == 1
    assert len(body["workers"]) == 1


def test_status_of_one_that_has_just_been_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create_study(tmp_path / "search.sqlite", "new", definition())
    search("status", "--study", tmp_path / "search.sqlite", "--name", "new")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "study new: 0 of 20 trials, 0 ms or more, random"
    assert said[2] == "0 workers registered"
    search("status", "--study", tmp_path / "search.sqlite", "--name", "new", "--json")
    assert json.loads(capsys.readouterr().out)["best"] is None


def test_status_without_a_name_lists_all(
    study: Study, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    create_study(url, "new", definition())
    bare = StudyStorage(url)
    bare.made_study("bare")
    bare.close()
    search("status", "--study", url)
    said = capsys.readouterr()
    rows = [line.split() for line in said.out.splitlines()[2:]]
    assert rows == [
        ["bare", "-", "-", "-", "-", "-"],
        ["mine", "3/9", "1", "1", "70.00", "1.10"],
        ["new", "0/20", "0", "0", "-", "-"],
    ]  # fmt: skip
    assert "the study bare" in said.err
    assert "has no definition" in said.err
    search("status", "--study", url, "--json")
    first, second, third = json.loads(capsys.readouterr().out)
    assert first["study"] == "bare"
    assert "no definition" in first["error"]
    assert (second["study"], second["max_trials"], second["complete"], second["best"]["number"]) == ("mine", 9, 2, 1)
    assert (third["study"], third["workers"], third["best"]) == ("new", [], None)


def test_status_of_a_database_without_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    StudyStorage(tmp_path / "empty.sqlite").close()
    search("status", "--study", tmp_path / "empty.sqlite")
    assert capsys.readouterr().out == "no studies yet; 'gpunet search create' makes one\n"


def test_a_budget_that_is_damaged_is_set_anew(study: Study, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    study.storage.set_study_attr(study.study_id, BUDGET, "many")
    with pytest.raises(StudyError, match="max_trials of the study mine must be an integer") as caught:
        search("status", "--study", url, "--name", "mine")
    assert "gpunet search extend --trials N" in caught.value.hint
    search("extend", "--study", url, "--trials", 12)
    assert open_study(url).max_trials() == 12
