"""Head first: in a run's first epochs the classifier alone learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from helpers.runs import checkpoints, digits, losses, network, recipe, run, weights
from safetensors.torch import load_file
from torch import Tensor, nn

from gpunet.errors import PreemptedError, TrainingError
from gpunet.train import EpochScore

HEAD_FIRST = recipe(epochs=3, head_epochs=2, dropout=0.2, drop_path=0.2, channels_last=True)
HEAD = ("classifier.weight", "classifier.bias")


def state(out: Path, epoch: int, which: str) -> dict[str, Tensor]:
    tensors = load_file(out / "checkpoints" / f"epoch-{epoch:04}-step-000000" / "state.safetensors")
    return {name.removeprefix(which): value for name, value in tensors.items() if name.startswith(which)}


def moved(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize("optimizer", ["adamw", "rmsproptf"])
def test_nothing_but_the_classifier_moves_while_it_learns_alone(tmp_path: Path, optimizer: str) -> None:
    """Neither weights (by decay or by momentum) nor BatchNorm's statistics, and not in the average either."""
    how = recipe(**{**vars(HEAD_FIRST), "optimization": type(HEAD_FIRST.optimization)(optimizer, 5e-3)})
    model = network()
    begun = {name: value.clone() for name, value in model.state_dict().items()}
    run(tmp_path, how=how, model=model, keep=9)
    for which in ("model.", "ema."):
        for epoch in (1, 2):
            assert moved(begun, state(tmp_path, epoch, which)) == set(HEAD)
        after = moved(begun, state(tmp_path, 3, which))
        assert {"conv_stem.weight", "bn1.running_mean", "bn1.running_var", *HEAD} <= after
        assert {name for name, _ in model.named_parameters()} <= after
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_run_that_is_left_in_either_phase_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    run(tmp_path / "whole", how=HEAD_FIRST)
    for left, steps in enumerate((2, 5, 3, 2)):  # within the first epoch, the second, and after the change
        asked, model = iter([False] * steps), network(left)
        with pytest.raises(PreemptedError):
            run(tmp_path / "left", how=HEAD_FIRST, model=model, should_stop=lambda asked=asked: next(asked, True))
        assert all(parameter.requires_grad for parameter in model.parameters())
    run(tmp_path / "left", how=HEAD_FIRST, model=network(9))
    assert moved(weights(tmp_path / "whole"), weights(tmp_path / "left")) == set()
    assert losses(tmp_path / "whole") == losses(tmp_path / "left")
    assert checkpoints(tmp_path / "whole") == checkpoints(tmp_path / "left")


def test_a_run_that_ends_with_its_head_alone(tmp_path: Path) -> None:
    begun = network().state_dict()
    seen: list[EpochScore] = []
    run(tmp_path, how=recipe(epochs=2, head_epochs=2), model=network(), on_epoch=lambda score: seen.append(score))
    assert moved(begun, weights(tmp_path)) == set(HEAD)
    assert seen[1].train_loss < seen[0].train_loss


def test_a_network_without_a_classifier_cannot(tmp_path: Path) -> None:
    class Bare(nn.Module):
        num_classes = 10

        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))

        def forward(self, images: Tensor) -> Tensor:
            return self.net(images)

    model = Bare()
    model(torch.zeros(1, 3, 224, 224))
    with pytest.raises(TrainingError, match=r"a Bare names none\.\nLet all .*: --set head_epochs=0"):
        run(tmp_path, how=HEAD_FIRST, model=model, data=digits(32))  # type: ignore[arg-type]
