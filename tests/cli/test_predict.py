from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.own_entry import CLASSES, NAME, make_entry, make_pictures

import gpunet
from gpunet.cli.main import main
from gpunet.errors import DataError, InvalidArgumentError, UnknownModelError, UsageError
from gpunet.exporters.deployment import deploy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry in zoo/, the same as a.onnx, and three pictures in pictures/."""
    folder = tmp_path_factory.mktemp("predict")
    model = gpunet.load(NAME, zoo=make_entry(folder / "zoo"))
    deploy(model, folder / "a.onnx")
    make_pictures(folder / "pictures")
    return folder


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["predict", "--json", *arguments])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_name_a_folder_and_a_file_answer_alike(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, zoo = str(made / "pictures"), str(made / "zoo")
    answers = [
        asked(capsys, NAME, pictures, "--zoo", zoo, "--on", "cpu", "-b", "2"),
        asked(capsys, zoo, pictures, "--on", "cpu", "-t", "1"),
        asked(capsys, str(made / "a.onnx"), pictures, "-r", "onnxruntime"),
    ]
    assert [each["runtime"] for each in answers] == ["pytorch", "pytorch", "onnxruntime"]
    names = [
        [[each["class_name"] for each in image["predictions"]] for image in answer["images"]] for answer in answers
    ]
    assert names[0] == names[1] == names[2]
    assert [Path(image["image"]).name for image in answers[0]["images"]] == ["0.png", "1.png", "2.png"]
    assert all(len(one) == 5 and set(one) < set(CLASSES) for one in names[0])
    assert answers[0]["unreadable"] == []


def test_the_table_has_a_row_a_class(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(made / "pictures" / "0.png")
    main(["predict", str(made / "a.onnx"), picture, picture, "--top-k", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["picture", "%", "class"]
    assert len(lines) == 5
    assert all(line.startswith(picture) and line.split()[-1] in CLASSES for line in lines[2:])


def test_bad_pictures_are_named_and_passed_over(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path, 1)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("passed over in silence: it is not called a picture")
    main(["predict", str(made / "a.onnx"), str(tmp_path), "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert len(found["images"]) == 1
    assert found["unreadable"] == [{"image": str(tmp_path / "bad.jpg"), "reason": "no kind of picture that is known"}]
    assert f"passed over: {tmp_path / 'bad.jpg'} (no kind of picture" in said.err
    assert "1 of 2 pictures could not be read." in said.err
    with pytest.raises(DataError, match="none of the 1 pictures can be read") as caught:
        main(["predict", str(made / "a.onnx"), str(tmp_path / "bad.jpg")])
    assert caught.value.exit_code == 6


def test_untrained_weights_are_said(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["predict", NAME, str(made / "pictures"), "--zoo", str(made / "zoo"), "--no-pretrained", "--on", "cpu"])
    assert "The weights are untrained: the answers mean nothing." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "error", "message", "exit_code"),
    [
        (["a.onnx"], UsageError, "Missing argument 'IMAGE'", 2),
        (["a.onnx", "none.png"], InvalidArgumentError, r"none\.png: there is no such picture or folder", 4),
        (["a.onnx", "zoo"], InvalidArgumentError, "images must be a folder with pictures, but zoo holds none", 2),
        (["none.onnx", "pictures"], InvalidArgumentError, r"none\.onnx: there is no such file", 4),
        (["nothing", "pictures"], UnknownModelError, "'nothing' is no model of the zoo or of timm's", 2),
        (["a.onnx", "pictures", "-k", "0"], UsageError, "--top-k must be an integer", 2),
        (["a.onnx", "pictures", "-b", "0"], UsageError, "--batch-size must be an integer of 1 or more", 2),
        (
            ["a.onnx", "pictures", "--on", "cpu"],
            InvalidArgumentError,
            "--on is for a network, but MODEL is 'a.onnx'",
            2,
        ),
        (["a.onnx", "pictures", "--no-pretrained"], InvalidArgumentError, "--no-pretrained is for a network", 2),
        (["a.onnx", "pictures", "-r", "tenserflow"], InvalidArgumentError, "runtime must be one of", 2),
        (["zoo", "pictures", "-r", "openvino"], InvalidArgumentError, "--runtime is for an exported file", 2),
        (["zoo", "pictures", "-p", "fp32"], InvalidArgumentError, "--precision is for an exported file", 2),
        (["a.onnx", "pictures", "-p", "fp16"], InvalidArgumentError, "it is in fp32, but precision is 'fp16'", 2),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_calls(
    made: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Exception], message: str,
    exit_code: int,
) -> None:  # fmt: skip
    monkeypatch.chdir(made)
    with pytest.raises(error, match=message) as caught:
        main(["predict", *arguments])
    assert caught.value.exit_code == exit_code  # type: ignore[attr-defined]
