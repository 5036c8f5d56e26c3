from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError


class Counter(nn.Module):
    """Notes how torch stood during a run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, bool, bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled(), self.training))
        return x.mean((2, 3))


def test_threads_and_mode_hold_in_a_run_and_are_put_back(images: np.ndarray) -> None:
    before = torch.get_num_threads()
    counter = Counter()
    session = runtimes.get("pytorch").load(counter, threads=before + 1)
    assert torch.get_num_threads() == before
    session.run(images)
    assert counter.seen == [(before + 1, True, False)]
    assert torch.get_num_threads() == before
    assert counter.training


def test_they_are_put_back_after_a_failure_too() -> None:
    before = torch.get_num_threads()
    model = nn.Conv2d(3, 1, 3)
    session = runtimes.get("pytorch").load(model, threads=before + 1)
    with pytest.raises(InvalidArgumentError, match="the model cannot run on images of 1 x 4 x 8 x 8: Given groups=1"):
        session.run(np.zeros((1, 4, 8, 8), np.float32))
    assert torch.get_num_threads() == before
    assert model.training


def test_parts_keep_their_own_mode(images: np.ndarray) -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), Counter())
    model[0].eval()
    runtimes.get("pytorch").load(model).run(images)
    assert (model.training, model[0].training, model[1].training) == (True, False, True)


def test_a_model_in_half_precision_is_refused(module: nn.Module) -> None:
    half = copy.deepcopy(module).half()
    with pytest.raises(InvalidArgumentError, match=r"this one holds torch.float16\.\nConvert it: model.float"):
        runtimes.get("pytorch").load(half)
