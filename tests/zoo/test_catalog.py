"""Entries and records: the package's own, a user's, and files that are wrong."""

from __future__ import annotations

import dataclasses
import json

import pytest
from helpers.entries import ENTRY, RECORD, SPEC, write_zoo

from gpunet.errors import EntryError, InvalidArgumentError, UnknownModelError
from gpunet.model.entry import LatencyRecord
from gpunet.zoo.catalog import DATA, catalog, entry_named, read_records


def test_the_package_holds_the_seven_with_all_137_published_rows() -> None:
    entries = catalog()
    released = [entry for entry in entries.values() if entry.role == "released"]
    assert [entry.name for entry in released] == [
        "gpunet_0", "gpunet_1", "gpunet_2", "gpunet_d1", "gpunet_d2", "gpunet_p0", "gpunet_p1",
    ]  # fmt: skip
    records = [record for entry in released for record in entry.records]
    assert len(records) == 137
    assert sum(record.kind == "nominal" for record in records) == 7
    assert {(record.runtime, record.runtime_version) for record in records} == {
        ("tensorrt", "8.0.1"), ("tensorrt", "8"), ("pytorch", ""), ("onnxruntime-tensorrt", ""),
    }  # fmt: skip
    assert {entry.name: entry.top1_percent for entry in released} == {
        "gpunet_0": 78.9, "gpunet_1": 80.5, "gpunet_2": 82.2, "gpunet_p0": 80.3, "gpunet_p1": 81.1,
        "gpunet_d1": 82.5, "gpunet_d2": 83.6,
    }  # fmt: skip
    assert entries["gpunet_0"].input_px == 320
    assert (entries["gpunet_p1"].preprocessing.crop_pct, entries["gpunet_d2"].preprocessing.crop_pct) == (0.875, 1.0)


def test_every_record_says_its_conditions() -> None:
    for entry in catalog().values():
        for record in entry.records:
            assert record.source
            assert record.board
            assert record.statistic
            assert record.chip in ("gv100", "a100")
            assert f"{record.latency_ms:g} ms" in str(record)
            assert record.kind in str(record)


def test_the_papers_baselines_are_marked_and_carry_its_figures() -> None:
    baselines = {entry.name: entry for entry in catalog().values() if entry.role == "baseline"}
    assert len(baselines) == 25
    assert {name for name, entry in baselines.items() if entry.buildable} == {
        "efficientnet_b0", "efficientnet_b2", "efficientnet_b3", "regnetx_016", "regnetx_160", "regnetx_320",
        "resnet50", "resnest50d", "fbnetv3_b", "fbnetv3_d", "fbnetv3_g",
    }  # fmt: skip
    b0 = baselines["efficientnet_b0"]
    assert (b0.top1_percent, b0.records[0].latency_ms, b0.parameters) == (77.1, 1.18, 5_280_000)
    assert baselines["alphanet_a2"].architecture is None


@pytest.mark.parametrize(
    "name", ["../../evil", "a/b", "", ".hidden", "-o", "two words", "a\nb", "a\x1b[31mb", "x" * 101, "café"]
)
def test_a_name_is_a_plain_word(tmp_path, name) -> None:
    folder = write_zoo(tmp_path / "zoo", entry={**ENTRY, "name": name})
    with pytest.raises(EntryError) as caught:
        catalog(folder)
    assert str(folder) in caught.value.message
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    with pytest.raises(EntryError, match="is no name for a network"):
        dataclasses.replace(catalog()["gpunet_0"], name=name)


def test_a_users_zoo_in_files_and_in_folders(tmp_path) -> None:
    flat = write_zoo(tmp_path / "flat")
    deep = write_zoo(tmp_path / "deep" / "other", entry={**ENTRY, "name": "other"}, name="entry.json",
                     records=[{**RECORD, "model": "other"}])  # fmt: skip
    entries = catalog([flat, deep.parent])
    assert entries["tiny"].records[0].latency_ms == 0.4
    assert entries["other"].folder == deep
    assert entries["other"].role == "own"
    assert entries["tiny"].parameters == entries["tiny"].spec.count_parameters()
    assert "tiny" not in catalog()


def test_a_users_records_join_the_packages_entries(tmp_path) -> None:
    one = write_zoo(tmp_path / "one", records=[{**RECORD, "model": "gpunet_1"}])
    two = write_zoo(tmp_path / "two", entry="{}", records=[{**RECORD, "model": "gpunet_1", "latency_ms": "0.7"}])
    records = catalog([one, two])["gpunet_1"].records
    assert [r.latency_ms for r in records if r.chip == "l4"] == [0.4, 0.7]
    assert len(records) == len(catalog()["gpunet_1"].records) + 2


def test_an_entry_may_name_a_released_architecture_or_any_of_timms(tmp_path) -> None:
    entry = {key: value for key, value in ENTRY.items() if key != "spec"}
    write_zoo(tmp_path / "a", entry={**entry, "architecture": "gpunet_1"})
    write_zoo(tmp_path / "b", entry={**entry, "architecture": "mobilenetv3_small_050"})
    assert catalog(tmp_path / "a")["tiny"].spec == catalog()["gpunet_1"].spec
    assert catalog(tmp_path / "b")["tiny"].spec is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{", "tiny.json: cannot be read as JSON"),
        ({**ENTRY, "format_version": 2}, "tiny.json: format_version: 2 is not 1"),
        ({**ENTRY, "colour": 1}, "tiny.json: unknown key 'colour'"),
        ({**ENTRY, "name": ""}, "tiny.json: name is missing"),
        ({**ENTRY, "role": "king"}, "tiny.json: role 'king' is not one of"),
        ({**ENTRY, "architecture": None}, "tiny.json: architecture is missing"),
        ({**ENTRY, "spec": None}, "tiny.json: architecture 'gpunet' needs a spec"),
        ({**ENTRY, "accuracy": 80.1}, "tiny.json: accuracy must be an object, but is 80.1"),
        ({**ENTRY, "accuracy": {"top1": 80.1}}, "tiny.json: accuracy has wrong or missing keys: ['top1']"),
        ({**ENTRY, "name": "gpunet_1"}, "the zoo has an entry 'gpunet_1' already"),
    ],
)
def test_a_wrong_entry_names_the_file_and_the_fault(tmp_path, change, message) -> None:
    with pytest.raises(EntryError) as caught:
        catalog(write_zoo(tmp_path, entry=change, records=()))
    assert message in str(caught.value)


def test_a_wrong_spec_in_an_entry_names_the_entry_and_the_path(tmp_path) -> None:
    stages = [{"type": "irb", "filters": 8, "kernel_size": 4}]
    entries = catalog(write_zoo(tmp_path, entry={**ENTRY, "spec": {**SPEC, "stages": stages}}))
    with pytest.raises(EntryError, match=r"entry tiny: in its spec, stages\[0\].kernel_size: 4 is even"):
        _ = entries["tiny"].spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency_ms": "fast"}, "latency.csv, line 2: could not convert string to float: 'fast'"),
        ({"latency_ms": "-1"}, "latency.csv, line 2: latency_ms must be a finite number above 0, but got -1.0"),
        ({"latency_ms": "nan"}, "latency_ms must be a finite number above 0, but got nan"),
        ({"batch_size": "0"}, "latency.csv, line 2: batch_size must be an integer of 1 or more, but got 0"),
        ({"kind": "guessed"}, "latency.csv, line 2: kind 'guessed' is not one of measured, estimated, nominal"),
        ({"model": "nobody"}, "a latency record names the model 'nobody', which has no entry"),
    ],
)
def test_a_wrong_record_names_the_file_and_the_line(tmp_path, change, message) -> None:
    with pytest.raises(EntryError) as caught:
        catalog(write_zoo(tmp_path, records=[{**RECORD, **change}]))
    assert message in str(caught.value)


def test_a_missing_column_is_named(tmp_path) -> None:
    record = {key: value for key, value in RECORD.items() if key != "runtime"}
    with pytest.raises(EntryError, match="line 2: column 'runtime' is missing"):
        catalog(write_zoo(tmp_path, records=[record]))


def test_wrong_zoo_arguments(tmp_path) -> None:
    with pytest.raises(EntryError, match=r"zoo folder .*nowhere does not exist"):
        catalog(tmp_path / "nowhere")
    with pytest.raises(InvalidArgumentError, match="zoo must be a folder or a list of folders, but got 3"):
        catalog(3)  # type: ignore[arg-type]


def test_a_folder_of_state_stands_for_the_zoo_in_it(tmp_path) -> None:
    for name in ("plan.json", "space.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(EntryError, match="that has published no entry yet"):
        catalog(tmp_path)
    write_zoo(tmp_path / "zoo")
    assert catalog(tmp_path).keys() - catalog().keys() == {"tiny"}


def test_an_unknown_model_gets_the_close_names() -> None:
    with pytest.raises(UnknownModelError, match=r"the zoo has no model 'gpunet-1', .*\nClose names: gpunet_1"):
        entry_named("gpunet-1")
    with pytest.raises(LookupError, match="Its models: "):
        entry_named("xyz")


def test_identity_follows_the_network_not_its_name(tmp_path) -> None:
    entries = catalog(write_zoo(tmp_path, entry={**ENTRY, "architecture": "gpunet_1", "spec": None}))
    assert entries["tiny"].identity == entries["gpunet_1"].identity != entries["gpunet_0"].identity
    assert entries["resnet50"].identity != entries["regnetx_016"].identity


def test_records_keep_threads_throughput_and_conditions(tmp_path) -> None:
    extra = {"threads": "2", "throughput_ips": "10.5", "conditions": '{"spread_percent": 1.5}'}
    record = read_records(write_zoo(tmp_path, records=[{**RECORD, **extra}]) / "latency.csv")[0]
    assert (record.threads, record.throughput_ips, record.conditions) == (2, 10.5, {"spread_percent": 1.5})
    assert LatencyRecord(**record.to_dict()) == record


def test_to_dict_is_plain_json() -> None:
    for entry in catalog().values():
        again = json.loads(json.dumps(entry.to_dict(), default=str))
        assert again["name"] == entry.name
        assert len(again["records"]) == len(entry.records)


def test_the_data_is_text() -> None:
    assert {path.suffix for path in DATA.iterdir()} == {".json", ".csv"}
