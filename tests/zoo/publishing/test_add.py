"""Networks added to a zoo of one's own, with an accuracy that one measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.entries import RECORD, write_zoo
from helpers.own_entry import CLASSES, NAME, make_entry

import gpunet
from gpunet.cli.main import main
from gpunet.errors import EntryError, UnknownModelError
from gpunet.model.entry import Accuracy
from gpunet.zoo import add_entry
from gpunet.zoo.catalog import catalog

TAG, ADDED = "resnet18.a1_in1k@288", "resnet18.a1_in1k-own@288"
SCORED = {
    "runtime": "openvino", "runtime_version": "2026.1", "precision": "fp32", "data": "pets (validation)",
    "images": 200, "top1_percent": 91.5, "top5_percent": 99.0, "classes": [],
}  # fmt: skip
OWN = Accuracy(71.2, "ImageNet-V2 (test)", "me")


def _file(folder: Path, said: object) -> Path:
    path = folder / "eval.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said), encoding="utf-8")
    return path


def test_a_tag_of_timms_is_ranked_by_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    zoo, path = tmp_path / "zoo", _file(tmp_path, {TAG: SCORED})
    main(["zoo", "add", TAG, "--accuracy", str(path), "-o", str(zoo)])
    assert capsys.readouterr().out == f"{zoo / ADDED}: {ADDED}, top-1 91.5 % on pets (validation)\n"
    entry, of_timm = catalog(zoo)[ADDED], catalog("timm")[TAG]
    assert (entry.role, entry.architecture, entry.weights) == ("own", "resnet18.a1_in1k", None)
    assert (entry.preprocessing, entry.licence, entry.sources) == (
        of_timm.preprocessing, of_timm.licence, of_timm.sources
    )  # fmt: skip
    assert entry.parameters == of_timm.parameters
    assert entry.accuracy.source == f"gpunet eval {TAG}: openvino 2026.1, fp32, 200 images"
    assert [r.throughput_ips for r in entry.records] == [r.throughput_ips for r in of_timm.records]
    assert entry.classes[0].startswith("tench")  # the images are not ImageNet's, the classes are
    found = gpunet.find("rtx4090", min_ips=1000, dataset="pets", zoo=[zoo, "timm"])
    assert [match.name for match in found] == [ADDED]
    assert gpunet.load(ADDED, zoo=zoo, pretrained=False).pretrained_cfg["input_size"] == (3, 288, 288)


def test_of_an_entry_with_weights_all_travels(tmp_path: Path):
    source = make_entry(tmp_path / "run0")
    write_zoo(source, entry="", name="x", records=[{**RECORD, "model": NAME}])
    (source / "x").unlink()
    path = _file(tmp_path, {str(source): {**SCORED, "precision": "int8"}})
    folder = add_entry(tmp_path / "zoo", source, path, name="mine")
    before, entry = catalog(source)[NAME], catalog(tmp_path / "zoo")["mine"]
    assert (entry.classes, entry.preprocessing, entry.spec) == (CLASSES, before.preprocessing, before.spec)
    assert (entry.accuracy.dataset, entry.accuracy.precision) == ("pets (validation)", "int8")
    assert [(r.model, r.latency_ms) for r in entry.records] == [("mine", 0.4)]
    assert (folder / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    model = gpunet.load("mine", zoo=tmp_path / "zoo")
    assert model.entry.weights.sha256 == before.weights.sha256
    assert [path.name for path in sorted((tmp_path / "zoo").iterdir())] == ["mine"]


def test_again_is_the_same_and_another_is_asked_for(tmp_path: Path):
    zoo = tmp_path / "zoo"
    folder = add_entry(zoo, TAG, OWN)
    stamp = (folder / "entry.json").stat().st_mtime_ns
    assert add_entry(zoo, TAG, OWN) == folder
    assert (folder / "entry.json").stat().st_mtime_ns == stamp
    other = Accuracy(72.0, OWN.dataset, "me")
    with pytest.raises(EntryError, match="holds another entry") as caught:
        add_entry(zoo, TAG, other)
    assert "--replace" in caught.value.hint
    add_entry(zoo, TAG, other, replace=True)
    assert catalog(zoo)[ADDED].top1_percent == 72.0
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(EntryError, match=r"holds 'notes\.txt' too, which would be lost"):
        add_entry(zoo, TAG, OWN, replace=True)
    (zoo / "taken").mkdir()
    with pytest.raises(EntryError, match="is there, and is no entry's folder"):
        add_entry(zoo, TAG, OWN, name="taken")
    for name in ("gpunet_0", TAG):
        with pytest.raises(EntryError, match=f"the zoo has an entry '{name}' already"):
            add_entry(zoo, TAG, OWN, name=name)
    assert sorted(path.name for path in zoo.iterdir()) == [ADDED, "taken"]


def test_networks_that_are_none(tmp_path: Path):
    with pytest.raises(UnknownModelError, match=r"resnet18\.a1_in1k has several input sizes") as caught:
        add_entry(tmp_path, "resnet18.a1_in1k", OWN)
    assert TAG in caught.value.nearest
    with pytest.raises(UnknownModelError, match="the zoo has no model 'resnet18x'"):
        add_entry(tmp_path, "resnet18x", OWN)
    with pytest.raises(UnknownModelError, match="cannot be built: only its published figures are known"):
        add_entry(tmp_path, "alphanet_a2", OWN)
    folder = add_entry(tmp_path / "zoo", "test_vit", OWN)  # of timm's, and no tag that has a published accuracy
    assert catalog(tmp_path / "zoo")[folder.name].parameters == 371_000
    own = write_zoo(tmp_path / "run", name="entry.json", records=[])
    weights = json.loads((own / "entry.json").read_text()) | {"weights": {"file": "gone.safetensors"}}
    (own / "entry.json").write_text(json.dumps(weights))
    with pytest.raises(EntryError, match="the weights of tiny are not there"):
        add_entry(tmp_path / "zoo", own, OWN, name="other")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("no JSON", "eval.json"),
        ([], "holds no accuracy"),
        ({"classes": 3}, "holds no accuracy"),
        ({"a": SCORED, "b": SCORED}, "holds the accuracies of a, b, and none of resnet18"),
        ({"a": {"top1_percent": 3}}, "does not say 'data' of a"),
        ({"top1_percent": 3, "dataset": "x"}, "does not say 'source'"),
        ({"top1_percent": 3, "dataset": "x", "source": "y", "top1": 3}, "has the unknown key 'top1'"),
        ({"top1_percent": 300, "dataset": "x", "source": "y"}, "accuracy.top1_percent must be"),
        ({TAG: {**SCORED, "data": 3}}, "accuracy.dataset must be a text"),
    ],
)
def test_files_without_an_accuracy(said: object, message: str, tmp_path: Path):
    with pytest.raises(EntryError) as caught:
        add_entry(tmp_path / "zoo", TAG, _file(tmp_path, said))
    assert message in str(caught.value)
    assert not (tmp_path / "zoo").exists() or list((tmp_path / "zoo").iterdir()) == []


def test_a_file_of_one_other_name_is_taken_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = _file(tmp_path, {"exported.onnx": SCORED})
    add_entry(tmp_path / "zoo", TAG, path)
    assert f"is of exported.onnx: it is taken for the accuracy of {TAG}" in capsys.readouterr().err
    stated = _file(tmp_path, {"top1_percent": 71.0, "dataset": "ImageNet-V2 (test)", "source": "me"})
    folder = add_entry(tmp_path / "zoo", TAG, stated, name="stated")
    assert catalog(folder)["stated"].classes is None  # ImageNet's, as the data says
