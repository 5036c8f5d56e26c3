from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from helpers.runs import SPEC, network, recipe, run, validation
from safetensors.torch import load_file

from gpunet.errors import InvalidArgumentError, PreemptedError, TrainingError
from gpunet.model.network import GPUNet
from gpunet.train import Teacher
from gpunet.train.recipe import Augmentation, Distillation

CPU = torch.device("cpu")


def larger() -> GPUNet:
    torch.manual_seed(7)
    return GPUNet(dataclasses.replace(SPEC, resolution_px=24), num_classes=10)


def test_the_student_sees_the_teachers_images_smaller_and_as_it_expects_them() -> None:
    network_of_timm = timm.create_model("test_vit", num_classes=10)
    teacher = Teacher(network_of_timm, image_px=160)
    teacher.prepare(network(), 10, {}, CPU)
    white = (torch.ones(1, 3, 1, 1) - torch.tensor(teacher.config["mean"])[None, :, None, None]) / torch.tensor(
        teacher.config["std"]
    )[None, :, None, None]
    images = teacher.for_student(white.expand(2, 3, 160, 160), (16, 16))
    assert images.shape == (2, 3, 16, 16)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(images[0, :, 8, 8], (1 - mean) / std, rtol=1e-4, atol=1e-4)
    assert teacher.config["mean"] != (0.485, 0.456, 0.406)


def test_a_student_is_taught_and_a_resumed_one_too(tmp_path: Path) -> None:
    how = recipe(distillation=Distillation(temperature=2.0, weight=0.9))
    teacher = Teacher(larger())
    before = [value.clone() for value in teacher.network.state_dict().values()]
    whole = run(tmp_path / "whole", how=how, teacher=teacher)
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.network.state_dict().values(), strict=True))
    asked = iter([False] * 6)
    with pytest.raises(PreemptedError):
        run(tmp_path / "left", how=how, teacher=Teacher(larger()), should_stop=lambda: next(asked, True))
    assert (
        run(tmp_path / "left", how=how, teacher=Teacher(larger())).scores[-1].train_loss == whole.scores[-1].train_loss
    )


@pytest.mark.parametrize("augmentation", [Augmentation(enabled=False), Augmentation(fixed=True, erasing=0.5)])
def test_answers_are_kept_and_are_what_the_teacher_would_say(tmp_path: Path, augmentation: Augmentation) -> None:
    how = recipe(augmentation=augmentation, distillation=Distillation(cache=True, weight=0.5), epochs=3)
    asked: list[int] = []

    class Counted(GPUNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            asked.append(len(x))
            return super().forward(x)

    torch.manual_seed(7)
    counted = Counted(dataclasses.replace(SPEC, resolution_px=24), num_classes=10)
    kept = run(tmp_path / "kept", how=how, teacher=Teacher(counted, cache=tmp_path / "answers"))
    assert sum(asked) == 160
    plain = dataclasses.replace(how, distillation=Distillation(weight=0.5))
    fresh = run(tmp_path / "fresh", how=plain, teacher=Teacher(larger()))
    assert kept.scores[-1].train_loss == pytest.approx(fresh.scores[-1].train_loss, rel=2e-3)  # kept in half
    asked.clear()
    again = run(tmp_path / "again", how=how, teacher=Teacher(counted, cache=tmp_path / "answers"))
    assert asked == []
    assert again.scores[-1].train_loss == kept.scores[-1].train_loss


def test_answers_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers"

    def prepared(teacher: GPUNet, images: int = 5, **identity: object) -> None:
        Teacher(teacher, cache=path).prepare(network(), images, identity, CPU)

    prepared(larger(), data="digits")
    prepared(larger(), data="digits")
    for kwargs, said in (({"data": "letters"}, "data"), ({"images": 6, "data": "digits"}, "images")):
        with pytest.raises(TrainingError, match=f"holds a teacher's answers of another {said}"):
            prepared(larger(), **kwargs)  # type: ignore[arg-type]
    other = larger()
    with torch.no_grad():
        other.classifier.bias += 1  # type: ignore[union-attr, operator]
    with pytest.raises(TrainingError, match="holds a teacher's answers of another weights"):
        prepared(other, data="digits")
    np.zeros(3, np.float16).tofile(path)
    with pytest.raises(TrainingError, match="holds a teacher's answers of another size"):
        prepared(larger(), data="digits")
    assert json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))["data"] == "digits"


def test_a_teacher_that_cannot_teach_this_student() -> None:
    teacher = Teacher(larger())
    with pytest.raises(TrainingError, match="the teacher has 10 classes and the student 7"):
        teacher.prepare(network(num_classes=7), 5, {}, CPU)
    with pytest.raises(TrainingError, match="the teacher takes images of 3 channels and the student of 1"):
        teacher.prepare(network(in_chans=1), 5, {}, CPU)
    with pytest.raises(InvalidArgumentError, match="a teacher's images must be square, of 8 px or more, but are 4 x 4"):
        Teacher(larger(), image_px=4)


def test_a_teacher_can_be_scored_first(tmp_path: Path) -> None:
    result = run(tmp_path, how=recipe(epochs=3))
    model = network()
    model.load_state_dict(load_file(result.weights))
    assert Teacher(model).top1_percent(validation(), batch_size=20) == result.best.top1_percent
