"""gpunet/populate/plan.py and place.py: what a plan may say, and that a folder of state keeps to its plan."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from helpers import ROOT

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.populate.command import plan_given
from gpunet.populate.place import StateFolder, first_difference
from gpunet.populate.plan import Plan
from gpunet.populate.plan_file import plan_from_dict, read_plan
from gpunet.populate.presets import PRESETS
from gpunet.search.spaces.paper import PAPER_SPACE
from gpunet.search.spaces.vit_space import VitSpace
from gpunet.train.recipes import recipe_named

VIT = VitSpace((224,), (16,), (192,), (12,), (3,))
LEAST = {
    "name": "x",
    "space": "paper",
    "search": {"trials": 5, "recipe": "paper-rank", "data": "digits"},
    "fine_tune": {"recipe": "paper-finetune"},
}


def changed(**parts: object) -> dict:
    """The least plan with other parts; a dict is merged into the part that is there."""
    body = json.loads(json.dumps(LEAST))
    for name, value in parts.items():
        old = body.get(name)
        body[name] = {**(old if isinstance(old, dict) else {}), **value} if isinstance(value, dict) else value
    return body


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_plan_is_json_both_ways(preset: str):
    plan = PRESETS[preset]()
    assert plan_from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_the_guides_plan_is_the_papers():
    plan = read_plan(ROOT / "docs" / "h100-imagenet.toml")
    assert plan.space == PAPER_SPACE
    assert (plan.search.recipe.epochs, plan.fine_tune.recipe.epochs) == (300, 150)
    assert plan.tiers.bounds_ms == (0.5, 0.8, 1.25)
    assert plan.search.data.holdout == 0.04


def test_toml_yaml_and_json_say_the_same(tmp_path: Path):
    (tmp_path / "plan.json").write_text(json.dumps(LEAST))
    (tmp_path / "plan.yaml").write_text(
        "name: x\nspace: paper\nsearch: {trials: 5, recipe: paper-rank, data: digits}\n"
        "fine_tune: {recipe: paper-finetune}\n"
    )
    (tmp_path / "plan.toml").write_text(
        'name = "x"\nspace = "paper"\n[search]\ntrials = 5\nrecipe = "paper-rank"\ndata = "digits"\n'
        '[fine_tune]\nrecipe = "paper-finetune"\n'
    )
    plans = [read_plan(tmp_path / f"plan.{kind}") for kind in ("json", "yaml", "toml")]
    assert plans[0] == plans[1] == plans[2]


def test_recipes_and_spaces_may_be_files_beside_the_plan(tmp_path: Path):
    plan = PRESETS["demo"]()
    (tmp_path / "space.json").write_text(json.dumps(plan.space.to_dict()))
    (tmp_path / "rank.json").write_text(plan.search.recipe.to_json())
    (tmp_path / "plan.json").write_text(
        json.dumps(changed(space="space.json", search={"recipe": "rank.json", "epochs": 7}))
    )
    read = read_plan(tmp_path / "plan.json")
    assert read.space == plan.space
    assert read.search.recipe == dataclasses.replace(plan.search.recipe, epochs=7)


def test_what_a_plan_names_is_named_from_its_folder(tmp_path: Path):
    for name in ("pets", "teacher"):
        (tmp_path / "plans" / name).mkdir(parents=True)
    recipe = {**recipe_named("paper-finetune").to_dict(), "distillation": {}}
    body = changed(
        search={"data": {"data": "pets", "class_map": "names.txt"}, "storage": "studies.sqlite"},
        fine_tune={"recipe": recipe, "teacher": "teacher", "teacher_weights": "teacher.safetensors"},
    )
    (tmp_path / "plans/plan.json").write_text(json.dumps(body))
    plan = read_plan(tmp_path / "plans/plan.json")
    named = [plan.search.data.data, plan.search.data.class_map, plan.search.storage, plan.fine_tune.teacher,
             plan.fine_tune.teacher_weights]  # fmt: skip
    files = ["pets", "names.txt", "studies.sqlite", "teacher", "teacher.safetensors"]
    assert named == [str(tmp_path / "plans" / each) for each in files]
    assert plan_from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    body["search"]["storage"], body["fine_tune"]["teacher"] = "postgresql://db/gpunet", "resnet50"
    other = plan_from_dict(body, tmp_path)
    assert (other.search.storage, other.fine_tune.teacher) == ("postgresql://db/gpunet", "resnet50")


def test_the_download_of_the_teacher_is_bounded_by_the_plan_or_the_command(tmp_path: Path):
    recipe = {**recipe_named("paper-finetune").to_dict(), "distillation": {}}
    body = changed(fine_tune={"recipe": recipe, "teacher": "resnet50", "teacher_timeout_s": 60})
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(body))
    assert plan_given(path, None).fine_tune.teacher_timeout_s == 60
    assert plan_given(path, None, 0.5).fine_tune.teacher_timeout_s == 0.5
    with pytest.raises(InvalidArgumentError, match="--timeout must be a finite number above 0, but got 0"):
        plan_given(path, None, 0)
    with pytest.raises(InvalidArgumentError, match="--timeout is given, but the plan has no teacher to download"):
        plan_given(None, "demo-small", 5)


def test_the_data_of_a_plan_may_move(tmp_path: Path):
    def at(disk: str, name: str = "pets") -> Plan:
        return plan_from_dict(changed(search={"data": {"data": f"{disk}/{name}"}}))

    with StateFolder(tmp_path / "state", at("/mnt/a")).held():
        pass
    with StateFolder(tmp_path / "state", at("/mnt/b")).held():
        pass
    with (
        pytest.raises(InvalidArgumentError, match=r"search\.data\.data has changed"),
        StateFolder(tmp_path / "state", at("/mnt/b", "cars")).held(),
    ):
        pass


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], r"plan: \[\] is not an object"),
        ({**LEAST, "plan_version": 9}, "plan_version: 9 is not 1"),
        ({"name": "x"}, "space: missing"),
        (changed(name="a b"), "name: 'a b' is not of letters"),
        (changed(serach={}), "serach: unknown key"),
        (changed(search={"trails": 5}), "search.trails: unknown key"),
        (changed(search={"trials": 0}), "search.trials: 0 is out of range"),
        (changed(search={"recipe": "nothing"}), "recipe: 'nothing' is none of"),
        (changed(search={"recipe": 3}), "search.recipe: 3 is not a recipe's name"),
        (changed(search={"data": {"holdout": 2}}), "search.data.data: missing"),
        (changed(search=3), "search: 3 is not an object"),
        (changed(search={"cluster": "moon"}), "search.cluster: 'moon' is not one of local, ray"),
        (changed(search={"recipe": "gpunet_d1"}), "search.recipe: it has distillation"),
        (changed(search={"grace_s": 20}), "search.grace_s: 20 is out of range"),
        (changed(fine_tune={"teacher_timeout_s": 0}), "fine_tune.teacher_timeout_s: 0 is out of range; it is above 0"),
        (changed(fine_tune={"recipe": "gpunet_d1"}), "fine_tune.teacher: it goes with a recipe"),
        (changed(fine_tune={"teacher": "x"}), "fine_tune.teacher: it goes with a recipe"),
        (changed(device={"precision": "int8"}), "device.precision: 'int8' is not one of fp32, fp16"),
        (changed(device={"threads": 0}), "device.threads: 0 is out of range"),
        (changed(table={"fraction": 0}), "table.fraction: 0 is out of range"),
        (changed(table={"jobs": 2}), "table.jobs: builders that share processors"),
        (changed(table={"from_records": 1}), "table.from_records: 1 is not true or false"),
        (changed(table={"from_records": True}), "device.chip: 'local', but table.from_records is of a V100"),
        (changed(table={"from_records": True}, device={"chip": "gv100"}), "device.precision: 'fp32', but"),
        (changed(table={"from_records": True}, device={"chip": "gv100", "runtime": "openvino"}), "device.runtime: 'op"),
        (changed(tiers={"bounds_ms": [2, 1]}), r"tiers.bounds_ms: \[2, 1\] does not rise"),
        (changed(tiers={"bounds_ms": 2}), "tiers.bounds_ms: 2 is not a list"),
        (changed(tiers={"quantiles": [1.5]}), "tiers.quantiles: 1.5 is out of range"),
        (changed(tiers={"lowest": 0.9, "highest": 0.1}), "tiers.highest: 0.1 is out of range"),
        (changed(publish={"name": "same"}), "publish.name: 'same' lacks {tier}"),
        (changed(space={"name": "paper", "px": 3}), "space.px: unknown key"),
        (changed(space="nothing.json"), "space: --space .*nothing.json"),
        (changed(space=3), "space: 3 is not a name, a file or an object"),
        (changed(space={"space": [1]}), "space: "),
        ({**LEAST, "space": {}}, "space"),
        ({**LEAST, "space": {"name": "paper", "resolutions_px": 5}}, "space.resolutions_px: 5 is not a list"),
        ({**LEAST, "space": {"name": "paper", 3: 4}}, "space.3: unknown key"),
        (changed(search={"storage": 5}), "search.storage: 5 is not a file or a URL"),
        (changed(search={"storage": "mysql://x"}), "search.storage: mysql:// is no storage"),
        (changed(search={"storage": "grpc://h"}), "search.storage: grpc://h names no host and port"),
        (changed(search={"device": "tpu"}), "search.device: 'tpu' is not one of cpu"),
        (changed(search={"image_workers": -1}), "search.image_workers: -1 is out of range"),
        (changed(device={"runtime": "nonsense"}), "device.runtime: 'nonsense' is not one of tensorrt"),
        (changed(device={"runtime": "pytorch"}), "device.runtime: 'pytorch' is not one of tensorrt"),
        (changed(fine_tune={"recipe": "gpunet_d1", "teacher": 5}), "fine_tune.teacher: 5"),
        (changed(publish={"note": 5}), "publish.note: 5 is not a text"),
        (changed(publish={"name": "../{tier}"}), "publish.name: '../{tier}' is not of letters"),
        (changed(tiers={"bounds_ms": []}), "tiers.bounds_ms: there is none"),
    ],
)  # fmt: skip
def test_what_a_plan_may_not_say(body: object, text: str):
    with pytest.raises(SpecError, match=text):
        plan_from_dict(body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("plan.toml", "name = ", "is not TOML"),
        ("plan.json", "{", "is not JSON"),
        ("plan.yaml", "a: [", "is not YAML"),
        ("plan.txt", "", "is of no known kind"),
        ("missing.toml", None, "cannot read"),
    ],
)
def test_files_that_are_no_plans(tmp_path: Path, name: str, content: str | None, text: str):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=text):
        read_plan(tmp_path / name)


# ----------------------------------------------------------------- the folder


@pytest.fixture
def plan() -> Plan:
    return PRESETS["demo"]()


def test_a_folder_keeps_to_its_plan(tmp_path: Path, plan: Plan):
    with StateFolder(tmp_path / "state", plan).held():
        pass
    more = dataclasses.replace(plan, search=dataclasses.replace(plan.search, trials=99, workers=1))
    with StateFolder(tmp_path / "state", more).held():
        pass
    other = dataclasses.replace(plan, search=dataclasses.replace(plan.search, seed=5))
    with (
        pytest.raises(InvalidArgumentError, match=r"begun with another plan: search\.seed has changed"),
        StateFolder(tmp_path / "state", other).held(),
    ):
        pass


def test_one_at_a_time(tmp_path: Path, plan: Plan):
    with (
        StateFolder(tmp_path, plan).held(),
        pytest.raises(InvalidArgumentError, match="another process is at work in"),
        StateFolder(tmp_path, plan).held(),
    ):
        pass


def test_a_folder_that_cannot_be_written(tmp_path: Path, plan: Plan):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InvalidArgumentError, match="cannot be written"),
        StateFolder(tmp_path / "file" / "x", plan).held(),
    ):
        pass


def test_the_first_difference_is_named_by_its_path():
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) == ""
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "a.b"
    assert first_difference({"a": 1}, {"a": 1, "c": 2}) == "c"
