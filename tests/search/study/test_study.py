from __future__ import annotations

import dataclasses
import io
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from helpers.studies import SPACE, Place, Time, definition, every_network
from optuna.trial import TrialState

from gpunet.errors import FAILED_EXIT_CODE, StudyError
from gpunet.model.spec import NetworkSpec
from gpunet.search.storage.storage import WORKERS
from gpunet.search.study.definition import Pruning
from gpunet.search.study.opening import open_study, study_names
from gpunet.search.study.study import DEFINITION, Study
from gpunet.search.work.creation import create_study
from gpunet.testing.servers import HANG_GUARD_S


def made_trial(study: Study, row: int = 0, key: str = "key") -> int:
    return study.create_trial(every_network()[row].tolist(), 0.5, key, 1).number


def test_a_study_is_made_and_opened_elsewhere(place: Place) -> None:
    made = place.create(definition(pruning=Pruning("median")))
    found = place.open()
    assert found.definition == made.definition
    assert (found.name, found.study_id, found.folder) == (place.name, made.study_id, place.folder)
    assert found.max_trials() == 20
    assert found.trials() == []
    assert found.storage.study_id(place.name + WORKERS) is not None
    assert repr(found).startswith(f"<Study {place.name} in ")


def test_optuna_itself_reads_what_a_study_is(place: Place) -> None:
    """By its own interface, without this package: what is searched, where, for what, how, and each trial's network."""
    data = {"data": "digits", "train_split": "train", "holdout": 0.1}
    trainer = {"trainer": "made up", "recipe": {"name": "quick"}, "data": data}
    made = place.create(definition(0.0, 900.0, trainer=trainer, seed=7))
    number = made_trial(made)
    found = optuna.load_study(study_name=place.name, storage=made.storage.raw)
    assert found.direction == optuna.study.StudyDirection.MAXIMIZE
    assert found.metric_names == ["top1_percent"]
    attrs = found.user_attrs
    assert attrs["space"] == json.loads(json.dumps(SPACE.to_dict()))
    assert attrs["tier"] == {"low_ms": 0.0, "high_ms": 900.0}
    assert attrs["objective"] == {
        "metric": "top1_percent", "direction": "maximize", "data": "digits", "split": "train", "part": 0.1, "epochs": 3
    }  # fmt: skip
    assert (attrs["recipe"], attrs["seed"], attrs["folder"]) == ({"name": "quick"}, 7, str(place.folder))
    assert attrs["versions"].keys() >= {"gpunet", "torch", "optuna"}
    trial = found.trials[number].user_attrs
    assert made.trial_folder(number).name == made.trials()[number].folder
    assert (trial["vector"], trial["estimated_ms"]) == (every_network()[0].tolist(), 0.5)
    assert NetworkSpec.from_dict(trial["spec"]) == SPACE.decode(trial["vector"])


def test_making_the_same_study_again_opens_it(place: Place) -> None:
    made = place.create()
    made.set_max_trials(50)
    made_trial(made)
    again = create_study(
        place.url, place.name, definition(max_trials=7), folder=place.folder / "other", storage=place.storage()
    )
    assert again.max_trials() == 50
    assert len(again.trials()) == 1
    assert place.open().folder == place.folder


@pytest.mark.parametrize(("changes", "field"), [
    ({"seed": 1}, "seed"), ({"epochs": 4, "optimizer": "sobol"}, "epochs"), ({"high_ms": 9.0}, "high_ms"),
    ({"trainer": {"layers": (1, 2)}}, "trainer"), ({"pruning": Pruning("median")}, "pruning"),
])  # fmt: skip
def test_another_study_of_the_name_is_refused(changes: dict[str, Any], field: str, file_place: Place) -> None:
    before = file_place.create(definition(trainer={"layers": [1, 2, 3]}))
    with pytest.raises(StudyError, match=rf"holds another study {file_place.name}: its {field} differs") as caught:
        file_place.create(dataclasses.replace(before.definition, **changes))
    assert caught.value.hint == "Give another name, or go on with that one: gpunet search worker."
    assert file_place.open().definition == before.definition


def test_lists_and_tuples_of_a_trainer_are_the_same(file_place: Place) -> None:
    file_place.create(definition(trainer={"layers": (1, 2)}, seed=1))
    file_place.create(definition(trainer={"layers": [1, 2]}, seed=1))
    with pytest.raises(StudyError, match="its seed differs"):
        file_place.create(definition(trainer={"layers": (1, 2)}, seed=2))


_CREATE = """
import json, sys
from pathlib import Path
from gpunet.search.study.definition import StudyDefinition
from gpunet.search.work.creation import create_study
url, name, folder, path = sys.argv[1:]
definition = StudyDefinition.from_dict(json.loads(Path(path).read_text()))
sys.stdin.readline()  # all of them begin together
print(create_study(url, name, definition, folder=folder).study_id)
"""


@pytest.mark.slow
def test_several_processes_make_one_study_at_once(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "definition.json"
    path.write_text(json.dumps(definition().to_dict()), encoding="utf-8")
    command = [sys.executable, "-c", _CREATE, place.url, place.name, str(place.folder), str(path)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        for each in running:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        said = [each.communicate(timeout=HANG_GUARD_S) for each in running]
    finally:
        for each in running:
            each.kill()
            each.wait()
    assert [each.returncode for each in running] == [0] * 4, said
    assert {out.strip() for out, _ in said} == {str(place.open().study_id)}
    assert place.storage().study_names().count(place.name) == 1


def test_of_two_that_make_different_studies_the_first_stays(database: Place) -> None:
    """The second had seen no definition when the first wrote its own, and found the study made."""
    first = definition()
    database.storage().made_study(database.name)
    time = Time()
    winner = database.storage(clock=time, sleep=time.sleep)

    def sleep(seconds: float) -> None:
        create_study(database.url, database.name, first, folder=database.folder, storage=winner)

    late = database.storage(sleep=sleep)
    with pytest.raises(StudyError, match="its seed differs"):
        create_study(database.url, database.name, definition(seed=5), folder=database.folder, storage=late)
    assert database.open().definition == first


def test_one_that_died_while_making_it_is_made_up_for(place: Place) -> None:
    place.storage().made_study(place.name)  # and no more
    time = Time()
    with pytest.raises(StudyError, match=rf"the study {place.name} in .* has no definition") as caught:
        place.open(clock=time, sleep=time.sleep)
    assert "gpunet search create" in caught.value.hint
    assert 9 < time.now_s < 11
    assert place.create(clock=time, sleep=time.sleep).definition == definition()


# ---------------------------------------------------------------------------- trials


def test_a_trial_is_one_of_optunas(place: Place) -> None:
    study = place.create()
    vector = every_network()[5].tolist()
    made = study.create_trial(vector, 0.25, "key", 12)
    assert (made.number, made.state, made.vector, made.session) == (0, "running", tuple(vector), 12)
    assert made.estimated_ms == 0.25
    assert made.spec == SPACE.decode(vector).to_dict()
    seen = optuna.load_study(study_name=place.name, storage=place.storage().raw).trials
    assert seen[0].params == {}  # every reader would parse each of them
    assert seen[0].user_attrs["vector"] == [int(index) for index in vector]
    again = place.open().trials()
    assert again == [made]
    study.record_measured(0, 0.5, {"batch": 1})
    assert place.open().trials()[0].measured == {"latency_ms": 0.5, "conditions": {"batch": 1}}


def test_a_trial_made_twice_counts_once(database: Place) -> None:
    study = database.create()
    made_trial(study)
    first = study.frozen()[0]
    study.storage.raw.create_new_trial(study.study_id, first)
    assert [each.number for each in study.frozen()] == [0]
    assert made_trial(study, 1, "another") == 2
    assert [each.number for each in study.trials()] == [0, 2]


def test_what_others_enqueue_is_left_alone(file_place: Place) -> None:
    study = file_place.create()
    optuna.load_study(study_name=file_place.name, storage=study.storage.raw).enqueue_trial({"x": 1})
    assert study.trials() == []


def test_best_and_front(file_place: Place) -> None:
    study = file_place.create()
    with pytest.raises(StudyError, match=f"no trial of the study {file_place.name} is complete") as caught:
        study.best()
    assert caught.value.hint == "gpunet search worker goes on with it."
    for row, top1 in enumerate((50.0, 70.0, 60.0)):
        number = made_trial(study, row, f"key {row}")
        study.storage.finish(study.trial_id(number), TrialState.COMPLETE, top1)
    assert study.best().number == 1
    assert [each.number for each in study.pareto()] == [1]
    assert study.trial_folder(1) == file_place.folder / "trial-00001"


def test_the_budget_can_be_changed(file_place: Place) -> None:
    study = file_place.create()
    study.set_max_trials(3)
    assert file_place.open().max_trials() == 3
    for wrong in (0, -1, 2.0, True, "3", 10**30):
        with pytest.raises(StudyError, match="max_trials must be an integer from 1 to 1,000,000, but got"):
            study.set_max_trials(wrong)  # type: ignore[arg-type]


def test_export(file_place: Place, tmp_path: Path) -> None:
    study = file_place.create()
    made_trial(study)
    study.export(tmp_path / "deep" / "study.json")
    body = json.loads((tmp_path / "deep" / "study.json").read_text(encoding="utf-8"))
    assert body["study"] == file_place.name
    assert body["definition"] == json.loads(json.dumps(study.definition.to_dict()))
    assert body["max_trials"] == 20
    assert [each["number"] for each in body["trials"]] == [0]


# ---------------------------------------------------------------------------- opening


def test_the_only_study_needs_no_name(file_place: Place) -> None:
    with pytest.raises(StudyError, match="holds no study") as caught:
        open_study(file_place.url, storage=file_place.storage())
    assert caught.value.hint == "gpunet search create makes one."
    with pytest.raises(StudyError, match="holds no study nobody") as caught:
        open_study(file_place.url, "nobody", storage=file_place.storage())
    assert caught.value.hint == "gpunet search create makes one."
    file_place.create()
    assert open_study(file_place.url, reading=True).name == file_place.name
    create_study(file_place.url, "another", definition(), storage=file_place.storage())
    with pytest.raises(StudyError, match=f"holds 2 studies: another, {file_place.name}") as caught:
        open_study(file_place.url, storage=file_place.storage())
    assert caught.value.hint == "Name one: --name NAME"
    with pytest.raises(StudyError, match="holds no study nobody") as caught:
        open_study(file_place.url, "nobody", storage=file_place.storage())
    assert caught.value.hint == f"It holds another, {file_place.name}."


def test_a_study_of_a_newer_version(file_place: Place) -> None:
    study = file_place.create()
    study.storage.set_study_attr(study.study_id, DEFINITION, {**definition().to_dict(), "definition_version": 2})
    with pytest.raises(StudyError, match=f"study {file_place.name} cannot be read: definition_version: 2") as caught:
        file_place.open()
    assert caught.value.hint == "A newer gpunet wrote this study: upgrade gpunet."


@pytest.mark.parametrize("folder", [None, 7, ""])
def test_a_study_that_does_not_say_its_folder(folder: object, file_place: Place) -> None:
    study = file_place.create()
    study.storage.set_study_attr(study.study_id, "folder", folder)
    with pytest.raises(StudyError, match="does not say where its checkpoints lie") as caught:
        file_place.open()
    assert (caught.value.hint, caught.value.exit_code) == ("Say it: --folder DIR", FAILED_EXIT_CODE)
    assert open_study(file_place.url, folder="/elsewhere").folder == Path("/elsewhere")


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_a_record_that_is_no_json(text: str, file_place: Place) -> None:
    file_place.create()
    with closing(sqlite3.connect(file_place.url)) as file, file:
        file.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = 'definition'", (text,))
    with pytest.raises(StudyError, match="holds a study whose attributes cannot be read") as caught:
        file_place.open()
    assert caught.value.exit_code == FAILED_EXIT_CODE


def test_the_names_of_the_studies_of_a_database(file_place: Place, tmp_path: Path) -> None:
    assert study_names(file_place.url) == []
    file_place.create()
    create_study(file_place.url, "another", definition(), storage=file_place.storage())
    assert study_names(file_place.url) == ["another", file_place.name]
    with pytest.raises(StudyError, match="there is no such file"):
        study_names(tmp_path / "nowhere.sqlite")
    assert not (tmp_path / "nowhere.sqlite").exists()


def test_the_folder_lies_beside_the_file_or_is_given(
    file_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = create_study("sqlite:///search.sqlite", "first", definition())
    assert made.folder == tmp_path / "search-first"
    assert open_study("search.sqlite", "first", folder=tmp_path / "moved").folder == tmp_path / "moved"
    with pytest.raises(StudyError, match="is no file, so nothing says where checkpoints go") as caught:
        create_study("grpc://127.0.0.1:1", "first", definition(), storage=_Elsewhere())  # type: ignore[arg-type]
    assert caught.value.hint == "Give a folder that every worker reaches: --folder DIR"


class _Elsewhere:
    url = "grpc://127.0.0.1:1"


@pytest.mark.parametrize("name", ["", "a b", "study/workers", ".hidden", None])
def test_names(name: Any, file_place: Place) -> None:
    with pytest.raises(StudyError, match="a study's name has letters, digits"):
        create_study(file_place.url, name, definition())


def test_a_study_whose_folder_was_moved(file_place: Place, tmp_path: Path) -> None:
    made = file_place.create()
    made.move(tmp_path / "moved")
    assert made.folder == file_place.open().folder == tmp_path / "moved"


@pytest.mark.slow
def test_a_dashboard_shows_the_study(file_place: Place) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    study = file_place.create()
    number = made_trial(study)
    study.storage.report(study.trial_id(number), 1, 40.0)
    study.storage.finish(study.trial_id(number), TrialState.COMPLETE, 55.0)
    application = dashboard.wsgi(study.storage.raw)

    def get(path: str) -> Any:
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "localhost",
            "SERVER_PORT": "80", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http", "SERVER_PROTOCOL": "HTTP/1.1",
        }  # fmt: skip
        body = b"".join(application(environ, lambda status, *_: statuses.append(status)))
        assert statuses == ["200 OK"], body
        return json.loads(body)

    shown = {each["study_name"]: each["study_id"] for each in get("/api/studies")["study_summaries"]}
    assert shown[file_place.name] == study.study_id
    trials = get(f"/api/studies/{study.study_id}")["trials"]
    assert [(each["number"], each["state"], each["values"]) for each in trials] == [(0, "Complete", [55.0])]
    assert trials[0]["intermediate_values"] == [{"step": 1, "value": 40.0}]
    assert {each["key"] for each in trials[0]["user_attrs"]} >= {"vector", "spec", "estimated_ms"}
