from __future__ import annotations

from pathlib import Path

import pytest
from helpers.runs import Damaged, run

from gpunet.errors import DataError, PreemptedError
from gpunet.train import ImageData
from gpunet.train.data.unreadable import UnreadableImages


def test_each_is_counted_once() -> None:
    met = UnreadableImages(2, ["a"])
    met.note([("a", "cut off"), ("b", "no picture")])
    assert (met.names, met.all) == (("a", "b"), (("a", "cut off"), ("b", "no picture")))
    with pytest.raises(
        DataError, match=r"more than 2 images cannot be read: a \(cut off\); b \(no picture\); c \(x\)\."
    ):
        met.note([("c", "x")])


def test_those_met_before_an_interruption_are_not_forgotten(tmp_path: Path) -> None:
    data = ImageData("damaged", Damaged(), Damaged.classes)
    asked = iter([False] * 3)
    with pytest.raises(PreemptedError):
        run(tmp_path, data=data, validation=None, should_stop=lambda: next(asked, True))
    seen = []
    result = run(tmp_path, data=data, validation=None, on_epoch=lambda score: seen.append(score.epoch))
    assert sorted(result.unreadable) == ["image 3 of damaged", "image 40 of damaged"]
    assert seen == [1, 2]
