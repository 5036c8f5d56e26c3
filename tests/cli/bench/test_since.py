"""Figures beside earlier ones: from this machine's own records, or from a file that bench wrote."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from gpunet.cli.bench.conditions import conditions
from gpunet.cli.bench.since import Since, read_earlier, since
from gpunet.cli.bench.subjects import RunsBy, subjects
from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.measurement import Measurement
from gpunet.zoo.catalog import entry_named
from gpunet.zoo.local import local_records
from gpunet.zoo.measured import measurement_from_record

SAID = {
    "processor": "p", "machine": "m", "system": "s", "threads": 1, "runtime": "pytorch", "runtime_version": "2",
    "precision": "fp32", "batch_size": 1, "input_shape": [1, 3, 32, 32], "date": "2026-11-03T10:12:00+00:00",
}  # fmt: skip
THEN = "2026-11-03 10:12"


def figure(ms: float, reference: tuple[float, float] | None = None, **said: Any) -> Measurement:
    beside = {} if reference is None else {
        "reference": {"version": 1, "small_ms": reference[0], "large_ms": reference[1]}}  # fmt: skip
    return Measurement(ms, ms, ms, ms, ms, ms, 1.0, 20, 3, {**SAID, **beside, **said})


@pytest.mark.parametrize(
    ("now", "then", "words"),
    [
        (figure(11.2, (0.1, 10.9)), figure(10.0, (0.1, 10.0)),
         f"net: 12 % slower than at {THEN} (11.2 ms, then 10.0). The machine itself is 9 % slower; beside it no "
         "difference can be told."),
        (figure(8.0, (0.1, 10.0)), figure(10.0, (0.1, 10.0)),
         f"net: 20 % faster than at {THEN} (8.00 ms, then 10.0). The machine itself is as fast; beside it 20 % "
         "faster."),
        (figure(10.0, (0.1, 9.0)), figure(10.0, (0.1, 10.0)),
         f"net: as fast as at {THEN} (10.0 ms, then 10.0). The machine itself is 10 % faster; beside it 11 % slower."),
        (figure(8.0, (0.1, 10.0), moved_percent=30.0), figure(10.0, (0.1, 10.0)),
         f"net: 20 % faster than at {THEN} (8.00 ms, then 10.0). The machine itself is as fast; beside it no "
         "difference can be told: it moved by 30 % meanwhile."),
        (figure(12.0, (0.1, 10.0)), figure(10.0, runtime_version="1"),
         f"net: 20 % slower than at {THEN} (12.0 ms, then 10.0). How much of it is the machine's is not known: "
         "no reference stands beside both. The conditions differ: runtime_version 2, then 1."),
    ],
)  # fmt: skip
def test_a_sentence_says_what_is_the_machines(now: Measurement, then: Measurement, words: str) -> None:
    assert str(Since("net", now, then)) == words


def test_what_create_has_kept_is_what_bench_compares_with(zoo, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    steady = {"runtime": "pytorch", "threads": 1, "clock": itertools.count(0, 0.05).__next__}
    (record,) = local_records([entry_named("small", [zoo])], progress=False, **steady)
    kept = measurement_from_record(record)
    chosen = subjects(["small"], RunsBy("pytorch", threads=1), zoo=[zoo])
    assert [each.then for each in since(chosen, {"small": kept}, None)] == [kept]
    assert since(chosen, {"small": figure(1.0)}, None) == []  # another machine's


def test_bench_beside_a_file_of_its_own(zoo, tmp_path, capsys) -> None:
    out, how = (
        tmp_path / "then.json",
        ["bench", "small", "--zoo", str(zoo), "-r", "pytorch", "-t", "1", "--rounds", "1"],
    )
    main([*how, "-o", str(out)])
    then = json.loads(out.read_text())["measurements"]["small"]
    assert then["conditions"]["reference"]["large_ms"] > then["conditions"]["reference"]["small_ms"] > 0
    capsys.readouterr()
    main([*how, "--against", str(out), "--json"])
    (said,) = json.loads(capsys.readouterr().out)["since"]
    assert (said["name"], said["then"]) == ("small", then)
    assert said["machine_percent"] is not None
    main([*how, "--against", str(out)])
    assert "\nsmall: " in capsys.readouterr().out


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    for text in ("nonsense", "[]", "{}", '{"measurements": {"a": {}}}'):
        other.write_text(text)
        with pytest.raises(InvalidArgumentError, match="holds no measurements of gpunet bench"):
            read_earlier(other, ["a"])
    other.write_text(json.dumps({"measurements": {"b": figure(1.0).to_dict()}}))
    with pytest.raises(InvalidArgumentError, match="holds none of the networks to measure: it has b"):
        read_earlier(other, ["a"])
    with pytest.raises(InvalidArgumentError, match="cannot be read: No such file"):
        read_earlier(tmp_path / "nothing", ["a"])


def test_a_gpus_clocks_are_told_and_locking_them_is_recommended() -> None:
    clocks = {"sm_mhz": 1500, "memory_mhz": 2619, "sm_max_mhz": 1980, "held": False, "slowed_by": ["power cap"]}
    text = conditions({"a": figure(1.0, gpu_clocks=clocks, threads=None)})
    assert "The GPU ran at 1500 MHz, its memory at 2619, kept down by power cap; nothing holds its clocks" in text
    assert "nvidia-smi --lock-gpu-clocks=1500" in text
    held = conditions({"a": figure(1.0, gpu_clocks={**clocks, "held": True, "slowed_by": []}, threads=None)})
    assert "its memory at 2619; its clocks are held by a setting." in held
    assert "lock" not in held.replace("clocks", "")
