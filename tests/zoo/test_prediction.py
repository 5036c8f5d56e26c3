"""What is deployed answers as what was trained: PyTorch, ONNX, OpenVINO IR; made and run for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.own_entry import CLASSES, NAME, make_entry, make_pictures
from helpers.small_onnx import make_onnx
from helpers.trained_digits import trained
from PIL import Image

import gpunet
from gpunet.core.gpu import find_gpu
from gpunet.errors import DataError, InvalidArgumentError, RuntimeUnavailableError
from gpunet.exporters.deployment import deploy
from gpunet.model.classes import class_names
from gpunet.model.network import GPUNet
from gpunet.runtime import Session
from gpunet.zoo.prediction import Prediction, predictor_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry in zoo/, pictures/, and the entry as one.onnx (batch 1), some.xml (batch 2 to 4) and half.xml."""
    folder = tmp_path_factory.mktemp("deployed")
    model = gpunet.load(NAME, zoo=make_entry(folder / "zoo"))
    make_pictures(folder / "pictures")
    deploy(model, folder / "one.onnx")
    deploy(model, folder / "some.xml", target="openvino", batch_size=(2, 3, 4))
    deploy(model, folder / "half.xml", target="openvino", precision="fp16")
    deploy(model, folder / "a.engine", target="tensorrt_rtx")
    return folder


def _numbers(found: list[Prediction]) -> list[int]:
    return [each.class_number for each in found]


def test_every_form_of_a_network_answers_alike(folder: Path) -> None:
    picture = folder / "pictures" / "0.png"
    own = predictor_of(gpunet.load(NAME, zoo=folder / "zoo"), on="cpu").predict(picture, top_k=10)
    assert sum(each.probability for each in own) == pytest.approx(1)
    assert [each.class_name for each in own] == [CLASSES[number] for number in _numbers(own)]
    assert [each.probability for each in own] == sorted((each.probability for each in own), reverse=True)
    for name in ("one.onnx", "some.xml", "half.xml"):
        found = gpunet.load_exported(folder / name).predict(picture, top_k=10)
        assert [each.class_name for each in found] == [each.class_name for each in own], name
        assert [each.probability for each in found] == pytest.approx([each.probability for each in own], abs=2e-3)


def test_it_says_what_the_digits_are(folder: Path) -> None:
    _, images, labels = trained()
    session = gpunet.load_exported(folder / "some.xml")
    found = [each[0].class_number for each in session.predict_prepared(images[:50], top_k=1)]
    assert np.mean(np.array(found) == labels[:50]) > 0.9


def test_a_picture_may_come_in_many_forms(folder: Path) -> None:
    session = gpunet.load_exported(folder / "one.onnx", threads=1)
    path = folder / "pictures" / "1.png"
    with Image.open(path) as opened:
        picture = opened.copy()
    array = np.asarray(picture)
    prepared = session.prepared(path)
    forms: list[Any] = [path, str(path), picture, array, torch.from_numpy(array.copy()), prepared,
                        torch.from_numpy(prepared)]  # fmt: skip
    answers = [session.predict(form) for form in forms]
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 5
    assert session.predict(array[:, :, 0])  # grey
    assert session.predict(picture.convert("RGBA"))


def test_it_is_a_session_too(folder: Path) -> None:
    session = gpunet.load_exported(folder / "one.onnx", runtime="onnxruntime", threads=1)
    assert isinstance(session, Session)
    assert (session.runtime, session.precision, session.threads, session.device) == ("onnxruntime", "fp32", 1, "cpu")
    assert session.run(np.zeros((1, 3, 16, 16), np.float32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 16, 16)), r"image must be a path, .*, but got float64 of shape \(3, 16, 16\)\.\nThis network"),
        (np.zeros((3, 8, 8), np.float32), r"but got float32 of shape \(3, 8, 8\)\.\nThis network takes 3 x 16 x 16"),
        (np.zeros((2, 16, 16, 3), np.uint8), r"but got uint8 of shape \(2, 16, 16, 3\)"),
        (7, "image must be a path"),
    ],
)
def test_what_is_no_picture(folder: Path, image: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        gpunet.load_exported(folder / "one.onnx").predict(image)


def test_damaged_pictures_and_wrong_numbers(folder: Path, tmp_path: Path) -> None:
    session = gpunet.load_exported(folder / "one.onnx")
    with pytest.raises(DataError, match=r"nowhere\.png cannot be read as a picture: there is no such file"):
        session.predict("nowhere.png")
    whole = (folder / "pictures" / "0.png").read_bytes()
    for name, data, reason in (("text.png", b"text", "no kind of picture"), ("half.png", whole[:300], "truncated")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=rf"{name} cannot be read as a picture: .*{reason}"):
            session.predict(tmp_path / name)
    with pytest.raises(InvalidArgumentError, match="top_k must be an integer of 1 or more, but got 0"):
        session.predict(folder / "pictures" / "0.png", top_k=0)


def test_files_that_cannot_be_asked(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "silent.onnx").write_bytes(make_onnx())
    with pytest.raises(InvalidArgumentError, match=r"silent\.onnx does not say how it takes images: mean, std"):
        gpunet.load_exported(tmp_path / "silent.onnx")
    with pytest.raises(InvalidArgumentError, match=r"none\.onnx: there is no such file") as caught:
        gpunet.load_exported(tmp_path / "none.onnx")
    assert caught.value.exit_code == 4
    if find_gpu() is None:
        with pytest.raises(RuntimeUnavailableError, match=r"a\.engine cannot run here: it needs a GPU"):
            gpunet.load_exported(folder / "a.engine")


@pytest.mark.parametrize("name", ["one.onnx", "some.xml"])
def test_what_is_no_engine_is_told_who_opens_it(folder: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"{name} is no engine\.\ngpunet\.load_exported\(path\) opens"):
        gpunet.load_engine(folder / name)


def test_a_file_without_its_sidecar_still_names_its_classes(folder: Path, tmp_path: Path) -> None:
    picture = folder / "pictures" / "0.png"
    for name in ("one.onnx", "half.xml", "half.bin"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    for name in ("one.onnx", "half.xml"):
        assert gpunet.load_exported(tmp_path / name).predict(picture)[0].class_name in CLASSES


def test_classes_have_names() -> None:
    assert class_names(1000)[0] == "class 0"  # nobody says that they are ImageNet's
    assert class_names(2) == ("class 0", "class 1")
    assert class_names(2, ["cat", "dog"]) == ("cat", "dog")
    assert class_names(3, ["cat", "dog"]) == ("class 0", "class 1", "class 2")  # another network's


def test_a_network_of_one_channel_takes_pictures_too() -> None:
    torch.manual_seed(0)
    spec = {"resolution_px": 16, "stem": {"filters": 8}, "stages": [{"type": "conv", "filters": 8, "stride": 2}],
            "head": {"filters": 16}}  # fmt: skip
    predictor = predictor_of(GPUNet(spec, num_classes=4, in_chans=1), on="cpu", threads=1)
    found = predictor.predict(np.zeros((20, 20, 3), np.uint8))
    assert sorted(each.class_name for each in found) == ["class 0", "class 1", "class 2", "class 3"]
