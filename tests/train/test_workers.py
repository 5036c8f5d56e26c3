"""What goes wrong in a process that prepares images is said as if it went wrong in the one that trains."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from helpers.runs import network, run
from PIL import Image

from gpunet.errors import DataError, TrainingError
from gpunet.model.preprocessing import evaluation_transform, image_config
from gpunet.train import ImageData
from gpunet.train.data.loader import evaluation_loader


class Pictures:
    classes = None

    def __init__(self, what: str = "") -> None:
        self.what = what

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "unreadable":
            raise OSError("cut off")
        return Image.new("RGB", (16, 16)), 99


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_keeps_its_text(workers: int) -> None:
    data = ImageData("pictures", Pictures(), None)
    transform = evaluation_transform(image_config(network()))
    with pytest.raises(DataError) as caught:
        list(evaluation_loader(data, transform, 10, 4, workers=workers))
    assert caught.value.message == "pictures has the class 99, but the model has 10 (0 to 9)."
    assert caught.value.hint == "Build the model with as many classes as the data has."


def test_a_process_that_is_killed_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"prepares images was ended from outside: .*\nOften there is too little"):
        run(tmp_path, data=ImageData("pictures", Pictures("kill"), None), workers=1)


def test_data_without_one_readable_image_is_an_error_whatever_the_limit(tmp_path: Path) -> None:
    data = ImageData("pictures", Pictures("unreadable"), None)
    with pytest.raises(DataError, match=r"40 images one after the other cannot be read, from image \d+ of pictures"):
        run(tmp_path, data=data, max_unreadable=1000)
