from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.own_entry import NAME, make_entry, make_pictures

import gpunet
from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, UsageError, VerificationError
from gpunet.exporters.deployment import deploy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry in zoo/, and the same as a.onnx and a.xml."""
    folder = tmp_path_factory.mktemp("verify")
    model = gpunet.load(NAME, zoo=make_entry(folder / "zoo"))
    deploy(model, folder / "a.onnx")
    deploy(model, folder / "a.xml", target="openvino")
    make_pictures(folder / "pictures", 2)
    return folder


def test_each_proof_has_a_line(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["verify", str(made / "a.onnx"), "--zoo", str(made / "zoo"), "--images", str(made / "pictures"), "-t", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{made / 'a.onnx'}: verified"
    assert [line.strip().split(":")[0] for line in lines[1:]] == ["hash", "inputs and outputs", "numbers"]
    assert all(line.split(": ")[1] == "verified" for line in lines[1:])
    assert "on 2 photographs and 2 random images" in lines[3]


def test_what_is_not_proved_is_no_failure(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(made / "a.onnx", tmp_path)
    main(["verify", str(tmp_path / "a.onnx"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "not verified"
    assert [each["outcome"] for each in found["proofs"]] == ["not verified", "verified", "not verified"]
    main(["verify", str(made / "a.xml"), "--against", str(tmp_path / "a.onnx")])
    assert "numbers: verified: openvino" in capsys.readouterr().out


def test_a_failed_proof_ends_with_6(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(made, tmp_path / "copy")
    data = bytearray((folder / "a.xml").read_bytes())
    data[-20] ^= 1
    (folder / "a.xml").write_bytes(data)
    with pytest.raises(VerificationError, match=r"a\.xml failed its proof: hash: .*\.xml is not the file") as caught:
        main(["verify", str(folder / "a.xml")])
    assert caught.value.exit_code == 6
    assert "  numbers: not verified: the proof of its hash failed" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["verify", str(folder / "a.xml"), "--json"])
    assert left.value.code == 6
    found = json.loads(capsys.readouterr().out)
    assert (found["error"], found["outcome"], found["proofs"][0]["outcome"]) == ("verification", "failed", "failed")


@pytest.mark.parametrize(
    ("arguments", "error", "message", "exit_code"),
    [
        ([], UsageError, "Missing argument 'FILE'", 2),
        (["none.onnx"], InvalidArgumentError, r"none\.onnx: there is no such file", 4),
        (["a.onnx.json"], InvalidArgumentError, r"a file to verify ends in \.onnx", 2),
        (["a.xml", "--against", "none.onnx"], InvalidArgumentError, r"none\.onnx: there is no such file", 4),
        (["a.xml", "--against", "a.bin"], InvalidArgumentError, r"--against names an ONNX file, but got a\.bin", 2),
        (["a.xml", "--polygraphy"], InvalidArgumentError, "Polygraphy reads ONNX files and engines", 2),
        (["a.xml", "-r", "onnxruntime"], InvalidArgumentError, r"a\.xml runs on openvino", 2),
        (["a.onnx", "-t", "0"], UsageError, "--threads must be an integer of 1 or more", 2),
        (["a.onnx", "--images", "none", "--zoo", "zoo"], InvalidArgumentError, "none cannot be read as a picture", 4),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_calls(
    made: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Exception], message: str,
    exit_code: int,
) -> None:  # fmt: skip
    monkeypatch.chdir(made)
    with pytest.raises(error, match=message) as caught:
        main(["verify", *arguments])
    assert caught.value.exit_code == exit_code  # type: ignore[attr-defined]
