"""A published entry: read by the zoo, by timm and on this machine; written whole, once."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from helpers.publications import NAME, RUNTIME, publication, record, small_network

import gpunet
import gpunet.registry
from gpunet.core.files import sha256_of
from gpunet.core.folders import staging
from gpunet.errors import EntryError, ExportError, WeightsError
from gpunet.model.entry import Accuracy, LatencyRecord
from gpunet.model.network import GPUNet
from gpunet.model.small import SMALL
from gpunet.model.spec import NetworkSpec
from gpunet.train.recipes import recipe_named
from gpunet.zoo.catalog import catalog
from gpunet.zoo.measured import record_from_measurement
from gpunet.zoo.publishing.layout import LAYOUT
from gpunet.zoo.publishing.publish import publish_entry

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    return tmp_path / "zoo"


def _elsewhere(latency_ms: float, **fields: Any) -> LatencyRecord:
    return dataclasses.replace(record(latency_ms), chip="orin", board="Jetson AGX Orin 64GB", **fields)


# ---------------------------------------------------------------- who reads it


def test_the_folder_holds_the_layout_and_nothing_else(zoo: Path) -> None:
    folder = publish_entry(zoo, publication())
    assert folder == zoo / NAME
    assert sorted(path.name for path in folder.iterdir()) == sorted(LAYOUT)
    assert [path.name for path in zoo.iterdir()] == [NAME]
    assert folder.stat().st_mode & 0o777 == zoo.stat().st_mode & 0o777


def test_the_entry_says_what_was_given(zoo: Path) -> None:
    given = publication()
    folder = publish_entry(zoo, given)
    entry = catalog(zoo)[NAME]
    assert entry.spec == SMALL
    assert entry.records == tuple(given.records)
    assert entry.accuracy is not None
    assert (entry.accuracy.top1_percent, entry.accuracy.top5_percent) == (97.5, 99.75)
    assert entry.accuracy.source == (
        "gpunet eval, epoch 12 of 12; trained on scikit-learn's digits (1437 images) by recipe quick, seed 3"
    )
    assert (entry.classes, entry.licence, entry.note) == (tuple("0123456789"), "Apache-2.0", "Searched on digits.")
    assert entry.weights is not None
    assert entry.weights.sha256 == sha256_of(folder / "model.safetensors")
    said = json.loads((folder / "publication.json").read_text())
    assert (said["tier_ms"], said["estimated_ms"], said["seed"]) == ([1.0, 1.5], 1.3, 3)
    assert said["recipe"] == recipe_named("quick").to_dict()
    assert said["versions"] == {"torch": "2.6.0", "gpunet": "0.1.0"}


@pytest.mark.parametrize("place", ["zoo", "entry"])
def test_a_query_finds_it_by_the_folder_of_entries_and_by_its_own(zoo: Path, place: str) -> None:
    folder = publish_entry(zoo, publication(records=(_elsewhere(2.5, runtime="tensorrt", threads=None),)))
    match, *others = gpunet.find("orin", max_ms=3, dataset="digits", zoo=zoo if place == "zoo" else folder)
    assert (match.name, match.latency_ms, others) == (NAME, 2.5, [])
    assert gpunet.find("orin", max_ms=2, dataset="digits", zoo=zoo) == []


def test_the_zoo_and_timm_load_the_same_network(zoo: Path) -> None:
    network = small_network()
    folder = publish_entry(zoo, publication(model=network))
    logits = network(IMAGES)
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert isinstance(by_timm, GPUNet)
    assert torch.equal(by_timm.eval()(IMAGES), logits)
    assert torch.equal(gpunet.load(NAME, zoo=zoo)(IMAGES), logits)
    assert by_timm.pretrained_cfg["label_names"] == list("0123456789")
    own, timms = (timm.data.resolve_model_data_config(each) for each in (gpunet.load(NAME, zoo=zoo), by_timm))
    assert json.dumps(own) == json.dumps(timms)  # timm keeps the lists of its config.json
    assert own["input_size"] == (3, 32, 32)


def test_timm_fine_tunes_it(zoo: Path) -> None:
    folder = publish_entry(zoo, publication())
    tuned = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=3)
    assert tuned(IMAGES).shape == (2, 3)
    assert torch.equal(tuned.conv_head.weight, small_network().conv_head.weight)
    assert timm.create_model(f"local-dir:{folder}", features_only=True)(IMAGES)[-1].shape[1] == 48


def test_a_network_of_one_channel(zoo: Path) -> None:
    network = small_network(in_chans=1)
    given = record(input_shape=[1, 1, 32, 32])
    folder = publish_entry(zoo, publication(model=network, records=[given]))
    images = IMAGES[:, :1]
    assert torch.equal(timm.create_model(f"local-dir:{folder}", pretrained=True).eval()(images), network(images))
    assert torch.equal(gpunet.load(NAME, zoo=zoo)(images), network(images))


def test_a_model_of_timms(zoo: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv2_035", num_classes=10).eval()
    images = torch.randn(1, 3, 224, 224)
    folder = publish_entry(zoo, publication(model=network, records=[record(input_shape=[1, 3, 224, 224])]))
    assert torch.equal(gpunet.load(NAME, zoo=zoo)(images), network(images))
    assert torch.equal(timm.create_model(f"local-dir:{folder}", pretrained=True).eval()(images), network(images))
    assert "Architecture" not in (folder / "README.md").read_text()


def test_weights_may_be_a_file(zoo: Path, tmp_path: Path) -> None:
    path = tmp_path / "trained.safetensors"
    trained = small_network(seed=5)
    safetensors.torch.save_file(trained.state_dict(), path)
    folder = publish_entry(zoo, publication(weights=path))
    assert (folder / "model.safetensors").read_bytes() == path.read_bytes()
    assert torch.equal(gpunet.load(NAME, zoo=zoo)(IMAGES), trained(IMAGES))


# ------------------------------------------------------------- on this machine


def _create(zoo: Path, **query: Any) -> Any:
    return gpunet.create("local", **{"max_ms": 5, "runtime": RUNTIME, "dataset": "digits", "zoo": zoo, **query})


def test_create_on_this_machine_takes_the_record_it_brings_and_measures_nothing(zoo: Path, home: Path) -> None:
    publish_entry(zoo, publication())
    model = _create(zoo)
    assert (model.match.name, model.match.record) == (NAME, record())
    assert torch.equal(model(IMAGES), small_network()(IMAGES))
    assert not home.exists()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime", "openvino"])
def test_what_benchmark_measured_is_this_machines(zoo: Path, home: Path, runtime: str) -> None:
    measured = gpunet.benchmark(small_network(), runtime=runtime, warmup_s=0, min_repeats=3, min_time_s=0)
    publish_entry(zoo, publication(records=[record_from_measurement(NAME, measured)]))
    match = _create(zoo, runtime=runtime, max_ms=1e6).match
    assert (match.name, match.latency_ms, match.record.runtime) == (NAME, measured.latency_ms, runtime)
    assert not home.exists()


def test_of_several_published_networks_the_most_accurate_that_fits(zoo: Path, home: Path) -> None:
    for name, latency_ms, top1 in (("fast", 1.0, 91.0), ("slow", 4.0, 95.0)):
        accuracy = Accuracy(top1, "digits", "gpunet eval")
        publish_entry(zoo, publication(name=name, records=[record(latency_ms, model=name)], accuracy=accuracy))
    assert _create(zoo, max_ms=5).match.name == "slow"
    assert _create(zoo, max_ms=2).match.name == "fast"
    assert not home.exists()


# ---------------------------------------------------------------- once, whole


def _content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_the_same_again_changes_nothing(zoo: Path) -> None:
    folder = publish_entry(zoo, publication())
    before = _content(folder)
    assert publish_entry(zoo, publication()) == folder
    assert publish_entry(zoo, publication(), replace=True) == folder
    assert _content(folder) == before
    assert [path.name for path in zoo.iterdir()] == [NAME]


def test_other_content_replaces_only_when_told_to(zoo: Path) -> None:
    folder = publish_entry(zoo, publication())
    before = _content(folder)
    other = publication(model=small_network(seed=9))
    with pytest.raises(EntryError, match="holds another content") as caught:
        publish_entry(zoo, other)
    assert "replace=True" in caught.value.hint
    assert _content(folder) == before
    publish_entry(zoo, other, replace=True)
    assert torch.equal(gpunet.load(NAME, zoo=zoo)(IMAGES), other.model(IMAGES))
    assert [path.name for path in zoo.iterdir()] == [NAME]


def test_an_entry_that_is_not_whole_is_replaced_only_when_told_to(zoo: Path) -> None:
    folder = publish_entry(zoo, publication())
    (folder / "latency.csv").unlink()
    with pytest.raises(EntryError, match="holds another content"):
        publish_entry(zoo, publication())
    publish_entry(zoo, publication(), replace=True)
    assert catalog(zoo)[NAME].records


def test_an_empty_folder_is_filled(zoo: Path) -> None:
    (zoo / NAME).mkdir(parents=True)
    publish_entry(zoo, publication())
    assert list(catalog(zoo))[-1] == NAME


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_not_an_entrys_is_never_lost(zoo: Path, replace: bool) -> None:
    (zoo / NAME).mkdir(parents=True)
    (zoo / NAME / "checkpoint.pt").write_bytes(b"a week of training")
    with pytest.raises(EntryError, match=r"holds 'checkpoint\.pt', which is no file of a published entry") as caught:
        publish_entry(zoo, publication(), replace=replace)
    assert "a folder of its own" in caught.value.hint
    assert (zoo / NAME / "checkpoint.pt").read_bytes() == b"a week of training"
    assert [path.name for path in zoo.iterdir()] == [NAME]


def test_a_file_in_the_entrys_place(zoo: Path) -> None:
    zoo.mkdir()
    (zoo / NAME).write_text("mine")
    with pytest.raises(EntryError, match=f"{NAME} is no folder"):
        publish_entry(zoo, publication(), replace=True)
    assert (zoo / NAME).read_text() == "mine"


def test_a_failure_midway_leaves_what_was_there(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = publish_entry(zoo, publication())
    before = _content(folder)
    rename = os.replace

    def failing(source: Any, target: Any) -> None:
        if Path(target).name == "README.md":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(ExportError, match="cannot be written: No space left"):
        publish_entry(zoo, publication(model=small_network(seed=9)), replace=True)
    assert _content(folder) == before
    assert [path.name for path in zoo.iterdir()] == [NAME]


def test_an_export_at_work_in_the_same_folder_keeps_what_it_writes(zoo: Path) -> None:
    with staging(zoo) as made:
        (made / "network.onnx").write_bytes(b"half")
        publish_entry(zoo, publication())
        assert (made / "network.onnx").read_bytes() == b"half"


def test_an_entry_that_is_being_written_is_not_read(zoo: Path) -> None:
    folder = publish_entry(zoo, publication())
    folder.rename(zoo / f".{NAME}.x.part")
    assert NAME not in catalog(zoo)


# ----------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "..", ".hidden", "with space", 7])
def test_a_name_that_cannot_name_a_folder(name: Any) -> None:
    with pytest.raises(EntryError, match="cannot name a folder and a repository") as caught:
        publication(name=name, records=[record(model=name)])
    assert "letters, digits" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"records": ()}, "of its 0 latency records none is measured"),
        ({"records": [dataclasses.replace(record(), kind="estimated")]}, "of its 1 latency records none is measured"),
        ({"records": [record(model="other")]}, "a latency record is of the model 'other'"),
        ({"records": [record(input_shape=[1, 3, 64, 64])]},
         r"of images of \[3, 64, 64\], the model takes \[3, 32, 32\]"),
        ({"accuracy": Accuracy(97.5, " ", "me")}, r"accuracy\.dataset is empty"),
        ({"accuracy": Accuracy(97.5, "digits", "")}, r"accuracy\.source is empty"),
        ({"accuracy": Accuracy(197.5, "digits", "me")}, r"accuracy\.top1_percent must be from 0 to 100, but is 197\.5"),
        ({"accuracy": None}, "accuracy must be an Accuracy, but is None"),
        ({"data": ""}, "data must say something, but is ''"),
        ({"licence": None}, "licence must say something, but is None"),
        ({"classes": ("a", "b")}, "2 classes are named, but the model tells 10 apart"),
        ({"tier_ms": (2.0, 1.0)}, r"0 <= low < high must hold for tier_ms, but got \(2\.0, 1\.0\)"),
        ({"estimated_ms": 0.0}, r"estimated_ms must be above 0, but is 0\.0"),
        ({"recipe": {"optimizer": object()}}, "the recipe is not of plain JSON types"),
        ({"recipe": {"rate": float("nan")}}, "the recipe is not of plain JSON types"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(EntryError, match=f"{NAME}: .*{said}"):
        publication(**changes)


def test_a_name_of_the_package(zoo: Path) -> None:
    with pytest.raises(EntryError, match="the package's zoo has an entry 'gpunet_1' already"):
        publish_entry(zoo, publication(name="gpunet_1"))
    assert not zoo.exists()


def test_weights_of_another_network(zoo: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    spec = NetworkSpec.from_dict({**SMALL.to_dict(), "head": {"filters": 64}})
    safetensors.torch.save_file(GPUNet(spec, num_classes=10).state_dict(), path)
    with pytest.raises(EntryError, match=r"other\.safetensors does not hold the weights of digits_tier0: .*conv_head"):
        publish_entry(zoo, publication(weights=path))
    with pytest.raises(WeightsError, match="there is no such file"):
        publish_entry(zoo, publication(weights=tmp_path / "none.safetensors"))
    assert list(zoo.iterdir()) == []


def test_another_pooling_than_an_entry_has(zoo: Path) -> None:
    with pytest.raises(EntryError, match="an entry's network pools by 'avg', but the model by 'max'"):
        publish_entry(zoo, publication(model=small_network(global_pool="max")))
    assert list(zoo.iterdir()) == []


def test_a_module_that_timm_does_not_know(zoo: Path) -> None:
    class Own(torch.nn.Module):
        num_classes = 10

        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3, 10)

    with pytest.raises(EntryError, match="a Own has no name in timm"):
        publish_entry(zoo, publication(model=Own(), records=[record(input_shape=[1, 3, 224, 224])]))


def test_conditions_that_a_file_cannot_hold(zoo: Path) -> None:
    with pytest.raises(EntryError, match="its latency records are not the same once written") as caught:
        publish_entry(zoo, publication(records=[record(shape=(1, 2))]))
    assert "plain JSON types" in caught.value.hint
    assert list(zoo.iterdir()) == []
