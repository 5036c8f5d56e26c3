from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.coco import PLAIN
from make_shapes import make_shapes


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Networks this small are slower on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def little(tmp_path: Path) -> str:
    """The path of a small GPUNet's spec, whose fused stages do not pad."""
    path = tmp_path / "little.json"
    path.write_text(json.dumps(PLAIN), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of 64 px to learn from and four to score on, of two classes."""
    return make_shapes(tmp_path_factory.mktemp("shapes"), train=8, validation=4, side_px=64, classes=2, most=2)
