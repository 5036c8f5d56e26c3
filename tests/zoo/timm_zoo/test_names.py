"""timm's names, where a network is named: TAG and TAG@PX, with weights by timm and the hub, or what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

import gpunet
from gpunet.cli.export import main as export
from gpunet.cli.main import main
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, UnknownModelError, WeightsError
from gpunet.runtime.sidecar import read_sidecar
from gpunet.zoo.timm_zoo.names import entry_by_name, entry_of_timm

TAG = "test_resnet.r160_in1k"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the hub's client, empty; nobody answers beyond it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    return tmp_path / "hub"


def keep(hub: Path, tag: str) -> torch.nn.Module:
    """Made-up weights of a tag, as the hub's client keeps them; returns their network."""
    torch.manual_seed(0)
    made: torch.nn.Module = timm.create_model(tag)
    repository, commit = hub / f"models--timm--{tag}", "0123456789" * 4
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    save_file(made.state_dict(), repository / "snapshots" / commit / "model.safetensors")
    return made


def test_a_tag_alone_is_at_timms_own_size() -> None:
    assert entry_by_name("resnet18.a1_in1k").name == "resnet18.a1_in1k@224"
    assert entry_by_name("resnet18.a1_in1k@288").input_px == 288
    assert entry_by_name("deit_tiny_patch16_224.fb_in1k@224").name == "deit_tiny_patch16_224.fb_in1k"
    assert entry_by_name("gpunet_1").role == "released"
    assert entry_of_timm("resnet18") is None  # an architecture, whose weights nobody has named
    for tag in ("resnet50.a1_in1k", "mobilenetv4_conv_medium.e500_r256_in1k", "efficientnet_b1.ra4_e3600_r240_in1k"):
        cfg = timm.get_pretrained_cfg(tag)
        assert cfg is not None
        assert entry_by_name(tag).input_px == cfg.input_size[-1]


def test_another_size_than_was_published_is_refused() -> None:
    with pytest.raises(UnknownModelError, match=r"accuracies at 224 and 288 px, but 'resnet18\.a1_in1k@320'") as caught:
        entry_by_name("resnet18.a1_in1k@320")
    assert caught.value.nearest == ("resnet18.a1_in1k@224", "resnet18.a1_in1k@288")
    with pytest.raises(UnknownModelError, match=r"the zoo has no model 'resnet18\.b9'"):
        entry_by_name("resnet18.b9")
    model = gpunet.load("deit_tiny_patch16_224.fb_in1k", zoo="timm", pretrained=False)
    with pytest.raises(InvalidArgumentError, match=r"takes images of 224 x 224 px alone, but 256 x 256"):
        gpunet.benchmark(model, input_px=256)


def test_offline_takes_what_is_kept_and_says_what_is_not(hub: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "net.onnx"
    said = rf"repository timm/{TAG}: \S+ cannot be had: offline nobody is asked\."
    with pytest.raises(WeightsError, match=said) as caught:
        export([TAG, "-o", str(path), "--offline"])
    assert caught.value.exit_code == ABSENT_EXIT_CODE
    assert (
        caught.value.hint
        == f"Leave --offline out, pass --weights FILE, or fetch it beforehand: hf download timm/{TAG}."
    )
    with pytest.raises(WeightsError, match=r"https://.*gcvit_xxtiny.*\.pth is not asked: offline nobody is"):
        gpunet.load("gcvit_xxtiny.in1k", zoo="timm", offline=True)
    assert not path.exists()
    kept = keep(hub, TAG)
    export([TAG, "-o", str(path), "--offline"])
    assert "verified: onnxruntime" in capsys.readouterr().out
    side = read_sidecar(path)
    assert (side.model, side.weights["state"], side.preprocessing["input_size"]) == (TAG, "trained", [3, 160, 160])
    own = gpunet.load(TAG, zoo="timm", offline=True).state_dict()
    assert all(torch.equal(value, own[name]) for name, value in kept.state_dict().items())


def test_branches_are_fused_and_the_file_is_named_by_the_network(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    export(["repghostnet_050", "--no-pretrained"])
    assert read_sidecar("repghostnet_050-fp32.onnx").reparameterized


def test_info_and_bench_take_a_tag(capsys) -> None:
    main(["info", f"{TAG}", "--json"])
    assert json.loads(capsys.readouterr().out)["name"] == TAG
    main(["bench", TAG, "-r", "pytorch", "-t", "1", "--rounds", "1", "--json"])
    measured = json.loads(capsys.readouterr().out)["measurements"]
    assert measured[TAG]["conditions"]["input_shape"] == [1, 3, 160, 160]


@pytest.mark.slow
def test_a_tag_is_fine_tuned(hub: Path, tmp_path: Path, capsys) -> None:
    keep(hub, TAG)
    out = tmp_path / "tuned"
    main(["train", TAG, "--finetune", "--offline", "--data", "digits", "--images-fraction", "0.05", "--epochs", "1",
          "--quiet", "-o", str(out)])  # fmt: skip
    assert f"training {TAG} from timm's weights" in capsys.readouterr().err
    model = gpunet.load(out)
    assert model.entry is not None
    assert (model.entry.architecture, model.entry.input_px, model.entry.num_classes) == (TAG, 160, 10)


def test_a_network_that_was_built_for_another_size_has_that_one() -> None:
    import timm

    from gpunet.model.preprocessing import check_side

    model = timm.create_model("test_vit", img_size=64)
    check_side(model, (64, 64))
    with pytest.raises(InvalidArgumentError, match="takes images of 64 x 64 px alone, but 160 x 160"):
        check_side(model, (160, 160))
