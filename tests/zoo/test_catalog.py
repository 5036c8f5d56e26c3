"""Entries and records: the package's own and a user's. Files that are wrong: test_reading.py and test_untrusted.py."""

from __future__ import annotations

import json

import pytest
from helpers.entries import ENTRY, RECORD, write_zoo
from helpers.unprivileged import refused_in_a_read_only_folder

from gpunet.core.unchanged import Unchanged
from gpunet.errors import EntryError, InvalidArgumentError, UnknownModelError
from gpunet.zoo.catalog import DATA, EntryWarning, catalog, entry_named
from gpunet.zoo.kept.index import index_of_entries, index_of_rows
from gpunet.zoo.reading import read_entry, read_rows


def test_the_package_holds_the_seven_with_all_138_published_rows() -> None:
    entries = catalog()
    released = [entry for entry in entries.values() if entry.role == "released"]
    assert [entry.name for entry in released] == [
        "gpunet_0", "gpunet_1", "gpunet_2", "gpunet_d1", "gpunet_d2", "gpunet_p0", "gpunet_p1",
    ]  # fmt: skip
    records = [record for entry in released for record in entry.records]
    assert len(records) == 138
    assert sum(record.kind == "nominal" for record in records) == 7
    assert {(record.runtime, record.runtime_version) for record in records} == {
        ("tensorrt", "8.0.1"), ("tensorrt", "8"), ("tensorrt", ""), ("pytorch", ""), ("onnxruntime-tensorrt", ""),
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


def test_wrong_zoo_arguments(tmp_path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EntryError, match=r"zoo folder .*file is no folder"):
        catalog(tmp_path / "file")
    with pytest.raises(EntryError, match=r"zoo folder .*nowhere does not exist"):
        catalog(tmp_path / "nowhere")
    for wrong in (3, [5], ["timm", None], b"zoo"):
        with pytest.raises(InvalidArgumentError, match=r"zoo must be a folder, 'timm', or a list of them, but got"):
            catalog(wrong)  # type: ignore[arg-type]
    for ask in (catalog, entry_named):
        with pytest.raises(InvalidArgumentError, match=r"'~nobody-here/x' begins with the folder of a user[^$]*~NAME"):
            ask("~nobody-here/x")
    for wrong in (None, 5, ["gpunet_0"]):
        with pytest.raises(InvalidArgumentError, match="name must be a model of the zoo or the folder of an entry"):
            entry_named(wrong)  # type: ignore[arg-type]


def test_a_folder_that_one_may_not_enter(tmp_path) -> None:
    attempt = """
    from gpunet.zoo.catalog import catalog
    closed = folder.parent / "writable" / "closed"
    if folder.name == "writable":
        closed.mkdir(mode=0o700)
    elif os.geteuid():
        try:
            closed.chmod(0)
        except PermissionError:  # it is root's
            pass
    catalog(closed)
    """
    name, message, hint = refused_in_a_read_only_folder(attempt, tmp_path)
    assert name == "EntryError"
    assert message.endswith("closed: cannot be read: Permission denied.")
    assert "list and enter the folder" in hint


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
    with pytest.raises(LookupError, match=r"Its models: (\w+, ){12}and \d+ more: gpunet list\.$"):
        entry_named("xyz")


def test_an_unknown_model_beside_timms_gets_a_short_error_and_one_of_timms_says_so(tmp_path) -> None:
    folder = write_zoo(tmp_path / "my zoo")
    with pytest.raises(UnknownModelError) as caught:
        entry_named("@@@@@@@@", ["timm", folder])
    assert len(str(caught.value)) < 600
    assert caught.value.hint.endswith(f"and 1,577 more: gpunet list --zoo timm '{folder}'.")
    with pytest.raises(UnknownModelError) as caught:
        entry_named("resnet50.a1_in1k")
    said = "timm's networks have it, as resnet50.a1_in1k@288, resnet50.a1_in1k@224: zoo='timm', or --zoo timm."
    assert (caught.value.hint, caught.value.nearest) == (said, ("resnet50.a1_in1k@288", "resnet50.a1_in1k@224"))
    with pytest.raises(UnknownModelError, match=r"as deit_tiny_patch16_224\.fb_in1k: zoo='timm'"):
        entry_named("deit_tiny_patch16_224")


def test_identity_follows_the_network_not_its_name(tmp_path) -> None:
    entries = catalog(write_zoo(tmp_path, entry={**ENTRY, "architecture": "gpunet_1", "spec": None}))
    assert entries["tiny"].identity == entries["gpunet_1"].identity != entries["gpunet_0"].identity
    assert entries["resnet50"].identity != entries["regnetx_016"].identity


def test_to_dict_is_plain_json() -> None:
    for entry in catalog().values():
        again = json.loads(json.dumps(entry.to_dict(), default=str))
        assert again["name"] == entry.name
        assert len(again["records"]) == len(entry.records)


def test_the_data_is_text() -> None:
    assert {path.suffix for path in DATA.rglob("*") if path.is_file()} == {".json", ".csv", ".gz"}


def test_a_zoos_files_are_read_once_a_process_as_long_as_they_stay(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("gpunet.zoo.catalog._entry_of._clock_ns", lambda: 2**62)  # all have lain there for long
    folder = write_zoo(tmp_path)
    first = catalog(folder)["tiny"]
    assert catalog(folder)["tiny"].spec_data is first.spec_data
    write_zoo(tmp_path, entry={**ENTRY, "title": "Another"})
    assert catalog(folder)["tiny"].title == "Another"
    path = folder / "latency.csv"
    path.write_text(path.read_text().replace("0.4", "0.75"))
    assert catalog(folder)["tiny"].records[0].latency_ms == 0.75


def test_a_large_zoo_is_read_once_for_all_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    zoo, read = tmp_path / "zoo", []
    accuracy = {"top1_percent": 70.0, "dataset": "imagenet", "source": "me", "precision": "int8"}
    kept = {
        **ENTRY,
        "accuracy": accuracy,
        "classes": ["a", "b"],
        "num_classes": 2,
        "extra_data": False,
        "sources": ["x"],
    }
    for number in range(70):
        name = f"net_{number}"
        write_zoo(zoo / name, entry={**kept, "name": name}, name="entry.json", records=[{**RECORD, "model": name}])

    def another_process():
        read.clear()
        for name, reader, index in (
            ("_entry_of", read_entry, index_of_entries), ("_rows_of", read_rows, index_of_rows),
        ):  # fmt: skip

            def make(path, of, reader=reader):
                read.append(path)
                return reader(path, within=of)

            new = Unchanged(make, lambda: 2**62, index=index)  # all files have lain there for long
            monkeypatch.setattr(f"gpunet.zoo.catalog.{name}", new)
        return catalog(zoo)

    first = another_process()
    assert len(read) == 140
    second = another_process()
    assert (second, read) == (first, [])
    assert [entry.parameters for entry in second.values()] == [entry.parameters for entry in first.values()]
    assert second["net_3"].spec == first["net_3"].spec
    assert (second["net_3"].folder, second["net_3"].records) == (zoo / "net_3", first["net_3"].records)
    changed = zoo / "net_3" / "entry.json"
    changed.write_text(json.dumps({**kept, "name": "net_3", "num_classes": 3}))
    write_zoo(zoo / "net_4", entry="{", name="entry.json", records=[RECORD])
    with pytest.warns(EntryWarning):
        third = another_process()
    assert (third["net_3"].num_classes, "net_4" in third) == (3, False)
    assert len(read) == 3
