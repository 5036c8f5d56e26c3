from __future__ import annotations

from pathlib import Path

import pytest
from helpers.runs import network

from gpunet.errors import TrainingError
from gpunet.train import Teacher
from gpunet.train.distillation.cache import TeacherCache


def test_a_description_that_is_damaged_is_said(tmp_path: Path) -> None:
    teacher, path = Teacher(network()), tmp_path / "logits.f16"
    TeacherCache(path, 4, 10, {}, teacher)
    (tmp_path / "logits.f16.json").write_text("{", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"logits.f16.json cannot be read: .*\nDelete it and .*the teacher"):
        TeacherCache(path, 4, 10, {}, teacher)
