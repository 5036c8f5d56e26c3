from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from helpers import DATA

from gpunet.core.files import sha256_of
from gpunet.errors import ChecksumError, InvalidArgumentError
from gpunet.runtime.sidecar import Sidecar, read_sidecar, sidecar_path, write_sidecar

SIDECAR = Sidecar(
    format="onnx",
    artefact_sha256="a" * 64,
    artefact_bytes=5,
    onnx_sha256="a" * 64,
    precision="fp16",
    batch=(1, 8, 64),
    runtime="onnxruntime",
    runtime_version="1.32.0",
    model="gpunet_0",
    spec_sha256="b" * 64,
    os="Linux",
    machine="x86_64",
    builder_flags={"opset": 17},
    verification={"outcome": "verified", "top1_agreement": 1.0},
    command=("gpunet-export", "gpunet_0", "-o", "my file.onnx"),
    gpunet_version="0.1.0",
    created="2026-11-22T10:00:00+00:00",
)


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    path = tmp_path / "gpunet_0.onnx"
    path.write_bytes(b"bytes")
    write_sidecar(path, dataclasses.replace(SIDECAR, artefact_sha256=sha256_of(path)))
    return path


def test_its_name_is_the_files_own() -> None:
    assert sidecar_path("zoo/gpunet_0.engine") == Path("zoo/gpunet_0.engine.json")


def test_it_comes_back_as_it_was(artefact: Path) -> None:
    assert read_sidecar(artefact) == dataclasses.replace(SIDECAR, artefact_sha256=sha256_of(artefact))


def test_every_version_stays_readable() -> None:
    """Version 1 as the first gpunet wrote it, and as it was when weights had their SHA-256 alone; version 2."""
    first, second = (json.loads((DATA / f"sidecar_v{version}.json").read_text()) for version in (1, 2))
    assert Sidecar.from_dict(first) == SIDECAR
    assert Sidecar.from_dict({**first, "weights_sha256": "c" * 64}).weights_sha256 == "c" * 64
    whole = Sidecar.from_dict(second)
    assert whole.to_dict() == second
    assert (whole.weights_sha256, whole.weights["state"], whole.opset) == ("c" * 64, "trained", 17)
    assert whole.inputs[0]["layout"] == "NCHW"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sidecar_version": 3}, "sidecar_version: 3 is not 2"),
        ({"run": []}, r"run must be a dict, but is \[\]"),
        ({"surprise": 1}, "surprise is unknown"),
        ({"runtime": None}, "runtime must be a str, but is None"),
        ({"batch": 1}, "batch must be a list, but is 1"),
        (
            {"format": "caffe"},
            "a sidecar's format must be one of onnx, openvino, tensorrt, tensorrt_rtx, but got 'caffe'",
        ),
    ],
)
def test_another_kind_of_sidecar_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Sidecar.from_dict({**SIDECAR.to_dict(), **change}, "x.json")


def test_a_missing_key_is_named() -> None:
    body = SIDECAR.to_dict()
    del body["precision"]
    with pytest.raises(InvalidArgumentError, match=r"x\.json: precision is missing"):
        Sidecar.from_dict(body, "x.json")


def test_a_list_is_no_sidecar() -> None:
    with pytest.raises(InvalidArgumentError, match=r"x\.json: sidecar: \[\] is not an object"):
        Sidecar.from_dict([], "x.json")


def test_no_file_and_no_sidecar_are_told_apart(tmp_path: Path, artefact: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"nothing\.engine: there is no such file") as caught:
        read_sidecar(tmp_path / "nothing.engine")
    assert "Export it again" in caught.value.hint
    sidecar_path(artefact).unlink()
    with pytest.raises(
        InvalidArgumentError, match=r"there is no gpunet_0\.onnx\.json beside it, which says what it is"
    ):
        read_sidecar(artefact)


def test_a_sidecar_that_is_no_json_is_refused(artefact: Path) -> None:
    sidecar_path(artefact).write_text("{")
    with pytest.raises(InvalidArgumentError, match=r"gpunet_0\.onnx\.json: not JSON"):
        read_sidecar(artefact)


def test_every_file_of_several_is_hashed(tmp_path: Path) -> None:
    path = tmp_path / "net.xml"
    path.write_bytes(b"graph")
    path.with_suffix(".bin").write_bytes(b"weights")
    whole = dataclasses.replace(
        SIDECAR, format="openvino", artefact_sha256=sha256_of(path.with_suffix(".bin")),
        other_files_sha256={".xml": sha256_of(path)},
    )  # fmt: skip
    write_sidecar(path, whole)
    assert read_sidecar(path) == whole
    path.write_bytes(b"Graph")
    with pytest.raises(ChecksumError, match=r"net\.xml is not the file that net\.xml\.json describes"):
        read_sidecar(path)
    write_sidecar(path, dataclasses.replace(whole, other_files_sha256={}))  # as older versions wrote it
    assert read_sidecar(path).precision == "fp16"


def test_a_file_that_changed_is_refused(artefact: Path) -> None:
    artefact.write_bytes(b"other")
    with pytest.raises(
        ChecksumError, match=r"is not the file that gpunet_0\.onnx\.json describes: its SHA-256 differs"
    ):
        read_sidecar(artefact)
    assert read_sidecar(artefact, check=False).model == "gpunet_0"
