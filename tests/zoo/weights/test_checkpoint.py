from __future__ import annotations

import argparse
import gzip
import io
import os
import pickle
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from helpers.checkpoints import TINY_LAYOUT, filled, pickled, training_checkpoint, zipped

from gpunet.errors import CheckpointError
from gpunet.zoo.weights.checkpoint import read_checkpoint

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.num_batches_tracked": torch.tensor(1)}
MEMBER = "0.65ms.pth.tar"
both_formats = pytest.mark.parametrize("legacy", [False, True], ids=["zip format", "older format"])


def _written(folder: Path, content: bytes, name: str = "model.pth.tar") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _refused(path: Path, member: str | None = None, **arguments: int) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, member, **arguments)
    assert str(path) in caught.value.message
    return str(caught.value)


def _same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> bool:
    return list(found) == list(expected) and all(torch.equal(found[name], expected[name]) for name in expected)


# ------------------------------------------------------------------ what works


@both_formats
@pytest.mark.parametrize("in_zip", [False, True], ids=["bare", "in a zip"])
def test_a_training_checkpoint(tmp_path: Path, legacy: bool, in_zip: bool) -> None:
    """Averaged weights, without 'module.', past an argparse.Namespace."""
    state = filled(TINY_LAYOUT)
    content = pickled(training_checkpoint(state), legacy=legacy)
    path = _written(tmp_path, zipped({MEMBER: content, "README.md": b""}) if in_zip else content)
    assert _same(read_checkpoint(path, MEMBER), state)


@both_formats
@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "state_dict_ema": None},
        {"state_dict": {f"module._orig_mod.{name}": tensor for name, tensor in STATE.items()}, "metric": 80.5},
        {
            "state_dict_ema": {name: torch.nn.Parameter(tensor, False) for name, tensor in STATE.items()},
            "state_dict": {},
        },
    ],
    ids=["bare state dict", "no average", "prefixes", "parameters"],
)
def test_other_checkpoints(tmp_path: Path, content: Any, legacy: bool) -> None:
    assert _same(read_checkpoint(_written(tmp_path, pickled(content, legacy=legacy))), STATE)


@pytest.mark.parametrize(
    ("names", "member"),
    [(["gpunet/0.65ms.pth.tar", "README.md"], MEMBER), (["x/y.pth", "LICENSE"], None), (["y.pt"], None)],
)
def test_the_member_is_found(tmp_path: Path, names: list[str], member: str | None) -> None:
    path = _written(tmp_path, zipped({name: pickled(STATE) if i == 0 else b"text" for i, name in enumerate(names)}))
    assert _same(read_checkpoint(path, member), STATE)
    assert os.listdir(tmp_path) == ["model.pth.tar"]


# ----------------------------------------------------------------- hostile zips


@pytest.mark.parametrize(
    "name",
    ["../0.65ms.pth.tar", "a/../../0.65ms.pth.tar", "/tmp/0.65ms.pth.tar", "C:/0.65ms.pth.tar", "..\\0.65ms.pth.tar"],
)
@pytest.mark.parametrize("beside_a_good_one", [False, True])
def test_a_member_that_climbs(tmp_path: Path, name: str, beside_a_good_one: bool) -> None:
    members = {name: pickled(STATE), **({MEMBER: pickled(STATE)} if beside_a_good_one else {})}
    (tmp_path / "in").mkdir()
    text = _refused(_written(tmp_path / "in", zipped(members)), MEMBER)
    assert "which climbs out of its folder.\nDo not use this file" in text
    assert os.listdir(tmp_path) == ["in"]
    assert os.listdir(tmp_path / "in") == ["model.pth.tar"]


def test_a_bomb_by_its_ratio(tmp_path: Path) -> None:
    path = _written(tmp_path, zipped({MEMBER: bytes(3_000_000)}))
    assert f"is a zip bomb: '{MEMBER}' grows from " in _refused(path, MEMBER)


def test_a_bomb_inside_the_checkpoint(tmp_path: Path) -> None:
    """torch.save's own format is a zip, whose records a hostile hand can deflate."""
    packed = io.BytesIO()
    plain = io.BytesIO(pickled({"a": torch.zeros(1_000_000)}))
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for each in source.infolist():
            target.writestr(each.filename, source.read(each))
    assert "is a zip bomb" in _refused(_written(tmp_path, zipped({MEMBER: packed.getvalue()})), MEMBER)
    assert "is a zip bomb" in _refused(_written(tmp_path, packed.getvalue()))


def test_a_zip_that_unpacks_to_too_much(tmp_path: Path) -> None:
    members = {f"{index}.pth": bytes(range(256)) * 40 for index in range(8)}
    text = _refused(_written(tmp_path, zipped(members)), "0.pth", limit_bytes=80_000)
    assert "unpacks to 81920 bytes, more than the 80000 allowed" in text


def _that_says(size_bytes: int, content: bytes) -> bytes:
    """A zip of one member whose directory says that it unpacks to so much."""
    directory = content.index(b"PK\x01\x02")
    return content[: directory + 24] + struct.pack("<I", size_bytes) + content[directory + 28 :]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_member_of_another_size_than_it_says(tmp_path: Path, compression: int) -> None:
    content = zipped({MEMBER: os.urandom(5000)}, compression)
    more = _refused(_written(tmp_path, _that_says(100, content)), MEMBER)
    assert f"{MEMBER} unpacks to more than the 100 bytes that its zip says.\nDo not use this file" in more
    less = _refused(_written(tmp_path, _that_says(6000, content)), MEMBER)
    assert f"{MEMBER} unpacks to 5000 bytes, not the 6000 bytes that its zip says." in less


def test_a_bomb_that_says_it_is_small_is_not_unpacked(tmp_path: Path) -> None:
    path = _written(tmp_path, _that_says(1024, zipped({MEMBER: bytes(64_000_000)})))
    tracemalloc.start()
    try:
        assert "unpacks to more than the 1024 bytes that its zip says" in _refused(path, MEMBER)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_small_bomb_inside_the_checkpoint(tmp_path: Path) -> None:
    """torch.save's own format, deflated, with a record that unpacks to more than its directory says."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pickled({"a": torch.zeros(1_000_000)}))) as source:
        names = sorted(source.namelist(), key=lambda name: not name.endswith("/data/0"))
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
            for name in names:
                target.writestr(name, source.read(name))
    path = _written(tmp_path, _that_says(4096, packed.getvalue()))
    assert "is not a PyTorch checkpoint of tensors and plain values, or is damaged" in _refused(path)


def test_a_zip_packed_by_another_method(tmp_path: Path) -> None:
    """What bz2 and lzma unpack to cannot be bounded while they do."""
    path = _written(tmp_path, zipped({MEMBER: os.urandom(5000)}, zipfile.ZIP_LZMA))
    text = _refused(path, MEMBER)
    assert f"packs '{MEMBER}' by method 14; only stored and deflated are read.\nUnpack it, and pack it again" in text


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    assert "is 101 bytes long, more than the 100 allowed" in _refused(_written(tmp_path, bytes(101)), limit_bytes=100)


# ----------------------------------------------------------------- damaged zips


def test_a_zip_without_the_member(tmp_path: Path) -> None:
    path = _written(tmp_path, zipped({"0.85ms.pth.tar": pickled(STATE), "README.md": b""}))
    text = _refused(path, MEMBER)
    assert "holds no 0.65ms.pth.tar; it holds 0.85ms.pth.tar, README.md.\nIs this the zip of another model?" in text
    assert "holds no checkpoint; it holds nothing" in _refused(_written(tmp_path, zipped({})))


def test_a_zip_with_two_candidates(tmp_path: Path) -> None:
    path = _written(tmp_path, zipped({f"a/{MEMBER}": pickled(STATE), f"b/{MEMBER}": pickled(STATE)}))
    assert "holds 2 files that could be the checkpoint" in _refused(path, MEMBER)
    assert "holds 2 files that could be the checkpoint" in _refused(path)


def test_a_truncated_zip(tmp_path: Path) -> None:
    content = zipped({MEMBER: pickled(STATE)})
    assert "is a damaged zip: " in _refused(_written(tmp_path, content[: len(content) // 2]), MEMBER)


def test_a_zip_with_a_flipped_byte(tmp_path: Path) -> None:
    content = bytearray(zipped({MEMBER: os.urandom(5000)}, zipfile.ZIP_STORED))
    content[2000] ^= 1
    assert "cannot be unpacked: Bad CRC-32" in _refused(_written(tmp_path, bytes(content)), MEMBER)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    content = bytearray(zipped({MEMBER: pickled(STATE)}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert "cannot be unpacked: " in _refused(_written(tmp_path, bytes(content)), MEMBER)


@pytest.mark.parametrize("content", [b"", b"PK", bytes(range(64)), b"\x80\x02."])
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    text = _refused(_written(tmp_path, content))
    if content == b"PK":
        assert "is a damaged zip: File is not a zip file.\nFetch it again." in text
    else:
        assert "is not a PyTorch checkpoint of tensors and plain values, or is damaged: " in text
        assert text.endswith("No code of it was run. Fetch it again.")
        assert "weights_only" not in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n<html>Please sign in</html>", "is a web page, not a PyTorch checkpoint.\nFetch the file itself"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "is a Git LFS pointer, not a PyTorch checkpoint.",
        ),
        (gzip.compress(pickled(STATE)), "is packed by gzip, not a PyTorch checkpoint.\nUnpack it: gunzip."),
        (safetensors.torch.save(STATE), "is a safetensors file, not a PyTorch checkpoint.\nName it NAME.safetensors."),
    ],
)
def test_what_is_often_taken_for_one(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in _refused(_written(tmp_path, content))


def test_a_program_is_refused_without_torchs_advice_to_trust_it(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        program = io.BytesIO()
        torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)), program)
    text = _refused(_written(tmp_path, program.getvalue()))
    assert "TorchScript" in text
    assert "False" not in text


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    """torch.load itself reckons no CRC; torch.save may be told to write none."""
    content = bytearray(pickled(STATE))
    content[content.index(STATE["a.weight"].numpy().tobytes())] ^= 1
    assert "or is damaged: Bad CRC-32" in _refused(_written(tmp_path, bytes(content)))
    before = torch.serialization.get_crc32_options()
    try:
        torch.serialization.set_crc32_options(False)
        assert _same(read_checkpoint(_written(tmp_path, pickled(STATE))), STATE)
    finally:
        torch.serialization.set_crc32_options(before)


@both_formats
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_truncated_checkpoint(tmp_path: Path, legacy: bool, part: float) -> None:
    content = pickled(STATE, legacy=legacy)
    _refused(_written(tmp_path, content[: int(len(content) * part)]))


# -------------------------------------------------------------- hostile pickles


class _Code:
    """Unpickled without care, it makes the folder `path`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@both_formats
@pytest.mark.parametrize("in_zip", [False, True], ids=["bare", "in a zip"])
@pytest.mark.parametrize("attack", ["mkdir", "system", "exec"])
def test_a_pickle_that_wants_to_run_code(tmp_path: Path, legacy: bool, in_zip: bool, attack: str) -> None:
    ran = tmp_path / "ran"
    calls = {
        "mkdir": _Code(os.mkdir, str(ran)),
        "system": _Code(os.system, f"mkdir {ran}"),
        "exec": _Code(exec, f"import os; os.mkdir({str(ran)!r})"),
    }
    content = pickled({"state_dict": STATE, "args": calls[attack]}, legacy=legacy)
    path = _written(tmp_path, zipped({MEMBER: content}) if in_zip else content)
    text = _refused(path, MEMBER)
    assert "was not loaded: it wants to run code (" in text
    assert "Do not use this file" in text
    assert not ran.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_that_wants_to_run_code(tmp_path: Path, protocol: int) -> None:
    ran = tmp_path / "ran"
    content = pickle.dumps({"state_dict": _Code(os.mkdir, str(ran))}, protocol)
    _refused(_written(tmp_path, content))
    assert not ran.exists()


def test_other_classes_are_refused_and_the_allowance_ends(tmp_path: Path) -> None:
    path = _written(tmp_path, pickled({"state_dict": STATE, "part": Fraction(1, 2)}))
    assert "holds an object of the class fractions.Fraction" in _refused(path)
    read_checkpoint(_written(tmp_path, pickled({"state_dict": STATE, "args": argparse.Namespace(a=1)})))
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


# ------------------------------------------------------------------ odd contents


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], "holds a list, not a state dict."),
        (torch.zeros(2), "holds a Tensor, not a state dict."),
        ({}, "holds an empty state dict."),
        ({"state_dict": {}}, "holds an empty state dict."),
        ({"student": STATE, "teacher": STATE}, "holds a dict under 'student'; a state dict holds tensors by name."),
        ({"epoch": 3}, "holds a int under 'epoch'; a state dict holds tensors by name."),
        ({3: torch.zeros(2)}, "holds a Tensor under 3; a state dict holds tensors by name."),
        ({"a": torch.zeros(2), "module.a": torch.zeros(2)}, "holds 'a' twice, with and without a prefix."),
        pytest.param(
            {"a": torch.eye(3).to_sparse()},
            "holds 'a' as torch.float32, torch.sparse_coo, on cpu; not a plain tensor.",
            marks=pytest.mark.filterwarnings("ignore:.*sparse tensor"),  # torch tells that it scans it
        ),
        ({"a": torch.zeros(2, device="meta")}, "on meta; not a plain tensor."),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, "holds 'a' as torch.complex64"),
        ({"a": torch.zeros(1).expand(10**12)}, "holds tensors of more than the 2147483648 bytes allowed."),
    ],
)
def test_odd_contents(tmp_path: Path, content: Any, said: str) -> None:
    assert said in _refused(_written(tmp_path, pickled(content)))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.pth")
