from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import recipe
from helpers.studies import definition
from safetensors.torch import load_file, save_file

from gpunet.errors import (
    CheckpointError,
    DataError,
    InvalidArgumentError,
    PreemptedError,
    SpecError,
    TrainingError,
    WeightsError,
)
from gpunet.search import ConvSpace, RecipeTrainer, SearchData, StageChoices, Trained, VitSpace, trainer_from_dict
from gpunet.train import Distillation, Optimization, Teacher, open_data
from gpunet.train.recipe import Augmentation, Schedule

SPACE = ConvSpace(
    (16,), (8,),
    (StageChoices("conv", 2, None, (3,), activations=("swish",)),
     StageChoices("irb", 2, (8, 16), (3,), (1, 2), ("swish",), (2,), (True,))),
    head_filters=16,
)  # fmt: skip
VITS = VitSpace((16,), (4, 8), (12,), (1,), (2, 3), (2,))
DATA = SearchData("digits", fraction=0.12)
RECIPE = recipe(epochs=2)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Reports(list):
    """What a trainer reported, and whether it is told to prune after an epoch."""

    def __init__(self, prune_after: int = 0) -> None:
        self.prune_after = prune_after

    def __call__(self, epoch: int, top1_percent: float, train_loss: float) -> bool:
        self.append((epoch, top1_percent, train_loss))
        return epoch == self.prune_after


def trainer(space: Any = SPACE, how: Any = RECIPE, data: SearchData = DATA, **options: Any) -> RecipeTrainer:
    return RecipeTrainer(space, how, data, device="cpu", **options)


def trained(made: RecipeTrainer, folder: Path, report: Reports | None = None, vector: Any = None,
            steps: int | None = None, seed: int = 3) -> Trained:  # fmt: skip
    """The space's last network, unless another is named; asked to leave after some steps."""
    left = iter([False] * steps) if steps is not None else None
    stop: Callable[[], bool] = (lambda: False) if left is None else (lambda: next(left, True))
    vector = digits_of(made.space) if vector is None else vector
    return made(vector, folder, seed=seed, report=Reports() if report is None else report, should_stop=stop)


def same(first: Path | None, second: Path | None) -> bool:
    assert first is not None
    assert second is not None
    one, two = load_file(first), load_file(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def digits_of(space: Any) -> list[int]:
    return [len(digit.values) - 1 for digit in space.digits]


# ---------------------------------------------------------------------- trials


def test_a_trial_is_trained_and_told_epoch_by_epoch(tmp_path: Path) -> None:
    made, seen = trainer(), Reports()
    made.check()
    result = trained(made, tmp_path, seen)
    assert [epoch for epoch, _, _ in seen] == [1, 2]
    assert seen[1][2] < seen[0][2]
    assert result.top1_percent == max(top1 for _, top1, _ in seen) > 0
    assert (result.epochs, result.pruned, result.weights) == (2, False, tmp_path / "model.safetensors")
    assert result.seconds > 0
    assert result.weights is not None
    SPACE.build(digits_of(SPACE), num_classes=10).load_state_dict(load_file(result.weights))
    assert not (tmp_path / "checkpoints").exists(), "thousands of trials fill a disk"


def test_the_seed_decides_and_the_callers_generators_stay(tmp_path: Path) -> None:
    one_epoch, results = trainer(how=recipe(epochs=1)), []
    for number, seed in enumerate((3, 3, 4)):
        before = torch.random.get_rng_state()
        results.append(trained(one_epoch, tmp_path / str(number), seed=seed).weights)
        assert torch.equal(before, torch.random.get_rng_state())
        torch.rand(1)
    assert same(results[0], results[1])
    assert not same(results[0], results[2])
    with pytest.raises(InvalidArgumentError, match=r"seed must be an integer from 0 to .* but got -1"):
        trained(trainer(), tmp_path / "4", seed=-1)


@pytest.mark.parametrize("space", [SPACE, VITS], ids=["conv", "vit"])
def test_a_trial_that_was_left_ends_as_if_it_had_not_been(tmp_path: Path, space: Any) -> None:
    how = recipe(epochs=2, dropout=0.2, drop_path=0.2)
    whole, seen = Reports(), Reports()
    expected = trained(trainer(space, how), tmp_path / "whole", whole)
    for steps in (2, 1, 3):
        seen.clear()
        with pytest.raises(PreemptedError, match="asked to leave"):
            trained(trainer(space, how), tmp_path / "left", seen, steps=steps)
    result = trained(trainer(space, how), tmp_path / "left", seen := Reports())
    assert seen == whole
    assert same(expected.weights, result.weights)
    assert dataclasses.replace(result, weights=None, seconds=0) == dataclasses.replace(
        expected, weights=None, seconds=0
    )
    # Killed after its end, before it could tell: it tells.
    told = trained(trainer(space, how), tmp_path / "left", seen := Reports())
    assert (told, list(seen)) == (result, list(whole))


def test_prune_ends_a_trial(tmp_path: Path) -> None:
    result = trained(trainer(how=recipe(epochs=3)), tmp_path, seen := Reports(1))
    assert (result.pruned, result.epochs, len(seen)) == (True, 1, 1)
    assert result.weights is not None
    assert result.weights.exists()
    assert trained(trainer(how=recipe(epochs=3)), tmp_path, Reports()) == result


def test_a_prune_that_is_given_for_an_epoch_before_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(PreemptedError):
        trained(trainer(how=recipe(epochs=3)), tmp_path, seen := Reports(), steps=20)
    assert len(seen) == 1
    result = trained(trainer(how=recipe(epochs=3)), tmp_path, seen := Reports(1))
    assert (result.pruned, result.epochs, len(seen)) == (True, 1, 1)


def test_a_folder_is_of_one_network(tmp_path: Path) -> None:
    """The heads of a transformer change neither its parameters nor their shapes."""
    made = trainer(VITS, recipe(epochs=1))
    trained(made, tmp_path / "one", vector=[0, 0, 0, 0, 0, 0])
    with pytest.raises(TrainingError, match=r"holds another run: its vector, space or first weights are not these"):
        trained(made, tmp_path / "one", vector=[0, 0, 0, 0, 1, 0])
    (tmp_path / "file").write_text("", encoding="utf-8")
    for folder in (tmp_path / "file", tmp_path / "one"):
        if folder.is_dir():
            (folder / "network.json").write_text("{", encoding="utf-8")
        with pytest.raises(TrainingError, match=r"network.json cannot be written or read: .*\nGive another folder"):
            trained(made, folder, vector=[0, 0, 0, 0, 0, 0])


def test_a_network_is_built_with_what_the_recipe_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    built, build = [], VitSpace.build

    def recorded(self: VitSpace, vector: Any, **options: Any) -> Any:
        built.append((list(vector), options))
        return build(self, vector, **options)

    monkeypatch.setattr(VitSpace, "build", recorded)
    trainer(VITS, recipe(dropout=0.2, drop_path=0.3)).check()
    trainer(VITS, recipe()).check()
    rates = {"drop_rate": 0.2, "drop_path_rate": 0.3}
    assert built == [([0] * 6, {"num_classes": 10, **rates}), ([0] * 6, {"num_classes": 10})]


def test_a_transformer_says_how_it_takes_images() -> None:
    from gpunet.model.preprocessing import image_config

    config = image_config(VITS.build([0] * 6, num_classes=10))
    assert (config["input_size"], config["crop_pct"]) == ((3, 16, 16), 1.0)
    assert image_config(VITS.build([0] * 6, num_classes=10, in_chans=1))["input_size"] == (1, 16, 16)


# ------------------------------------------------------------------------ data


def test_networks_are_ranked_on_images_that_nobody_trains_on() -> None:
    images, ranking, classes = SearchData("digits").ranking()
    assert classes == 10
    assert (images.dataset, images.name) == (ranking.dataset, "digits (train), all but 0.1 of each class")
    assert images.rows is not None
    assert ranking.rows is not None
    assert not set(images.rows) & set(ranking.rows)
    assert len(images) + len(ranking) == 1437
    few, same_ranking, _ = SearchData("digits", fraction=0.2).ranking()
    assert set(few.rows or ()) < set(images.rows)
    assert same_ranking.rows == ranking.rows
    assert SearchData("digits", seed=1).ranking()[1].rows != ranking.rows
    _, validation, _ = SearchData("digits", holdout=0, validation_fraction=0.5).ranking()
    assert validation.name == "digits (validation), 0.5 of each class"
    whole, validation, _ = DATA.whole()
    assert (len(whole), len(validation), whole.rows) == (1437, 360, None)
    with pytest.raises(SpecError, match=r"^data.validation_split: 'train' is the training split too"):
        DATA.whole(validation_split="train")


def test_a_trial_does_not_open_the_validation_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpunet.train.data import digits

    monkeypatch.setattr(digits, "SPLITS", ("train",))
    made = trainer(how=recipe(epochs=1))
    made.check()
    assert trained(made, tmp_path).epochs == 1
    with pytest.raises(DataError, match="digits has the splits train, but got 'validation'"):
        made.fine_tune(digits_of(SPACE), tmp_path / "model.safetensors", tmp_path / "tuned", RECIPE, seed=0)


def test_of_a_stream_no_part_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = dataclasses.replace(open_data("digits"), streamed=True)
    monkeypatch.setattr("gpunet.train.data.datasets.open_training_data", lambda *_, **__: stream)
    with pytest.raises(DataError, match=r"is a stream, so no part of it can be kept out.*\nGive holdout=0"):
        SearchData("digits").ranking()
    images, ranking, _ = SearchData("digits", holdout=0).ranking()
    assert images is stream
    assert ranking.name == "digits (validation)"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"data": ""}, "data.data: '' is not a name"),
        ({"root": 3}, "data.root: 3 is not a name"),
        ({"fraction": 0}, "data.fraction: 0 is out of range; it is above 0 and at most 1"),
        ({"validation_fraction": 2}, "data.validation_fraction: 2 is out of range"),
        ({"holdout": 1}, "data.holdout: 1 is out of range; it is at least 0 and below 1"),
        ({"num_classes": 1}, "data.num_classes: 1 is out of range"),
        ({"seed": -1}, "data.seed: -1 is out of range"),
        ({"validation_fraction": 0.5}, "data.validation_fraction: 0.5 is of no effect beside a holdout of 0.1"),
        ({"train_split": "a", "validation_split": "a"}, "data.validation_split: 'a' is the training split too"),
    ],
)
def test_wrong_search_data(body: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        SearchData(**{"data": "digits", **body})
    assert str(caught.value).startswith(said)


# ----------------------------------------------------------------------- faults


def test_faults_show_before_a_trial_starts(tmp_path: Path) -> None:
    def refused(kind: type[Exception], said: str, made: RecipeTrainer) -> None:
        with pytest.raises(kind, match=said):
            made.check()

    distilled = recipe(distillation=Distillation())
    refused(DataError, "no-such: there is no such folder", trainer(data=SearchData("no-such")))
    refused(DataError, "the model has 4 classes and .* has 10", trainer(data=SearchData("digits", num_classes=4)))
    refused(
        DataError, r"has 1\d images, too few for one update of 32", trainer(data=SearchData("digits", fraction=0.01))
    )
    refused(
        SpecError, "optimization.optimizer: timm cannot make 'x'", trainer(how=recipe(optimization=Optimization("x")))
    )
    refused(SpecError, "schedule: timm cannot make 'x'", trainer(how=recipe(schedule=Schedule("x"))))
    refused(SpecError, "augmentation.policy: timm cannot make 'x'", trainer(how=recipe(augmentation=Augmentation("x"))))
    refused(InvalidArgumentError, "the recipe test has distillation, but there is no teacher", trainer(how=distilled))
    other = Teacher(SPACE.build(digits_of(SPACE), num_classes=4))
    refused(
        InvalidArgumentError, "the teacher has 4 classes and .* has 10", trainer(how=distilled, teacher=lambda: other)
    )
    with pytest.raises(InvalidArgumentError, match="the recipe test has distillation, but there is no teacher"):
        trained(trainer(how=distilled), tmp_path / "run")


def test_data_of_one_class_ranks_nothing(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "train" / "only").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / "train" / "only" / f"{number}.png")
    with pytest.raises(DataError, match=r"names 1 class, but networks tell two or more apart\.\nGive num_classes=N"):
        trainer(data=SearchData(str(tmp_path))).check()


def test_a_teacher_is_made_once_and_learnt_from(tmp_path: Path) -> None:
    made = []

    def teacher() -> Teacher:
        torch.manual_seed(1)
        made.append(Teacher(SPACE.build(digits_of(SPACE), num_classes=10)))
        return made[-1]

    how = recipe(epochs=1, distillation=Distillation(weight=0.9))
    with_teacher = trainer(how=how, teacher=teacher)
    with_teacher.check()
    first = trained(with_teacher, tmp_path / "1")
    second = trained(with_teacher, tmp_path / "2")
    plain = trained(trainer(how=recipe(epochs=1), teacher=teacher), tmp_path / "3")
    assert len(made) == 1
    assert same(first.weights, second.weights)
    assert not same(first.weights, plain.weights)


# ------------------------------------------------------------------ fine-tuning


@pytest.mark.parametrize("space", [SPACE, VITS], ids=["conv", "vit"])
def test_fine_tuning_begins_with_a_trials_weights_and_goes_on(tmp_path: Path, space: Any) -> None:
    made, vector = trainer(space), digits_of(space)
    weights = trained(made, tmp_path / "trial").weights
    assert weights is not None
    slow = recipe(epochs=1, optimization=Optimization("sgd", 1e-12), ema_decay=None)
    still = made.fine_tune(vector, weights, tmp_path / "still", slow, seed=0, fraction=0.1)
    before, after = load_file(weights), load_file(still.weights)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name, _ in space.build(vector, num_classes=10).named_parameters())  # fmt: skip # noqa: E501
    how = recipe(epochs=2)
    whole = made.fine_tune(vector, weights, tmp_path / "whole", how, seed=0, fraction=0.1)
    assert [score.epoch for score in whole.scores] == [1, 2]
    recorded = json.loads((tmp_path / "whole" / "run.json").read_text(encoding="utf-8"))
    assert (recorded["validation"]["name"], recorded["validation"]["images"]) == ("digits (validation)", 360)
    left = iter([False] * 3)
    with pytest.raises(PreemptedError):
        made.fine_tune(vector, weights, tmp_path / "left", how, seed=0, fraction=0.1,
                       should_stop=lambda: next(left, True))  # fmt: skip
    resumed = made.fine_tune(vector, weights, tmp_path / "left", how, seed=0, fraction=0.1, validation="validation")
    assert same(whole.weights, resumed.weights)
    assert resumed.best.top1_percent == whole.best.top1_percent
    with pytest.raises(TrainingError, match="its vector, space or first weights are not these"):
        made.fine_tune(vector, whole.weights, tmp_path / "left", how, seed=0, fraction=0.1)


def test_fine_tuning_refuses_weights_of_another_network(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, kind, said in (
        ("other", CheckpointError, "does not fit the model"), ("none", WeightsError, "there is no such file"),
    ):  # fmt: skip
        with pytest.raises(kind, match=said):
            trainer().fine_tune(digits_of(SPACE), tmp_path / f"{name}.safetensors", tmp_path / "run", RECIPE, seed=0)
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------- JSON


def test_json_gives_the_trainer_back(tmp_path: Path) -> None:
    made = trainer(data=SearchData("digits", root=tmp_path, holdout=0.2))  # type: ignore[arg-type]
    record = json.loads(json.dumps(made.to_dict()))
    assert (record["trainer"], record["trainer_version"]) == ("recipe", 1)
    again = trainer_from_dict(record, SPACE, device="cpu", workers=1, keep=2)
    assert (again.space, again.recipe, again.data) == (SPACE, made.recipe, made.data)
    assert again.to_dict() == record
    for change, said in (
        ({"trainer": "other"}, "^trainer: 'other' is not one of 'recipe'"),
        ({"trainer_version": 2}, "^trainer_version: 2 is not 1\nA newer gpunet wrote this trainer"),
        ({"more": 1}, "^trainer.more: unknown key"),
        ({"data": {}}, "^data.data: missing"),
        ({"data": {"data": "digits", "x": 1}}, "^data.x: unknown key"),
        ({"recipe": 3}, "^recipe: 3 is not an object"),
    ):
        with pytest.raises(SpecError, match=said):
            trainer_from_dict({**record, **change}, SPACE)
    del record["data"]
    with pytest.raises(SpecError, match=r"^trainer.data: missing"):
        trainer_from_dict(record, SPACE)
    with pytest.raises(SpecError, match=r"^trainer: \[\] is not an object"):
        trainer_from_dict([], SPACE)  # type: ignore[arg-type]


# ------------------------------------------------------------------ where data lies


def test_data_is_placed_so_that_it_opens_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk/pets").mkdir(parents=True)
    given = {"class_map": "names.txt", "holdout": 0.2}
    placed = SearchData("pets", root="disk", **given).absolute(tmp_path)  # type: ignore[arg-type]
    expected = SearchData(str(tmp_path / "disk/pets"), class_map=str(tmp_path / "names.txt"), holdout=0.2)
    assert placed == placed.absolute("/elsewhere") == expected
    assert SearchData("disk/pets").absolute(tmp_path) == SearchData(str(tmp_path / "disk/pets"))
    assert SearchData("no-such").absolute(tmp_path).data == str(tmp_path / "no-such")
    assert SearchData("digits").absolute(tmp_path) == SearchData("digits")
    named = SearchData("hfds/user/name", root="cache").absolute(tmp_path)
    assert named == SearchData("hfds/user/name", root=str(tmp_path / "cache"))
    assert (placed.place, named.place, SearchData("digits").place) == (placed.data, named.root, None)
    monkeypatch.chdir(tmp_path / "disk")
    assert SearchData("pets").absolute() == SearchData(str(tmp_path / "disk/pets"))


def test_data_that_lies_elsewhere_on_another_machine() -> None:
    assert SearchData("/mnt/pets", holdout=0.2).at("/data/pets") == SearchData("/data/pets", holdout=0.2)
    assert SearchData("hfds/user/name", root="/mnt").at("/data") == SearchData("hfds/user/name", root="/data")
    one, other = (trainer(data=SearchData(f"/{disk}/pets", class_map=f"/{disk}/names.txt")) for disk in ("a", "b"))
    assert definition(trainer=one.to_dict()).identity == definition(trainer=other.to_dict()).identity
    another = trainer(data=SearchData("/a/cars", class_map="/a/names.txt"))
    assert definition(trainer=one.to_dict()).identity != definition(trainer=another.to_dict()).identity
    assert one.to_dict()["data"]["data"] == "/a/pets"
