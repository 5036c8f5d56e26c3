from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from helpers.runs import Damaged, checkpoints, digits, network, recipe, run, validation, weights
from safetensors.torch import load_file

from gpunet.errors import DataError, InvalidArgumentError, PreemptedError, TrainingError
from gpunet.train import EpochScore, Teacher
from gpunet.train.recipe import Distillation, Optimization

# ------------------------------------------------------------------- a whole run


def test_a_run_learns_and_keeps_the_best_epochs_averaged_weights(tmp_path: Path) -> None:
    model = network()
    seen: list[EpochScore] = []
    result = run(tmp_path, model=model, how=recipe(epochs=12), data=digits(320), on_epoch=lambda s: seen.append(s))
    assert result.scores == tuple(seen)
    assert result.best == max(seen, key=lambda each: (each.top1_percent or 0, -each.epoch))
    assert (result.best.top1_percent or 0) > 50
    assert not result.stopped_early
    assert not model.training
    kept = load_file(result.weights)
    assert kept.keys() == model.state_dict().keys()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in kept.items())
    with torch.inference_mode():
        right = sum(int(model(torch.stack([model.transforms()(image)])).argmax() == target)
                    for image, target in (validation().dataset[k] for k in range(64)))  # fmt: skip
    assert 100 * right / 64 == result.best.top1_percent


def test_a_finished_run_is_read_and_not_repeated(tmp_path: Path) -> None:
    first = run(tmp_path)
    model, called = network(5), []
    second = run(tmp_path, model=model, on_epoch=called.append)
    assert second == first
    assert called == []
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in weights(tmp_path).items())


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    result = run(tmp_path, validation=None)
    assert (result.best.epoch, result.best.top1_percent, result.best.loss) == (2, None, None)


def test_the_callers_random_numbers_are_not_touched(tmp_path: Path) -> None:
    torch.manual_seed(3)
    random.seed(3)
    wanted = float(torch.rand(())), random.random()
    torch.manual_seed(3)
    random.seed(3)
    data, model = digits(), network()
    torch.manual_seed(3)
    run(tmp_path, model=model, data=data)
    assert (float(torch.rand(())), random.random()) == wanted


def test_the_callback_ends_a_run(tmp_path: Path) -> None:
    result = run(tmp_path, how=recipe(epochs=9), on_epoch=lambda score: score.epoch == 2)
    assert (len(result.scores), result.stopped_early) == (2, True)
    assert run(tmp_path, how=recipe(epochs=9)).stopped_early


# -------------------------------------------------------------------- what differs


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    run(tmp_path)
    for kwargs, said in (
        ({"seed": 1}, "its seed is 0, but now it is 1"),
        ({"how": recipe(epochs=3)}, "its recipe.epochs is 2, but now it is 3"),
        ({"data": digits(96)}, "its data.images is 160, but now it is 96"),
        ({"validation": None}, "its validation is .* but now it is null"),
    ):
        with pytest.raises(TrainingError, match=f"holds another run: {said}"):
            run(tmp_path, **kwargs)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="holds a run already"):
        run(tmp_path, resume=False)
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        run(tmp_path)


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    def meanwhile(_: EpochScore) -> None:
        with pytest.raises(TrainingError, match="another process is training in"):
            run(tmp_path)

    run(tmp_path, how=recipe(epochs=1), on_epoch=meanwhile)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    asked = iter([False, False])
    with pytest.raises(PreemptedError):
        run(tmp_path, should_stop=lambda: next(asked, True))
    (tmp_path / "checkpoints" / checkpoints(tmp_path)[-1] / "state.safetensors").write_bytes(b"cut")
    with pytest.raises(TrainingError, match=r"the checkpoint .*epoch-0000-step-000003 cannot be read"):
        run(tmp_path)


def test_a_loss_that_is_no_number_stops_with_its_batch(tmp_path: Path) -> None:
    how = recipe(optimization=Optimization("sgd", 1e20))
    with pytest.raises(
        TrainingError, match=r"the loss of batch \d in epoch 1 is (nan|inf), at a learning rate"
    ) as caught:
        run(tmp_path, how=how)
    (path,) = tmp_path.glob("bad-batch-*.safetensors")
    assert str(path) in caught.value.message
    kept = load_file(path)
    assert kept["images"].shape == (32, 3, 16, 16)
    assert len(kept["indices"]) == len(kept["targets"]) == 32
    for name in checkpoints(tmp_path):
        assert all(bool(value.isfinite().all()) for value in
                   load_file(tmp_path / "checkpoints" / name / "state.safetensors").values())  # fmt: skip


def test_unreadable_images_are_counted_up_to_a_limit(tmp_path: Path) -> None:
    data = dataclasses.replace(digits(), dataset=Damaged(), rows=None, name="damaged")
    result = run(tmp_path / "a", data=data, max_unreadable=2)
    assert sorted(result.unreadable) == ["image 3 of damaged", "image 40 of damaged"]
    with pytest.raises(DataError, match=r"more than 1 images cannot be read: image \d+ of damaged \(OSError: cut off"):
        run(tmp_path / "b", data=data, max_unreadable=1)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"keep": 0}, "keep must be an integer of 1 or more, but got 0"),
        ({"workers": -1}, "workers must be an integer of 0 or more, but got -1"),
        ({"log_every_steps": 1.5}, "log_every_steps must be an integer of 1 or more, but got 1.5"),
        ({"seed": -1}, "seed must be an integer of 0 or more, but got -1"),
        ({"model": network(num_classes=0)}, "the model must have two classes or more, but has 0"),
        ({"how": recipe(distillation=Distillation("b2"))}, "the recipe test has a distillation, but no teacher is"),
        ({"teacher": Teacher(network())}, "the recipe test has no distillation, but a teacher is given"),
    ],
)
def test_wrong_arguments(tmp_path: Path, kwargs: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        run(tmp_path, **kwargs)  # type: ignore[arg-type]


def test_classes_must_be_the_models(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model has 7 classes and digits"):
        run(tmp_path, model=network(num_classes=7))
    said = r"digits \(train\) has '0', which the model does not know; the model's 'zero' is not there"
    with pytest.raises(DataError, match=said):
        run(tmp_path, classes=["zero", *"123456789"])
    with pytest.raises(DataError, match=r"digits \(train\) has 5 images, too few for one update of 64"):
        run(tmp_path, data=digits(5), how=recipe(accumulation_steps=2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="device is 'cuda', but torch finds no GPU here"):
        run(tmp_path, device="cuda")
