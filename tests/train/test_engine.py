from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from runs import RECIPE, SPEC, digits, network, recipe, run, validation
from safetensors.torch import load_file

from gpunet.errors import DataError, InvalidArgumentError, PreemptedError, TrainingError
from gpunet.train import EpochScore, Teacher, train
from gpunet.train.recipe import Augmentation, Distillation, Optimization

# Everything that draws random numbers is in it.
ALL = recipe(
    epochs=3,
    augmentation=Augmentation("rand-m9-mstd0.5", erasing=0.3, mixup=0.2, cutmix=0.5),
    dropout=0.2,
    drop_path=0.2,
    channels_last=True,
)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def losses(out: Path) -> list[float]:
    lines = map(json.loads, (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line.get("loss") if line["kind"] == "step" else line["train_loss"] for line in lines]


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


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


# ------------------------------------------------------------------ interruptions


def test_a_run_that_is_asked_to_leave_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    run(tmp_path / "whole", how=ALL)
    for left, steps in enumerate((1, 4, 2, 6)):
        asked = iter([False] * steps)
        with pytest.raises(PreemptedError, match=r"asked to leave in epoch .*\nThe same command goes on from there"):
            run(tmp_path / "left", how=ALL, model=network(left), should_stop=lambda asked=asked: next(asked, True))
    run(tmp_path / "left", how=ALL, model=network(9))
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "left")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "left")
    assert checkpoints(tmp_path / "whole") == checkpoints(tmp_path / "left")


def test_accumulation_is_left_between_updates(tmp_path: Path) -> None:
    how = recipe(batch_size=8, accumulation_steps=4)
    run(tmp_path / "whole", how=how)
    asked = iter([False, False])
    with pytest.raises(PreemptedError, match="in epoch 1, after 12 of 20 batches"):
        run(tmp_path / "left", how=how, should_stop=lambda: next(asked, True))
    run(tmp_path / "left", how=how)
    assert losses(tmp_path / "whole") == losses(tmp_path / "left")


CHANGES = ("augmentation.policy=rand-m9-mstd0.5", "augmentation.erasing=0.3", "augmentation.cutmix=0.5", "dropout=0.2",
           "drop_path=0.2")  # fmt: skip
COMMAND = [sys.executable, "-m", "gpunet.train", "--data", "digits", "--quiet", "--checkpoint-minutes", "0.001",
           "--fraction", "0.35", "--epochs", "3", *(f"--set={change}" for change in CHANGES)]  # fmt: skip


def _start(spec: Path, out: Path) -> subprocess.Popen[str]:
    command = [*COMMAND, str(spec), "-o", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(SPEC.to_json(), encoding="utf-8")
    return path


def _wait_for(process: subprocess.Popen[str], out: Path, more_than: int) -> int:
    """Until a checkpoint was written beyond so many batches; batches done then."""
    while process.poll() is None:
        names = checkpoints(out) if (out / "checkpoints").exists() else []
        done = max((int(name[6:10]) * 7 + int(name[-6:]) for name in names if name.startswith("epoch")), default=-1)
        if done > more_than:
            return done
        time.sleep(0.005)
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path: Path, spec: Path) -> None:
    """SIGKILL at five moments, spread over the run and at random within a step; then to the end."""
    whole = _start(spec, tmp_path / "whole")
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    generator, done = random.Random(0), -1
    for _ in range(5):
        process = _start(spec, tmp_path / "killed")
        done = _wait_for(process, tmp_path / "killed", done + 1)
        time.sleep(generator.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = _start(spec, tmp_path / "killed")
    _, said = last.communicate()
    assert last.returncode == 0, said
    digests = {hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()
               for name in ("whole", "killed")}  # fmt: skip
    assert len(digests) == 1
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")


@pytest.mark.slow
def test_sigterm_leaves_with_a_checkpoint_and_a_code_of_its_own(tmp_path: Path, spec: Path) -> None:
    process = _start(spec, tmp_path / "out")
    _wait_for(process, tmp_path / "out", 1)
    asked_s = time.monotonic()
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 75, said
    assert time.monotonic() - asked_s < 5
    assert "error: the run was asked to leave in epoch" in said
    assert "hint: The same command goes on from there" in said


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
    with pytest.raises(TrainingError, match="cannot be read as a run"):
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
    class Damaged:
        classes = tuple("0123456789")

        def __init__(self) -> None:
            self.inner = digits().dataset

        def __len__(self) -> int:
            return 64

        def __getitem__(self, index: int) -> object:
            if index in (3, 40):
                raise OSError("image file is truncated")
            return self.inner[index]

    data = dataclasses.replace(digits(), dataset=Damaged(), rows=None, name="damaged")
    result = run(tmp_path / "a", data=data, max_unreadable=2)
    assert sorted(result.unreadable) == ["image 3 of damaged", "image 40 of damaged"]
    with pytest.raises(
        DataError, match=r"more than 1 images cannot be read: image \d+ of damaged \(OSError: image file"
    ):
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
    with pytest.raises(DataError, match="class 0 is 'zero' for the model and '0' in digits"):
        run(tmp_path, classes=["zero", *"123456789"])
    with pytest.raises(DataError, match=r"digits \(train\) has 5 images, too few for one update of 64"):
        run(tmp_path, data=digits(5), how=recipe(accumulation_steps=2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="device is 'cuda', but torch finds no GPU here"):
        run(tmp_path, device="cuda")


# --------------------------------------------------------------------- ways of training


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_learns(tmp_path: Path, precision: str) -> None:
    how = recipe(
        precision=precision, epochs=3, optimization=dataclasses.replace(RECIPE.optimization, gradient_norm=5.0)
    )
    result = run(tmp_path / "whole", how=how)
    assert result.scores[-1].train_loss < result.scores[0].train_loss
    asked = iter([False] * 3)
    with pytest.raises(PreemptedError):
        run(tmp_path / "left", how=how, should_stop=lambda: next(asked, True))
    run(tmp_path / "left", how=how)
    assert losses(tmp_path / "left") == losses(tmp_path / "whole")


def test_gradients_of_accumulated_batches_are_those_of_one(tmp_path: Path) -> None:
    """Without BatchNorm in training there is no difference but rounding."""

    class Frozen(type(network())):  # type: ignore[misc]
        def train(self, mode: bool = True) -> Frozen:
            return super().train(False)

    def made() -> torch.nn.Module:
        torch.manual_seed(0)
        return Frozen(SPEC, num_classes=10)

    sgd = Optimization("sgd", 0.05)
    train(made(), recipe(optimization=sgd, batch_size=32), digits(), tmp_path / "one")  # type: ignore[arg-type]
    train(made(), recipe(optimization=sgd, batch_size=8, accumulation_steps=4), digits(), tmp_path / "four")  # type: ignore[arg-type]
    one, four = weights(tmp_path / "one"), weights(tmp_path / "four")
    for name in one:
        torch.testing.assert_close(one[name], four[name], rtol=1e-4, atol=1e-5)


def test_clipping_bounds_the_gradients(tmp_path: Path) -> None:
    before = network().state_dict()
    how = recipe(epochs=1, optimization=Optimization("momentum", 1.0, weight_decay=0, momentum=0, gradient_norm=1e-3))
    run(tmp_path, how=dataclasses.replace(how, ema_decay=None))
    after = weights(tmp_path)
    moved = sum(float((after[name] - before[name]).square().sum()) for name, _ in network().named_parameters()) ** 0.5
    assert 0 < moved <= 5 * 1e-3 * 1.01


def test_tensorboard_gets_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("step/loss")]
    steps = [line["loss"] for line in map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
             if line["kind"] == "step"]  # fmt: skip
    assert logged == pytest.approx(steps)


@pytest.mark.slow
def test_a_compiled_network_learns(tmp_path: Path) -> None:
    import shutil

    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a processor")
    result = run(tmp_path, how=recipe(compiled=True, epochs=1), data=digits(64))
    assert result.best.train_loss < 5
    assert weights(tmp_path).keys() == network().state_dict().keys()
