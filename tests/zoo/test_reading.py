"""One entry and one latency file: each fault is an EntryError that names file and field."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import threading
from pathlib import Path

import pytest
from helpers.entries import ENTRY, RECORD, SPEC, write_zoo

from gpunet.core.placing import locked
from gpunet.errors import EntryError
from gpunet.model.entry import LatencyRecord
from gpunet.zoo.catalog import catalog
from gpunet.zoo.reading import (
    MOST_JSON_BYTES,
    append_records,
    names_in,
    read_entry,
    read_records,
    read_rows,
    write_records,
)

ACCURACY = {"top1_percent": 80.0, "dataset": "mine", "source": "me"}
NAN = float("nan")


def _read(tmp_path: Path, entry: object) -> str:
    """What is said of an entry that is wrong."""
    write_zoo(tmp_path, entry=entry, records=())
    with pytest.raises(EntryError) as caught:
        read_entry(tmp_path / "tiny.json")
    assert str(tmp_path / "tiny.json") in caught.value.message
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["../../evil", "a/b", "", ".hidden", "-o", "two words", "a\nb", "a\x1b[31mb", "x" * 101, "café"]
)
def test_a_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    said = _read(tmp_path, {**ENTRY, "name": name})
    assert "\x1b" not in said
    with pytest.raises(EntryError, match="is no name for a network"):
        dataclasses.replace(catalog()["gpunet_0"], name=name)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON: nested too deep"),
        ({**ENTRY, "format_version": 2}, "format_version: 2 is not 1"),
        ({**ENTRY, "colour": 1}, "unknown key 'colour'"),
        ({**ENTRY, "name": ""}, "name is missing"),
        ({**ENTRY, "role": "king"}, "role 'king' is not one of"),
        ({**ENTRY, "role": ["own"]}, "role ['own'] is not one of"),
        ({**ENTRY, "architecture": None}, "architecture is missing"),
        ({**ENTRY, "spec": None}, "architecture 'gpunet' needs a spec"),
        ({**ENTRY, "spec": [1]}, "spec must be an object, but is [1]"),
        ({**ENTRY, "spec": {**SPEC, "stages": [{"type": "irb", "filters": 8, "kernel_size": 4}]}},
         "in its spec, stages[0].kernel_size: 4 is even"),
        ({**ENTRY, "architecture": "hf-hub:somebody/network"}, "'hf-hub:somebody/network' is no plain name"),
        ({**ENTRY, "architecture": "local-dir:/tmp"}, "architecture 'local-dir:/tmp' is no plain name"),
        ({**ENTRY, "accuracy": 80.1}, "accuracy must be an object, but is 80.1"),
        ({**ENTRY, "accuracy": {"top1": 80.1}}, "accuracy has wrong or missing keys: ['top1']"),
        ({**ENTRY, "accuracy": {**ACCURACY, "top1_percent": 0}}, "top1_percent must be a finite number above 0"),
        ({**ENTRY, "accuracy": {**ACCURACY, "top1_percent": 100.1}}, "and at most 100, but got 100.1"),
        ({**ENTRY, "accuracy": {**ACCURACY, "top1_percent": NAN}}, "but got nan"),
        ({**ENTRY, "accuracy": {**ACCURACY, "top1_percent": "80"}}, "but got '80'"),
        ({**ENTRY, "accuracy": {**ACCURACY, "top1_percent": 10**400}}, "accuracy.top1_percent must be a finite number"),
        ({**ENTRY, "accuracy": {**ACCURACY, "top5_percent": 70}}, "top5_percent must be a finite number of 80"),
        ({**ENTRY, "accuracy": {**ACCURACY, "dataset": " "}}, "accuracy.dataset is empty"),
        ({**ENTRY, "accuracy": {**ACCURACY, "dataset": "a\u202eb"}}, "has letters that a terminal would obey"),
        ({**ENTRY, "accuracy": {**ACCURACY, "source": 3}}, "accuracy.source must be a text, but is 3"),
        ({**ENTRY, "num_classes": -1}, "num_classes must be an integer from 0 to 1,000,000, but got -1"),
        ({**ENTRY, "num_classes": 10**9}, "num_classes must be an integer from 0 to 1,000,000"),
        ({**ENTRY, "in_chans": 0}, "in_chans must be an integer from 1 to 1,024, but got 0"),
        ({**ENTRY, "preprocessing": {"input_px": 10**6}}, "preprocessing.input_px must be an integer from 1 to 8,192"),
        ({**ENTRY, "preprocessing": {"input_px": 64, "crop_pct": -1}}, "crop_pct must be a finite number"),
        ({**ENTRY, "preprocessing": {"input_px": 64, "mean": "x"}}, "preprocessing.mean must be a list of numbers"),
        ({**ENTRY, "preprocessing": {"input_px": 64, "std": [0, 1, 1]}}, "preprocessing.std must be a finite"),
        ({**ENTRY, "parameters_millions": -3}, "parameters_millions must be a finite number above 0"),
        ({**ENTRY, "distilled": "yes"}, "distilled must be true or false, but is 'yes'"),
        ({**ENTRY, "title": "a\x1b[2J"}, "title 'a\\x1b[2J' has letters that a terminal would obey"),
        ({**ENTRY, "title": "x" * 301}, "title has 301 letters, but at most 300 are read"),
        ({**ENTRY, "licence": 7}, "licence must be a text, but is 7"),
        ({**ENTRY, "note": "\ud800"}, "note '\\ud800' is no Unicode text"),
        ({**ENTRY, "sources": "me"}, "sources must be a list of texts, but is 'me'"),
        ({**ENTRY, "sources": [1]}, "sources[0] must be a text, but is 1"),
        ({**ENTRY, "num_classes": 1, "classes": ["cat", "dog"]}, "classes names 2, but num_classes is 1"),
        ({**ENTRY, "classes": 3}, "classes must be a list of texts, but is 3"),
        ({**ENTRY, "model_args": [1]}, "model_args must be an object, but is [1]"),
        ({**ENTRY, "model_args": {"checkpoint_path": "/x"}}, "model_args has 'checkpoint_path', which"),
        ({**ENTRY, "model_args": {"depth": NAN}}, "model_args is not of plain JSON types"),
        ({**ENTRY, "model_args": {"depth": "x" * 1_000_001}}, "model_args is longer than 1,000,000 letters"),
        ({**ENTRY, "weights": {"file": "../else.safetensors"}}, "'../else.safetensors' leaves the entry's"),
        ({**ENTRY, "weights": {"file": "C:\\else.safetensors"}}, "leaves the entry's folder"),
        ({**ENTRY, "weights": {"file": ""}}, "weights.file is empty"),
        ({**ENTRY, "weights": {"file": ".."}}, "weights.file '..' leaves the entry's folder"),
        ({**ENTRY, "weights": {"file": "x" * 280}}, "has 280 bytes, but a file's name has at most 255.\nGive the file"),
        ({**ENTRY, "weights": {"file": "é" * 128}}, "has 256 bytes"),
        ({**ENTRY, "weights": {"sha256": "12"}}, "weights.sha256 must be 64 digits of hex, but is '12'"),
        ({**ENTRY, "weights": {"hf_repo": "a/b/c"}}, "weights.hf_repo must be a repository such as owner/name"),
        ({**ENTRY, "weights": {"ngc_url": "file:///etc/passwd"}}, "weights.ngc_url must be an https address"),
        ({**ENTRY, "weights": {"ngc_member": 1}}, "weights.ngc_member must be a text, but is 1"),
    ],
)  # fmt: skip
def test_a_wrong_entry_names_the_file_and_the_fault_and_says_what_to_do(
    tmp_path: Path, entry: object, message: str
) -> None:
    said = _read(tmp_path, entry)
    assert message in said
    assert "\n" in said  # a hint


def test_an_entry_of_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    path.write_bytes(json.dumps({**ENTRY, "note": "é"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(EntryError, match=r"tiny\.json: cannot be read as JSON"):
        read_entry(path)
    path.write_text(json.dumps({**ENTRY, "note": "é"}, ensure_ascii=False), encoding="utf-8-sig")
    assert read_entry(path).note == "é"
    write_zoo(tmp_path)
    (tmp_path / "latency.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "latency.csv").read_bytes())
    assert read_records(tmp_path / "latency.csv")[0].latency_ms == 0.4
    (tmp_path / "latency.csv").write_bytes(b"model\n\xff")
    with pytest.raises(EntryError, match=r"latency\.csv: is no UTF-8"):
        read_records(tmp_path / "latency.csv")


def test_what_is_no_file_of_that_size_is_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with open(large, "wb") as file:
        file.truncate(MOST_JSON_BYTES + 1)
    with pytest.raises(EntryError, match=r"large\.json: is larger than 8 MiB"):
        read_entry(large)
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(EntryError, match=r"folder\.json: is no file"):
        read_entry(tmp_path / "folder.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(EntryError, match=r"pipe\.json: is no file"):
        read_entry(tmp_path / "pipe.json")
    assert names_in(tmp_path / "pipe.json") == {"pipe"}


def test_a_link_stays_in_the_zoo(tmp_path: Path) -> None:
    outside = write_zoo(tmp_path / "outside")
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    (zoo / "linked.json").symlink_to(outside / "tiny.json")
    with pytest.raises(EntryError, match=r"linked\.json: leads out of .*zoo, to .*tiny\.json"):
        read_entry(zoo / "linked.json")
    (zoo / "loop.json").symlink_to(zoo / "loop.json")
    with pytest.raises(EntryError, match=r"loop\.json: is no file"):
        read_entry(zoo / "loop.json")
    own = write_zoo(zoo / "own", entry={**ENTRY, "weights": {"file": "w.safetensors"}})
    (own / "w.safetensors").symlink_to(outside / "latency.csv")
    with pytest.raises(EntryError, match=r"tiny\.json: .*w\.safetensors: leads out of"):
        read_entry(own / "tiny.json")
    (own / "w.safetensors").unlink()
    (own / "w.safetensors").symlink_to(own / "latency.csv")
    assert read_entry(own / "tiny.json").name == "tiny"


def test_the_hubs_cache_keeps_the_files_behind_its_links(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--me--tiny" / "blobs", tmp_path / "models--me--tiny" / "snapshots" / "1a2b"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (blobs / "77").write_text(json.dumps(ENTRY), encoding="utf-8")
    (snapshot / "entry.json").symlink_to(Path("../../blobs/77"))
    assert read_entry(snapshot / "entry.json").name == "tiny"


# ------------------------------------------------------------------------- rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latency_ms": "fast"}, "latency.csv, line 2: could not convert string to float: 'fast'"),
        ({"latency_ms": "-1"}, "latency.csv, line 2: latency_ms must be a finite number above 0"),
        ({"latency_ms": "nan"}, "latency_ms must be a finite number above 0 and at most 1e+09, but got nan"),
        ({"latency_ms": "1e12"}, "at most 1e+09, but got 1000000000000.0"),
        ({"batch_size": "0"}, "latency.csv, line 2: batch_size must be an integer from 1 to 1,000,000, but got 0"),
        ({"batch_size": "9" * 5000}, "latency.csv, line 2: "),
        ({"kind": "guessed"}, "latency.csv, line 2: kind 'guessed' is not one of measured, estimated, nominal"),
        ({"throughput_ips": "inf"}, "throughput_ips must be a finite number above 0, but got inf"),
        ({"threads": "0"}, "threads must be an integer from 1 to 1,000,000, but got 0"),
        ({"conditions": "[1]"}, "conditions must be an object, but is [1]"),
        ({"conditions": "[" * 100_000}, "latency.csv, line 2: nested too deep"),
        ({"conditions": '{"a": NaN}'}, "conditions is not of plain JSON types"),
        ({"source": " "}, "source is empty.\nSay who measured, how and when"),
        ({"chip": ""}, "latency.csv, line 2: chip is empty"),
        ({"board": "\x1b[31mred"}, "board '\\x1b[31mred' has letters that a terminal would obey"),
        ({"statistic": "m" * 301}, "statistic has 301 letters"),
        ({"source": "x" * 200_000}, "field larger than field limit"),
    ],
)
def test_a_wrong_row_names_the_file_and_the_line_and_spoils_no_other(tmp_path: Path, change, message: str) -> None:
    good = {**RECORD, "latency_ms": "0.7"}
    path = write_zoo(tmp_path, records=[{**RECORD, **change}, *([] if "field" in message else [good])]) / "latency.csv"
    with pytest.raises(EntryError) as caught:
        read_records(path)
    assert message in str(caught.value)
    assert caught.value.hint
    assert len(str(caught.value)) < 600
    records, faults = read_rows(path)
    assert [record.latency_ms for record in records] == ([] if "field" in message else [0.7])
    assert len(faults) == 1


def test_columns(tmp_path: Path) -> None:
    record = {key: value for key, value in RECORD.items() if key != "runtime"}
    with pytest.raises(EntryError, match=r"latency\.csv: column 'runtime' is missing"):
        read_records(write_zoo(tmp_path, records=[record]) / "latency.csv")
    path = write_zoo(tmp_path, records=[{**RECORD, "weather": "fine"}]) / "latency.csv"
    assert len(read_records(path)) == 1
    head, row = path.read_text().splitlines()
    path.write_text(f"{head}\n{row},more\n{row[: row.rindex(',')]}\n{row}\n")
    records, faults = read_rows(path)
    assert len(records) == 1
    assert [fault.message.partition(": ")[2] for fault in faults] == [
        "the row has more cells than the header has columns.", "the row has fewer cells than the header has columns.",
    ]  # fmt: skip
    path.write_text(f"{head},model\n{row},tiny\n")
    with pytest.raises(EntryError, match="column 'model' is there twice"):
        read_records(path)
    path.write_text("")
    assert read_rows(path) == ([], [])


def test_records_keep_threads_throughput_conditions_and_what_they_repeat(tmp_path: Path) -> None:
    extra = {"threads": "2", "throughput_ips": "10.5", "conditions": '{"spread_percent": 1.5}', "same_as": "them"}
    record = read_records(write_zoo(tmp_path, records=[{**RECORD, **extra}]) / "latency.csv")[0]
    assert (record.threads, record.throughput_ips, record.conditions) == (2, 10.5, {"spread_percent": 1.5})
    assert LatencyRecord(**record.to_dict()) == record
    append_records(tmp_path / "new.csv", [record])
    with locked(tmp_path):  # another adds to it
        thread = threading.Thread(target=append_records, args=(tmp_path / "new.csv", [record]))
        thread.start()
        thread.join(0.1)
        assert thread.is_alive()
    thread.join()
    assert read_records(tmp_path / "new.csv") == [record, record]
    write_records(tmp_path / "new.csv", [dataclasses.replace(record, same_as="")])
    assert "same_as" not in next(csv.reader((tmp_path / "new.csv").read_text().splitlines()))
