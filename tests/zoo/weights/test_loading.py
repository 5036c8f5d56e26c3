from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import timm
import torch
from helpers.checkpoints import (
    DATA,
    MEMBER,
    NGC,
    NGC_PATH,
    TINY_LAYOUT,
    Server,
    filled,
    full_disk,
    layout,
    left_in,
    pickled,
    send,
    tiny_entry,
    tiny_network,
    tiny_state,
    tiny_zip,
    training_checkpoint,
    zipped,
)

from gpunet.errors import CheckpointError, ChecksumError, DownloadError, InvalidArgumentError, WeightsError
from gpunet.model.entry import Entry
from gpunet.model.network import GPUNet
from gpunet.zoo.catalog import entry_named
from gpunet.zoo.weights.loading import cache_path, find_weights, load_weights, weights_are_here, zip_path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ------------------------------------------------------------------------ NGC


def test_downloads_converts_and_keeps(server: Server, cache: Path) -> None:
    entry = tiny_entry()
    path = find_weights(entry)
    assert path == cache_path(entry)
    assert path.parent == cache
    assert left_in(cache) == [path.name, f"{path.name}.sha256"]
    assert (cache / f"{path.name}.sha256").read_text() == f"{_sha256(path)}  {path.name}\n"
    with safetensors.safe_open(path, framework="pt") as file:
        source = hashlib.sha256(server.answers[NGC_PATH]).hexdigest()  # type: ignore[arg-type]
        assert file.metadata() == {"format": "pt", "entry": "tiny", "source": NGC, "source_sha256": source}
        stem = file.get_tensor("conv_stem.weight")
    assert torch.equal(stem, filled(TINY_LAYOUT)["network.head: 2.net.0.weight"])
    load_weights(tiny_network(), path)

    assert find_weights(entry) == path
    assert server.requests == [f"GET {NGC_PATH}"]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs the command sha256sum")
def test_sha256sum_agrees(server: Server, cache: Path) -> None:
    path = find_weights(tiny_entry())
    done = subprocess.run(["sha256sum", "-c", f"{path.name}.sha256"], cwd=cache, capture_output=True, text=True)
    assert done.stdout == f"{path.name}: OK\n"


def test_a_released_network_whole(server: Server, cache: Path) -> None:
    """gpunet_0 from an NGC zip of 48 MB to the logits of NVIDIA's implementation."""
    entry = entry_named("gpunet_0")
    assert entry.weights is not None
    assert entry.weights.ngc_url is not None
    content = pickled(training_checkpoint(filled(layout("gpunet_0"))))
    address = entry.weights.ngc_url.removeprefix("https://api.ngc.nvidia.com")
    server.answers[address] = zipped({str(entry.weights.ngc_member): content}, 0)
    model = GPUNet(entry.spec).eval()  # type: ignore[arg-type]
    load_weights(model, entry)
    images = np.random.Generator(np.random.PCG64(0)).standard_normal((2, 3, 320, 320)).astype(np.float32)
    with torch.inference_mode():
        logits = model(torch.from_numpy(images)).numpy()
    with np.load(DATA / "golden_logits.npz") as golden:
        np.testing.assert_allclose(logits, golden["gpunet_0"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf")])
def test_a_time_limit_that_is_none(timeout_s: float) -> None:
    with pytest.raises(InvalidArgumentError, match="timeout_s must be a finite number above 0, but got"):
        find_weights(tiny_entry(), timeout_s=timeout_s)


# --------------------------------------------------------------------- faults


def _by_hand(cache: Path) -> str:
    return f"Download {NGC} by hand and put the zip at {zip_path(tiny_entry())}, or pass weights=FILE"


def _hostile_pickle() -> bytes:
    class Code:
        def __reduce__(self) -> object:
            return exec, ("raise SystemExit('it ran')",)

    return pickled({"state_dict": Code()})


def _other_shapes() -> bytes:
    wrong = {**TINY_LAYOUT, "network. layer7.net.0.weight": (16, 16, 3, 3)}
    return zipped({MEMBER: pickled(filled(wrong))})


def _other_classes() -> bytes:
    wrong = {**TINY_LAYOUT, "network. layer7.net.6.weight": (7, 16), "network. layer7.net.6.bias": (7,)}
    return zipped({MEMBER: pickled(filled(wrong))})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            lambda: b"<html>Sign in to this hotel's network</html>",
            "is a web page, not a PyTorch checkpoint. It came from",
        ),
        (lambda: tiny_zip()[:-100], "is a damaged zip"),
        (lambda: zipped({"README.md": b"nothing else"}), f"holds no {MEMBER}; it holds README.md"),
        (lambda: zipped({f"../{MEMBER}": b"x"}), "climbs out of its folder"),
        (lambda: zipped({MEMBER: bytes(3_000_000)}), "is a zip bomb"),
        (lambda: zipped({MEMBER: _hostile_pickle()}), "it wants to run code"),
        (_other_shapes, "1 of another shape (conv_head.weight is 16 x 16 x 3 x 3, not 16 x 16 x 1 x 1)"),
        (_other_classes, "is not of tiny: 2 of another shape (classifier.weight is 7 x 16, not 10 x 16"),
    ],
    ids=["html", "truncated", "no member", "climbs", "bomb", "code", "shapes", "classes"],
)
def test_a_bad_zip_from_ngc(server: Server, cache: Path, content: Callable[[], bytes], said: str) -> None:
    server.answers[NGC_PATH] = content()
    with pytest.raises(CheckpointError) as caught:
        find_weights(tiny_entry())
    assert said in caught.value.message
    assert f"It came from {server.url}{NGC_PATH} and was deleted." in caught.value.message
    assert caught.value.hint.startswith(_by_hand(cache))
    assert left_in(cache) == []

    server.answers[NGC_PATH] = tiny_zip()
    assert find_weights(tiny_entry()).exists()


def test_a_download_that_fails(server: Server, cache: Path) -> None:
    server.answers[NGC_PATH] = lambda handler: send(handler, tiny_zip()[:-10], Content_Length=str(len(tiny_zip())))
    with pytest.raises(
        DownloadError, match=r"^tiny: its weights could not be had: .* ended early: \d+ of \d+ bytes arri"
    ) as caught:
        find_weights(tiny_entry())
    assert caught.value.hint.startswith(_by_hand(cache))
    assert caught.value.hint.endswith("pretrained=False gives an untrained network.")
    assert left_in(cache) == []


def test_a_download_that_takes_too_long(server: Server, cache: Path) -> None:
    """What arrived is gone on with the next time."""
    content = tiny_zip()
    asked = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers.get("Range"))
        if asked[-1] is None:
            send(handler, content[:1000], ETag='"1"', Content_Length=str(len(content)))
            server.released.wait()
        else:
            whole = f"bytes 999-{len(content) - 1}/{len(content)}"
            send(handler, content[999:], 206, ETag='"1"', Content_Range=whole)

    server.answers[NGC_PATH] = answer
    with pytest.raises(DownloadError, match=r"took longer than timeout_s=2 allows\.\n"):
        find_weights(tiny_entry(), timeout_s=2)
    assert left_in(cache) == [zip_path(tiny_entry()).name, f"{zip_path(tiny_entry()).name}.json"]
    load_weights(tiny_network(), find_weights(tiny_entry()))
    assert asked == [None, "bytes=999-"]
    assert len(left_in(cache)) == 2


def test_no_network(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUNET_NGC_URL", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:9/v2/\S+ cannot be reached: ") as caught:
        find_weights(tiny_entry())
    assert caught.value.hint.startswith(_by_hand(cache))
    assert left_in(cache) == []


def test_a_wrong_mirror_address(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUNET_NGC_URL", "mirror")
    with pytest.raises(InvalidArgumentError, match="GPUNET_NGC_URL must be an http or https address, but is 'mirror'"):
        find_weights(tiny_entry())


@pytest.mark.parametrize("allowed_bytes", [0, 30, 10_000], ids=["nothing", "not the checksum", "not the zip"])
def test_a_full_disk(server: Server, cache: Path, allowed_bytes: int) -> None:
    with full_disk(allowed_bytes), pytest.raises(WeightsError, match="cannot be written: File too large") as caught:
        find_weights(tiny_entry())
    assert str(cache_path(tiny_entry())) in caught.value.message
    assert caught.value.hint == f"Free space in {cache}, or set GPUNET_HOME to a folder that can be written."
    assert left_in(cache) == []


def test_a_full_disk_while_converting(cache: Path, tmp_path: Path) -> None:
    given = tmp_path / "model.pth.tar"
    given.write_bytes(pickled(filled(TINY_LAYOUT)))
    with full_disk(10_000), pytest.raises(WeightsError, match="cannot be written: File too large"):
        find_weights(tiny_entry(), given)
    assert left_in(cache) == []
    assert find_weights(tiny_entry(), given).exists()


def test_a_home_that_cannot_be(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(
        WeightsError, match=r"cannot be written: Not a directory: .*home.*\.\nFree space in .* or set GPUNET_HOME"
    ):
        find_weights(tiny_entry())
    assert server.requests == []


def test_an_entry_without_weights(cache: Path) -> None:
    entry = dataclasses.replace(tiny_entry(), weights=None)
    with pytest.raises(
        WeightsError, match=r"tiny: its entry names no weights\.\nPass weights=FILE, or pretrained=False"
    ):
        find_weights(entry)
    nowhere = tiny_entry(ngc_url=None)
    with pytest.raises(
        DownloadError, match=r"could not be had: its entry names no source\.\nPass weights=FILE; pretrained=False"
    ):
        find_weights(nowhere)


# -------------------------------------------------------------- files by hand


def test_a_zip_put_there_by_hand(server: Server, cache: Path) -> None:
    entry = tiny_entry()
    zip_path(entry).parent.mkdir(parents=True)
    zip_path(entry).write_bytes(tiny_zip())
    path = find_weights(entry)
    assert server.requests == []
    assert left_in(cache) == [path.name, f"{path.name}.sha256", zip_path(entry).name]
    load_weights(tiny_network(), path)


def test_a_bad_zip_put_there_by_hand(server: Server, cache: Path) -> None:
    entry = tiny_entry()
    zip_path(entry).parent.mkdir(parents=True)
    zip_path(entry).write_bytes(zipped({"README.md": b""}))
    with pytest.raises(CheckpointError, match=f"holds no {MEMBER}") as caught:
        find_weights(entry)
    assert str(zip_path(entry)) in caught.value.message
    assert left_in(cache) == [zip_path(entry).name]
    assert server.requests == []


def test_what_a_killed_download_left_is_not_taken_for_a_zip_put_there_by_hand(server: Server, cache: Path) -> None:
    name = zip_path(tiny_entry()).name
    (cache / "downloads").mkdir(parents=True)
    for content in (tiny_zip(), tiny_zip()[:-100]):
        (cache / "downloads" / name).write_bytes(content)
        assert not weights_are_here(tiny_entry())
        find_weights(tiny_entry()).unlink()
    assert server.requests == [f"GET {NGC_PATH}"] * 2


def test_a_zip_in_the_place_of_earlier_versions(
    server: Server, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be the user's, or left by a killed download: it is proved, taken or passed over, and told of."""
    entry, whole = tiny_entry(), tiny_zip()
    old = cache / zip_path(entry).name
    cache.mkdir(parents=True)
    server.answers[NGC_PATH] = whole
    old.write_bytes(whole)
    path = find_weights(entry)
    load_weights(tiny_network(), path)
    assert server.requests == []
    assert f"{old}, where earlier versions of gpunet kept zips, holds the weights of tiny" in capsys.readouterr().err
    assert old.exists()

    for bad in (whole[:-100], b"", b"<html>", zipped({"README.md": b""})):
        path.unlink()
        old.write_bytes(bad)
        find_weights(entry)
        assert f"{old}, where earlier versions of gpunet kept zips, is passed over" in capsys.readouterr().err
        assert old.exists()
    assert server.requests == [f"GET {NGC_PATH}"] * 4

    find_weights(entry)
    assert old.exists()
    old.write_bytes(whole)  # killed after its conversion
    find_weights(entry)
    assert not old.exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pth.tar", ".pth", ".zip", ""])
def test_nvidias_file_given(cache: Path, tmp_path: Path, suffix: str, legacy: bool) -> None:
    content = pickled(training_checkpoint(filled(TINY_LAYOUT)), legacy=legacy)
    given = tmp_path / f"given{suffix}"
    given.write_bytes(zipped({MEMBER: content}) if suffix == ".zip" else content)
    path = find_weights(tiny_entry(), str(given))
    assert left_in(cache) == [path.name, f"{path.name}.sha256"]
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata()["source_sha256"] == _sha256(given)
    written = path.stat().st_mtime_ns
    assert find_weights(tiny_entry(), given) == path
    assert path.stat().st_mtime_ns == written
    load_weights(tiny_network(), path)


def test_another_content_under_the_same_name_is_converted_again(cache: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.pth"
    paths = set()
    for seed in (0, 1):
        given.write_bytes(pickled(tiny_state(seed)))
        path = find_weights(tiny_entry(), given)
        assert torch.equal(safetensors.torch.load_file(path)["bn1.weight"], tiny_state(seed)["bn1.weight"])
        paths.add(path)
    assert len(paths) == 2


def test_a_damaged_conversion(cache: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.pth"
    given.write_bytes(pickled(tiny_state()))
    path = find_weights(tiny_entry(), given)
    path.write_bytes(b"")
    with pytest.raises(ChecksumError, match="is damaged, or is another file"):
        find_weights(tiny_entry(), given)


def test_a_checkpoint_of_ones_own(cache: Path, tmp_path: Path) -> None:
    """As timm's training script writes it; tensors that share memory are written apart."""
    state = tiny_state()
    state["bn2.bias"] = state["bn2.weight"]
    given = tmp_path / "model_best.pth.tar"
    given.write_bytes(pickled({"state_dict": state, "epoch": 3}))
    model = tiny_network()
    load_weights(model, find_weights(tiny_entry(), given))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_safetensors_given(cache: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(tiny_state(), given)
    assert find_weights(tiny_entry(), given) == given
    assert not cache.exists()

    Path(f"{given}.sha256").write_text(f"{_sha256(given)} *mine.safetensors\n")
    assert find_weights(tiny_entry(), given) == given
    Path(f"{given}.sha256").write_text(f"{'0' * 64}  mine.safetensors\n")
    with pytest.raises(
        ChecksumError, match=r"\nFetch it again; or, if it is right, delete .*mine\.safetensors\.sha256\."
    ):
        find_weights(tiny_entry(), given)


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0{notjson", pickled({"a": torch.zeros(2)})])
def test_a_damaged_safetensors(cache: Path, tmp_path: Path, content: bytes) -> None:
    given = tmp_path / "mine.safetensors"
    given.write_bytes(content)
    for use in (lambda: find_weights(tiny_entry(), given), lambda: load_weights(tiny_network(), given)):
        with pytest.raises(CheckpointError, match=r"mine\.safetensors is not a safetensors file, or is damaged: "):
            use()


@pytest.mark.parametrize(
    ("name", "said", "code"),
    [("none.safetensors", ": there is no such file.", 4), ("none.zip", ": there is no such file.", 4),
     (".", " is no file.", 2)],
)  # fmt: skip
def test_no_such_file(cache: Path, tmp_path: Path, name: str, said: str, code: int) -> None:
    with pytest.raises(WeightsError) as caught:
        find_weights(tiny_entry(), tmp_path / name)
    hint = "Give a safetensors file, or NVIDIA's .pth.tar or zip."
    assert (str(caught.value), caught.value.exit_code) == (f"{tmp_path / name}{said}\n{hint}", code)
    with pytest.raises(WeightsError) as caught:
        load_weights(tiny_network(), tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name}{said}\nGive a safetensors file."
    assert caught.value.exit_code == code


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that exists and cannot be read")
def test_a_file_that_cannot_be_read(cache: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"/proc/self/mem cannot be read: Input/output error\.\nCheck its permissions\."
    ):
        find_weights(tiny_entry(), "/proc/self/mem")


def test_a_file_of_another_network(cache: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.zip"
    given.write_bytes(zipped({MEMBER: pickled({"network.head: 2.net.0.weight": torch.zeros(8, 3, 3, 3)})}))
    with pytest.raises(CheckpointError, match=r"given\.zip: the checkpoint is not of this network: 75 missing"):
        find_weights(tiny_entry(), given)
    foreign = Entry("r", "own", "resnet18", None, None, "")
    with pytest.raises(
        CheckpointError, match=r"is a GPUNet of NVIDIA's, but r is none\.\nGive weights of this model\."
    ):
        find_weights(foreign, given)
    assert left_in(cache) == []


# ------------------------------------------------------------ the entry's own


def test_the_entrys_file(server: Server, cache: Path, tmp_path: Path) -> None:
    own = tmp_path / "model.safetensors"
    safetensors.torch.save_file(tiny_state(), own)
    assert find_weights(tiny_entry(tmp_path, file="model.safetensors")) == own
    assert find_weights(tiny_entry(tmp_path, file="model.safetensors", sha256=_sha256(own).upper())) == own
    with pytest.raises(ChecksumError, match=r"but 1234 is recorded\.\nFetch it again, or correct the entry tiny"):
        find_weights(tiny_entry(tmp_path, file="model.safetensors", sha256="1234"))
    assert server.requests == []


def test_the_entrys_file_is_missing(server: Server, cache: Path, tmp_path: Path) -> None:
    entry = tiny_entry(tmp_path, file="model.safetensors")
    assert find_weights(entry) == cache_path(entry)
    alone = tiny_entry(tmp_path, file="model.safetensors", ngc_url=None)
    with pytest.raises(DownloadError, match=r"its file .*model\.safetensors does not exist"):
        find_weights(alone)


# --------------------------------------------------------------- into a model


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    safetensors.torch.save_file(tiny_state(), path)
    return path


def test_another_number_of_classes_keeps_its_fresh_classifier(own: Path) -> None:
    model = tiny_network(num_classes=4)
    fresh = model.classifier.weight.detach().clone()
    assert load_weights(model, str(own)) == own
    assert torch.equal(model.classifier.weight, fresh)
    assert torch.equal(model.conv_head.weight, tiny_state()["conv_head.weight"])


def test_no_classes(own: Path) -> None:
    model = tiny_network(num_classes=0)
    load_weights(model, own)
    assert torch.equal(model.conv_head.weight, tiny_state()["conv_head.weight"])


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_input_channels(own: Path, channels: int) -> None:
    """A grey image, in one channel, gives what it gives in three."""
    model, reference = tiny_network(in_chans=channels), tiny_network()
    load_weights(model, own)
    load_weights(reference, own)
    weight = tiny_state()["conv_stem.weight"]
    if channels == 1:
        grey = torch.rand(1, 1, 32, 32)
        torch.testing.assert_close(model(grey), reference(grey.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-4)
    else:
        torch.testing.assert_close(model.conv_stem.weight[:, 0], weight[:, 0] * 3 / channels)


def test_channels_that_cannot_be_adapted(tmp_path: Path) -> None:
    path = tmp_path / "four.safetensors"
    safetensors.torch.save_file(tiny_network(in_chans=4).state_dict(), path)
    load_weights(tiny_network(in_chans=4), path)
    with pytest.raises(
        CheckpointError, match=r"conv_stem\.weight takes 4 channels and the model 3; only 3 can be adapted\."
    ) as caught:
        load_weights(tiny_network(), path)
    assert caught.value.hint == "Create the model with in_chans=4."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("bn1.weight"), "1 missing (bn1.weight)"),
        (
            lambda state: state.update({"conv_stem.weight": torch.zeros(())}),
            "conv_stem.weight is a scalar, not 8 x 3 x 3 x 3",
        ),
        (lambda state: state.update(extra=torch.zeros(1)), "1 unexpected (extra)"),
        (lambda state: state.update({"bn2.weight": torch.zeros(17)}), "1 of another shape (bn2.weight is 17, not 16)"),
        (
            lambda state: state.update({"classifier.weight": torch.zeros(())}),
            "classifier.weight is a scalar, not 10 x 16",
        ),
        (lambda state: state.pop("classifier.weight"), "1 missing (classifier.weight)"),
        (
            lambda state: state.update({"classifier.weight": torch.zeros(10, 32)}),
            "(classifier.weight is 10 x 32, not 10 x 16)",
        ),
        (lambda state: state.update({"bn1.weight": torch.zeros(8, dtype=torch.int32)}), "bn1.weight is torch.int32"),
    ],
)
def test_strict_otherwise(tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], said: str) -> None:
    state = tiny_state()
    change(state)
    path = tmp_path / "wrong.safetensors"
    safetensors.torch.save_file(state, path)
    model = tiny_network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match="does not fit the model: ") as caught:
        load_weights(model, path)
    assert said in caught.value.message
    assert str(path) in caught.value.message
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_timm_model(tmp_path: Path) -> None:
    """Its own configuration names the first convolution and the classifier."""
    path = tmp_path / "resnet.safetensors"
    source = timm.create_model("test_resnet", num_classes=5)
    safetensors.torch.save_file(source.state_dict(), path)
    model = timm.create_model("test_resnet", num_classes=3, in_chans=1)
    load_weights(model, path)
    first = source.pretrained_cfg["first_conv"] + ".weight"
    torch.testing.assert_close(model.state_dict()[first], source.state_dict()[first].sum(1, keepdim=True))


def test_an_entry_is_found_and_loaded(server: Server, cache: Path) -> None:
    model = tiny_network()
    assert load_weights(model, tiny_entry(), progress=False) == cache_path(tiny_entry())
    assert torch.equal(model.classifier.bias, filled(TINY_LAYOUT)["network. layer7.net.6.bias"])
