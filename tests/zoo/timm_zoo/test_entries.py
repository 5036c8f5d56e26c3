"""timm's networks as entries: names, what each input size brings along, and whose latency a record is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.entries import ENTRY, RECORD, write_zoo

import gpunet
from gpunet.errors import UnknownModelError
from gpunet.zoo.catalog import EntryWarning, catalog
from gpunet.zoo.local import key_of
from gpunet.zoo.timm_zoo.entries import timm_entries

ENTRIES = {entry.name: entry for entry in timm_entries()}


def test_each_tag_and_input_size_is_an_entry_with_source_and_licence():
    assert len(ENTRIES) == 1556
    assert len({entry.identity for entry in ENTRIES.values()}) == 1193
    assert all(entry.licence and entry.sources and entry.accuracy.source for entry in ENTRIES.values())
    small, large = ENTRIES["resnet50.a1_in1k@224"], ENTRIES["resnet50.a1_in1k@288"]
    assert small.architecture == large.architecture == "resnet50.a1_in1k"
    assert (small.preprocessing.crop_pct, large.preprocessing.crop_pct) == (0.95, 1.0)
    assert (small.top1_percent, large.top1_percent) == (80.382, 81.24)
    assert "deit_tiny_patch16_224.fb_in1k" in ENTRIES  # of one size, without it
    assert ENTRIES["tf_efficientnet_b7.ns_jft_in1k"].extra_data is True
    assert ENTRIES["fastvit_t8.apple_dist_in1k"].extra_data is None


@pytest.mark.parametrize(
    ("tag", "distilled"),
    [("tiny_vit_5m_224.dist_in22k_ft_in1k", True), ("resnetv2_50x1_bit.goog_distilled_in1k", True),
     ("hgnet_tiny.ssld_in1k", True), ("hrnet_w18_ssld.paddle_in1k", True), ("hgnetv2_b0.ssld_stage2_ft_in1k", True),
     ("deit_tiny_distilled_patch16_224.fb_in1k", True), ("fastvit_t8.apple_dist_in1k", True),
     ("hardcorenas_a.miil_green_in1k", True), ("deit_tiny_patch16_224.fb_in1k", None)],
)  # fmt: skip
def test_a_tag_says_whether_it_had_a_teacher(tag: str, distilled: bool | None):
    assert {entry.distilled for entry in ENTRIES.values() if entry.architecture == tag} == {distilled}


def test_tags_share_a_latency_and_sizes_do_not():
    one, other = ENTRIES["resnet50.a1_in1k@224"], ENTRIES["resnet50.a2_in1k@224"]
    assert one.identity == other.identity == "timm:resnet50@3x224:1000"
    assert one.records == other.records
    assert one.records[0].model == "resnet50@224"
    assert key_of(one, 1) == key_of(other, 1) != key_of(ENTRIES["resnet50.a1_in1k@288"], 1)


def test_published_figures_are_throughputs_of_large_batches():
    records = [record for entry in ENTRIES.values() for record in entry.records]
    assert {record.kind for record in records} == {"throughput"}
    assert min(record.batch_size for record in records) > 1
    assert {(r.chip, r.runtime, r.runtime_version) for r in records} == {
        ("rtx3090", "pytorch", "2.4.0"), ("rtx4090", "pytorch", "2.9.1"), ("rtx4090", "pytorch-compile", "2.9.1"),
        ("rtx5090", "pytorch", "2.9.1"), ("rtx5090", "pytorch-compile", "2.9.1"),
    }  # fmt: skip
    fused = ENTRIES["mobileone_s0.apple_in1k"].records
    assert "rtx3090" not in {record.chip for record in fused}
    said = "18,891 images/s throughput (mean) on GeForce RTX 4090, batch 1024, fp16, pytorch 2.9.1; source: timm, "
    assert [said in str(record) for record in fused].count(True) == 1


def test_load_sets_size_crop_and_interpolation():
    model = gpunet.load("resnet18.a1_in1k@288", zoo="timm", pretrained=False)
    cfg = model.pretrained_cfg
    assert (cfg["input_size"], cfg["crop_pct"], cfg["interpolation"]) == ((3, 288, 288), 1.0, "bicubic")
    assert model.entry.name == "resnet18.a1_in1k@288"
    assert "size=(288, 288)" in str(model.transforms())
    with pytest.raises(UnknownModelError) as caught:
        gpunet.load("resnet18.a1_in1k", zoo="timm", pretrained=False)
    assert "resnet18.a1_in1k@288" in caught.value.nearest


def test_the_catalogue_stands_beside_folders(tmp_path):
    record = {**RECORD, "model": "resnet50.a1_in1k@224", "latency_ms": "0.9"}
    folder = write_zoo(tmp_path / "zoo", records=[RECORD, record])
    entries = catalog(["timm", folder])
    assert {"tiny", "gpunet_0", "resnet50.a1_in1k@224"} <= entries.keys()
    assert entries["resnet50.a2_in1k@224"].records[-1].latency_ms == 0.9  # of another tag, which shares it
    assert entries["resnet50.a1_in1k@288"].records == ENTRIES["resnet50.a1_in1k@288"].records
    write_zoo(tmp_path / "taken", entry={**ENTRY, "name": "resnet50.a1_in1k@224"}, records=[])
    with pytest.warns(EntryWarning, match="the zoo has an entry 'resnet50.a1_in1k@224' already"):
        assert catalog([tmp_path / "taken", "timm"])["resnet50.a1_in1k@224"].role == "timm"
    assert "resnet50.a1_in1k@224" not in catalog(None)


def test_a_folder_called_timm_is_named_with_its_place(tmp_path, monkeypatch):
    write_zoo(tmp_path / "timm")
    monkeypatch.chdir(tmp_path)
    assert "tiny" in catalog("./timm")
    assert "tiny" not in catalog("timm")


def test_a_query_loads_neither_torch_nor_numpy():
    code = (
        "import gpunet, sys\n"
        "assert len(gpunet.find('rtx4090', min_ips=5000, zoo='timm')) > 100\n"
        "print(sorted({'torch', 'numpy', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
