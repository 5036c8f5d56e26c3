from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from helpers.runs import RECIPE, SPEC, digits, losses, network, recipe, run, weights

from gpunet.errors import PreemptedError
from gpunet.train import train
from gpunet.train.recipe import Optimization

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
