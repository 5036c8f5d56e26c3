from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from helpers import DATA
from torch import nn

from gpunet import runtime as runtimes
from gpunet.core import files
from gpunet.core.machine import Fingerprint, available_threads, fingerprint, processor_name
from gpunet.errors import InvalidArgumentError, RecordsError, RuntimeUnavailableError
from gpunet.model.entry import Entry, LatencyRecord
from gpunet.model.network import GPUNet
from gpunet.model.parts import HeadSpec, StageSpec, StemSpec
from gpunet.model.spec import NetworkSpec
from gpunet.runtime.timing import Measurement, NoisyMachineWarning
from gpunet.zoo.local import DamagedRecordsWarning, local_records, records_path
from gpunet.zoo.measured import measurement_from_record, record_from_measurement

RUNTIME = "pytorch"  # the quickest to load a network; what is tested here is what happens around it


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _entry(name: str, filters: int = 8, **fields: Any) -> Entry:
    spec = NetworkSpec(32, StemSpec(8), (StageSpec("conv", filters),), HeadSpec(16))
    body = {"role": "own", "architecture": "gpunet", "accuracy": None, "preprocessing": None, "licence": "none",
            "spec_data": spec.to_dict(), "num_classes": 10}  # fmt: skip
    return Entry(name, **{**body, **fields})


ONE, TWO, THREE = (_entry(name, filters) for name, filters in {"one": 8, "two": 16, "three": 24}.items())


class Builder:
    """Builds an entry's network and notes its name; fails for one name."""

    def __init__(self, fails_at: str = "", error: BaseException | None = None) -> None:
        self.built: list[str] = []
        self.fails_at = fails_at
        self.error = error

    def __call__(self, entry: Entry) -> nn.Module:
        if entry.name == self.fails_at and self.error is not None:
            raise self.error
        self.built.append(entry.name)
        return GPUNet(entry.spec, num_classes=entry.num_classes).eval()


def _steady(step_s: float = 0.05) -> Callable[[], float]:
    """A clock by which every run takes `step_s`."""
    return itertools.count(0, step_s).__next__


def _measure(entries: list[Entry], builder: Builder | None = None, **how: Any) -> list[LatencyRecord]:
    how = {"runtime": RUNTIME, "threads": 1, "progress": False, "clock": _steady(), **how}
    return local_records(entries, build=builder or Builder(), **how)


def _here() -> Fingerprint:
    version = runtimes.get(RUNTIME).version()
    return fingerprint(runtime=RUNTIME, runtime_version=version, precision="fp32", threads=1)


# -------------------------------------------------------------------- records


def test_a_record_says_what_was_measured_and_how() -> None:
    (record,) = _measure([ONE])
    assert (record.model, record.chip, record.board) == ("one", "local", processor_name())
    assert (record.batch_size, record.precision, record.threads) == (1, "fp32", 1)
    assert (record.runtime, record.runtime_version) == (RUNTIME, runtimes.get(RUNTIME).version())
    assert (record.statistic, record.kind) == ("median", "measured")
    assert record.latency_ms == pytest.approx(50)
    assert record.throughput_ips == pytest.approx(20)
    assert record.source.startswith("measured on this machine by gpunet ")
    assert record.conditions["date"] in record.source
    assert record.conditions["input_shape"] == [1, 3, 32, 32]
    assert {"spread_percent", "repeats", "warmup", "min_ms", "p90_ms"} <= set(record.conditions)
    json.dumps(record.to_dict())


def test_records_come_in_the_order_of_the_entries_and_only_for_what_can_be_built() -> None:
    figures = _entry("figures", architecture=None, spec_data=None)
    assert [r.model for r in _measure([TWO, figures, ONE])] == ["two", "one"]
    assert _measure([figures]) == []
    assert _measure([]) == []


def test_what_was_measured_is_not_measured_again() -> None:
    first, second = Builder(), Builder()
    before = _measure([ONE, TWO], first)
    after = _measure([TWO, ONE, THREE], second, clock=_steady(1.0))
    assert (first.built, second.built) == (["one", "two"], ["three"])
    assert [after[1], after[0]] == before
    assert after[1].conditions == before[0].conditions
    assert after[2].latency_ms == pytest.approx(1000)


def test_refresh_measures_again_and_replaces() -> None:
    _measure([ONE, TWO])
    builder = Builder()
    assert _measure([ONE], builder, refresh=True, clock=_steady(0.1))[0].latency_ms == pytest.approx(100)
    assert builder.built == ["one"]
    assert [round(r.latency_ms) for r in _measure([ONE, TWO])] == [100, 50]


def test_refresh_of_what_is_kept_measures_that_alone() -> None:
    _measure([ONE])
    builder = Builder()
    found = _measure([ONE, TWO], builder, refresh=True, kept_only=True, clock=_steady(0.1))
    assert [(record.model, round(record.latency_ms)) for record in found] == [("one", 100)]
    assert builder.built == ["one"]
    assert _measure([TWO], builder, kept_only=True) == []
    assert builder.built == ["one"]


@pytest.mark.parametrize(
    "changed",
    [
        _entry("one", filters=32),
        _entry("one", num_classes=20),
        _entry("one", in_chans=1),
        _entry("uno"),
        dataclasses.replace(ONE, spec_data={**ONE.spec_data, "resolution_px": 64}),
    ],
    ids=["network", "classes", "channels", "name", "resolution"],
)
def test_a_changed_network_is_measured_anew(changed: Entry) -> None:
    _measure([ONE])
    builder = Builder()
    entry = changed

    def build(each: Entry) -> nn.Module:
        builder.built.append(each.name)
        return GPUNet(each.spec, num_classes=each.num_classes, in_chans=each.in_chans).eval()

    local_records([entry], runtime=RUNTIME, threads=1, progress=False, build=build, clock=_steady())
    assert builder.built == [entry.name]


@pytest.mark.parametrize("how", [{"batch_size": 2}, {"threads": 2}, {"runtime": "onnxruntime"}])
def test_another_batch_thread_count_or_runtime_is_measured_anew(how: dict[str, Any]) -> None:
    _measure([ONE])
    builder = Builder()
    (record,) = _measure([ONE], builder, **how)
    assert builder.built == ["one"]
    assert {name: getattr(record, name) for name in how} == how


def test_another_runtime_version_never_reuses_records(home: Path) -> None:
    _measure([ONE])
    older = dataclasses.replace(_here(), runtime_version="0.1")
    records_path(_here()).rename(records_path(older))
    builder = Builder()
    _measure([ONE], builder)
    assert builder.built == ["one"]


def test_the_network_is_built_untrained_where_no_builder_is_given() -> None:
    (record,) = local_records([ONE], runtime=RUNTIME, threads=1, progress=False, clock=_steady())
    assert record.latency_ms == pytest.approx(50)


def test_the_best_runtime_and_all_threads_are_the_default() -> None:
    (record,) = local_records([ONE], progress=False, build=Builder(), clock=_steady())
    assert record.runtime == runtimes.best().name
    assert record.threads in (available_threads(), None)


def test_the_second_call_is_light() -> None:
    """Records measured here are found by a process that loads neither torch nor a runtime."""
    _measure([ONE])
    code = f"""
import sys
from gpunet.model.entry import Entry
from gpunet.zoo.local import local_records
entry = Entry("one", "own", "gpunet", None, None, "none", num_classes=10, spec_data={ONE.spec_data!r})
print(local_records([entry], runtime={RUNTIME!r}, threads=1)[0].latency_ms)
heavy = "torch", "timm", "onnx", "onnxruntime", "openvino", "numpy", "rich", "filelock"
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    latency_ms, loaded = done.stdout.split("\n", 1)
    assert float(latency_ms) == pytest.approx(50)
    assert loaded == "[]\n"


# ------------------------------------------------------------ failures midway


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_what_was_measured_before_a_failure_is_kept(error: BaseException) -> None:
    with pytest.raises(type(error)):
        _measure([ONE, TWO, THREE], Builder("three", error))
    builder = Builder()
    assert len(_measure([ONE, TWO, THREE], builder)) == 3
    assert builder.built == ["three"]


def test_two_at_once_measure_each_network_once() -> None:
    entered, builders = threading.Event(), [Builder(), Builder()]
    results: list[list[LatencyRecord]] = [[], []]

    def first_build(entry: Entry) -> nn.Module:
        entered.set()
        return builders[0](entry)

    def run(number: int) -> None:
        build = first_build if number == 0 else builders[1]
        results[number] = local_records(
            [ONE, TWO], runtime=RUNTIME, threads=1, progress=False, build=build, clock=_steady()
        )

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    threads[0].start()
    assert entered.wait(30)  # the first holds the lock
    threads[1].start()
    for each in threads:
        each.join(30)
    assert builders[0].built == ["one", "two"]
    assert builders[1].built == []
    assert results[0] == results[1]
    assert len(results[0]) == 2


# --------------------------------------------------------------- damaged files


def _good_file() -> tuple[Path, dict[str, Any]]:
    _measure([ONE])
    path = records_path(_here())
    return path, json.loads(path.read_text())


def test_the_file_says_what_it_is() -> None:
    path, data = _good_file()
    assert path.parent == files.home() / "measurements"
    assert (data["format"], data["format_version"]) == ("gpunet-measurements", 1)
    assert data["fingerprint"] == _here().to_dict()
    assert list(data["records"]) == [f"one {ONE.identity} batch 1"]
    assert sorted(each.name for each in path.parent.iterdir() if each.suffix == ".json") == [path.name]


def test_a_file_of_version_1_stays_readable() -> None:
    golden = json.loads((DATA / "measurements_v1.json").read_text())
    path = records_path(_here())
    golden["fingerprint"] = _here().to_dict()
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(golden))
    builder = Builder()
    (record,) = _measure([ONE], builder)
    assert builder.built == []
    assert record.latency_ms == 12.5


def _with_record(data: dict[str, Any], **change: Any) -> dict[str, Any]:
    return {**data, "records": {key: value | change for key, value in data["records"].items()}}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: "{half of a fi", "it is not JSON"),
        (lambda data: "", "it is not JSON"),
        (lambda data: b"\xff\xfe", "it is not JSON"),
        (lambda data: [], "it does not say that its format is 'gpunet-measurements'"),
        (lambda data: data | {"format": "x"}, "it does not say that its format is 'gpunet-measurements'"),
        (lambda data: data | {"format_version": 2}, "its format_version is 2, and this gpunet reads 1"),
        (
            lambda data: data | {"fingerprint": {"threads": 64}},
            "it is of another machine, runtime or number of threads",
        ),
        (lambda data: data | {"records": []}, "it has no records"),
        (lambda data: _with_record(data, latency_ms="x"), "measurement: latency_ms must be a finite number"),
        (lambda data: _with_record(data, latency_ms=0), "its record 'one .* batch 1' contradicts itself"),
        (lambda data: _with_record(data, conditions={}), "its record 'one .* batch 1' contradicts itself"),
    ],
)
def test_a_damaged_file_is_set_aside_with_a_warning(damage: Callable[[Any], Any], reason: str) -> None:
    path, data = _good_file()
    damaged = damage(data)
    content = (
        damaged
        if isinstance(damaged, bytes)
        else (damaged if isinstance(damaged, str) else json.dumps(damaged)).encode()
    )
    path.write_bytes(content)
    builder = Builder()
    said = rf"cannot be read: {reason}.*moved to .*\.damaged-1\.json; the networks are measured again"
    with pytest.warns(DamagedRecordsWarning, match=said):
        (record,) = _measure([ONE], builder)
    assert builder.built == ["one"]
    assert record.latency_ms == pytest.approx(50)
    assert path.with_name(f"{path.stem}.damaged-1.json").read_bytes() == content
    assert issubclass(DamagedRecordsWarning, UserWarning)
    _measure([ONE])  # whole again: a warning would be an error


def test_a_second_damaged_file_does_not_replace_the_first() -> None:
    path, _ = _good_file()
    for text in ("first", "second"):
        path.write_text(text)
        with pytest.warns(DamagedRecordsWarning):
            _measure([ONE])
    assert [path.with_name(f"{path.stem}.damaged-{n}.json").read_text() for n in (1, 2)] == ["first", "second"]


# ------------------------------------------------------------ noise, progress


class Paced(nn.Module):
    """A network whose runs take the milliseconds given, one after the other."""

    def __init__(self, times_ms: Iterable[float]) -> None:
        super().__init__()
        self.times_ms = iter(times_ms)
        self.now_s = 0.0

    def clock(self) -> float:
        return self.now_s

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.now_s += next(self.times_ms) / 1000
        return x.mean((2, 3))


# What a first try sees: three untimed runs and twenty timed ones, alternately of 50 and 100 ms.
RESTLESS = [100, 100, 100] + [50, 100] * 10


def _paced(times_ms: Iterable[float]) -> LatencyRecord:
    network = Paced(itertools.chain(RESTLESS, times_ms))
    (record,) = local_records(
        [ONE], runtime=RUNTIME, threads=1, progress=False, build=lambda entry: network.eval(), clock=network.clock
    )
    return record


@pytest.mark.parametrize(("second", "kept_ms"), [((40, 80), 60), ((100, 200), 75)])
def test_a_noisy_network_is_measured_twice_and_the_lower_kept(second: tuple[float, float], kept_ms: float) -> None:
    said = (
        r"not quiet .* second try: one \(spread \d+ %, waited 0 %\)\. The figures are uncertain\. Stop .* refresh=True"
    )
    with pytest.warns(NoisyMachineWarning, match=said):
        assert _paced(itertools.cycle(second)).latency_ms == pytest.approx(kept_ms)
    with pytest.warns(NoisyMachineWarning, match=said):  # nothing is measured, and it is said again
        assert _measure([ONE], Builder("one", AssertionError()))[0].latency_ms == pytest.approx(kept_ms)


def test_records_that_cannot_be_kept_are_a_known_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "file" / "home"))
    said = r"cannot be kept in .*measurements: Not a directory\.\nSet GPUNET_HOME to a folder that can be written"
    with pytest.raises(RecordsError, match=said):
        _measure([ONE])


def test_a_folder_in_the_records_place_is_a_known_error() -> None:
    records_path(_here()).mkdir(parents=True)
    with pytest.raises(RecordsError, match=r"cannot be kept in .*measurements: Is a directory"):
        _measure([ONE])


def test_an_error_of_the_network_stays_what_it_is() -> None:
    with pytest.raises(OSError, match="of the network"):
        _measure([ONE], Builder("one", OSError("of the network")))


def test_quiet_at_the_second_try_is_quiet() -> None:
    assert _paced(itertools.repeat(50)).latency_ms == pytest.approx(50)  # a warning would be an error


def test_progress_names_the_networks_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    _measure([ONE, TWO], progress=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert "measured two" in said.err
    assert "2/2" in said.err
    _measure([ONE, TWO], progress=True)
    assert capsys.readouterr().err == ""
    _measure([THREE], progress=False)
    assert capsys.readouterr().err == ""


def test_bfloat16_is_a_precision_of_its_own_or_refused() -> None:
    try:
        (lower,) = _measure([ONE], runtime="openvino", precision="bf16")
    except RuntimeUnavailableError as error:
        assert "on this processor, not in bf16: it has no instructions" in error.message  # noqa: PT017
        return
    (wide,) = _measure([ONE], runtime="openvino")
    assert (lower.precision, wide.precision) == ("bf16", "fp32")
    assert lower.conditions["arithmetic"] == "bf16"
    assert _measure([ONE], runtime="openvino", precision="bf16") == [lower]


# ------------------------------------------------------------ wrong arguments


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"runtime": "tflite"}, InvalidArgumentError, "runtime must be one of tensorrt, .*, but got 'tflite'"),
        ({"batch_size": 0}, InvalidArgumentError, "batch_size must be an integer of 1 or more, but got 0"),
        ({"threads": 0}, InvalidArgumentError, "threads must be an integer of 1 or more, but got 0"),
        ({"precision": "x"}, InvalidArgumentError, "precision must be one of fp32, fp16, bf16, int8, but got 'x'"),
        ({"precision": "fp16"}, RuntimeUnavailableError, "'pytorch' cannot run at fp16 here"),
        (
            {"precision": "int8", "runtime": "onnxruntime"},
            RuntimeUnavailableError,
            "a network that is exported for measuring runs at fp32, fp16 or bf16, but got precision 'int8'",
        ),
    ],
)
def test_wrong_arguments_are_refused(how: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _measure([ONE], **how)


def test_a_runtime_that_cannot_run_here_says_why(tmp_path: Path) -> None:
    code = """
import importlib.machinery, sys

class WithoutOpenVINO(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name == "openvino" else super().find_spec(name, path, target)

sys.meta_path[:] = [f for f in sys.meta_path if f is not importlib.machinery.PathFinder] + [WithoutOpenVINO]
from gpunet import errors
from gpunet.zoo.local import local_records
try:
    local_records([], runtime="openvino")
except errors.RuntimeUnavailableError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "the runtime 'openvino' cannot run here: openvino is not installed (pip install 'gpunet[openvino]').\n"
        "Leave runtime out for the best that can.\n"
    )


def test_measurements_survive_the_file() -> None:
    _path, data = _good_file()
    (value,) = data["records"].values()
    assert Measurement.from_dict(value).conditions["model"] == "one"


# ----------------------------------------------- records that an entry brings


def _bringing(*records: LatencyRecord) -> Entry:
    return dataclasses.replace(ONE, records=records)


def _brought(latency_ms: float = 7.0, **conditions: Any) -> LatencyRecord:
    """What a published entry holds of this machine: measured in another home folder, once read from its file."""
    (record,) = _measure([ONE])
    assert record_from_measurement("one", cast(Measurement, measurement_from_record(record))) == record
    records_path(_here()).unlink()
    return dataclasses.replace(record, latency_ms=latency_ms, conditions={**record.conditions, **conditions})


def test_a_record_that_an_entry_brings_of_this_machine_is_not_measured_again() -> None:
    brought, builder = _brought(), Builder()
    assert _measure([_bringing(brought), TWO], builder)[0] == brought
    assert builder.built == ["two"]
    assert not any("one " in key for key in json.loads(records_path(_here()).read_text())["records"])


def test_of_several_that_it_brings_the_slowest() -> None:
    records = [_brought(each) for each in (7.0, 9.0, 8.0)]
    assert _measure([_bringing(*records)], Builder("one", AssertionError()))[0].latency_ms == 9.0


def test_what_this_machine_measured_itself_comes_first() -> None:
    brought = _brought()
    _measure([ONE])
    assert _measure([_bringing(brought)], Builder("one", AssertionError()))[0].latency_ms == pytest.approx(50)


def test_refresh_measures_what_an_entry_brings_too() -> None:
    brought, builder = _brought(), Builder()
    assert _measure([_bringing(brought)], builder, refresh=True)[0].latency_ms == pytest.approx(50)
    assert builder.built == ["one"]


@pytest.mark.parametrize(
    "change",
    [
        {"board": "another processor"},
        {"batch_size": 2},
        {"precision": "fp16"},
        {"runtime": "openvino"},
        {"runtime_version": "0.1"},
        {"threads": 64},
        {"kind": "estimated"},
        {"statistic": "mean"},
        {"conditions": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_of_another_machine_or_of_other_conditions_does_not_count(change: dict[str, Any]) -> None:
    brought, builder = dataclasses.replace(_brought(), **change), Builder()
    assert _measure([_bringing(brought)], builder)[0].latency_ms == pytest.approx(50)
    assert builder.built == ["one"]


def test_a_record_that_says_it_is_uncertain_is_warned_of() -> None:
    brought = _bringing(_brought(spread_percent=40.0))
    with pytest.warns(NoisyMachineWarning, match=r"one \(spread 40 %"):
        _measure([brought], Builder("one", AssertionError()))
