"""`gpunet anchor`: it prints what to run where the GPU is, and takes the log back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, UsageError

DATA = Path(__file__).parents[2] / "data"
A100, H200, GV100 = (DATA / f"trtexec_{version}.log" for version in ("10_2", "11_1", "8_6"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_without_a_log_it_prints_the_commands(capsys: pytest.CaptureFixture[str]):
    main(["anchor", "l4"])
    said = capsys.readouterr().out
    assert "gpunet-export gpunet_0 --precision fp16 -o gpunet_0.onnx" in said
    assert "trtexec --onnx=gpunet_0.onnx" in said
    assert "gpunet anchor l4 --trtexec trtexec.log --network gpunet_0" in said


def test_a_log_narrows_the_estimates_of_its_device(home: Path, capsys: pytest.CaptureFixture[str]):
    main(["anchor", "h200", "--trtexec", str(H200), "--network", "gpunet_1", "--precision", "fp16", "--json"])
    said = json.loads(capsys.readouterr().out)
    before, after = (each["conditions"] for each in (said["before"], said["after"]))
    assert after["high_ms"] / after["low_ms"] < before["high_ms"] / before["low_ms"]
    assert after["anchors"] == 1
    assert Path(said["profile"]).is_relative_to(home)
    main(["find", "-d", "h200", "--estimates", "--json"])
    found = json.loads(capsys.readouterr().out)["matches"]
    assert {match["record"]["conditions"]["method"] for match in found} == {"anchored"}


def test_several_logs_count(capsys: pytest.CaptureFixture[str]):
    main(["anchor", "a100", "--trtexec", str(A100), "--network", "gpunet_p0", "--precision", "fp16"])
    main(["anchor", "a100", "--trtexec", str(A100), "--network", "gpunet_p1", "--precision", "fp16"])
    assert "with 2 in all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["l4", "--trtexec", str(H200), "--network", "gpunet_1", "--precision", "fp16"], "taken on NVIDIA H200"),
        (["t4", "--trtexec", str(A100), "--network", "gpunet_p0", "--precision", "fp16"], "108 multiprocessors"),
        (["h200", "--trtexec", str(H200), "--network", "gpunet_1"], "a precision that it does not say"),
        (["h200", "--trtexec", str(H200), "--network", "gpunet_0", "--precision", "fp16"], "input of 288 px"),
        (["gv100", "--trtexec", str(GV100), "--network", "gpunet_0", "-b", "2"], "the batch size is 1 there"),
        (["h200", "--trtexec", "none.log", "--network", "gpunet_1"], "cannot be read"),
    ],
)
def test_a_log_of_something_else_is_an_error(arguments: list[str], said: str):
    with pytest.raises(InvalidArgumentError, match=said):
        main(["anchor", *arguments])


def test_logs_and_networks_go_together():
    with pytest.raises(UsageError, match="1 logs need one"):
        main(["anchor", "h200", "--trtexec", str(H200), "--network", "gpunet_0", "gpunet_1"])
