"""find: which records count, what decides, and what is said when nothing fits."""

from __future__ import annotations

import pytest
from helpers.entries import ENTRY, RECORD, write_zoo

import gpunet
from gpunet.errors import InvalidArgumentError, NothingFitsError, UnknownDeviceError
from gpunet.model.entry import LatencyRecord
from gpunet.zoo.choice.conditions import Query
from gpunet.zoo.query import best, candidates, nothing_fits


def names(matches) -> list[str]:
    return [match.name for match in matches]


def test_the_slowest_record_must_fit_and_a_label_does_not_count() -> None:
    match = best(Query(device="gv100", max_ms=0.8))
    assert (match.name, match.latency_ms, match.top1_percent) == ("gpunet_p0", 0.63, 80.3)
    assert "gpunet_p1" not in names(gpunet.find("gv100", max_ms=0.8))
    p1 = next(m for m in gpunet.find("gv100") if m.name == "gpunet_p1")
    assert p1.latency_ms == 0.96
    two = next(m for m in gpunet.find("gv100") if m.name == "gpunet_2")
    assert (two.latency_ms, two.record.board) == (1.76, "Quadro GV100 (PCIe)")
    assert {record.board for record in two.records} == {"Quadro GV100 (PCIe)", "DGX-1 V100 32GB"}


def test_nominal_figures_count_when_asked_for() -> None:
    kinds = {r.kind for m in gpunet.find("gv100", include_nominal=True) for r in m.records}
    assert kinds == {"measured", "nominal"}
    assert {r.kind for m in gpunet.find("gv100") for r in m.records} == {"measured"}
    zero = next(m for m in gpunet.find("gv100", include_nominal=True) if m.name == "gpunet_0")
    assert zero.latency_ms == 0.65


def test_the_order_is_accuracy_then_speed() -> None:
    matches = gpunet.find("a100")
    assert names(matches)[0] == "gpunet_d2"
    assert matches == sorted(matches, key=lambda m: (-m.top1_percent, m.latency_ms))


def test_ties_go_to_the_faster(tmp_path) -> None:
    folder = tmp_path / "zoo"
    for name, latency in (("slow", "0.4"), ("fast", "0.3")):
        entry = {**ENTRY, "name": name, "accuracy": {"top1_percent": 90.0, "dataset": "d", "source": "s"}}
        write_zoo(folder / name, entry=entry, name="entry.json",
                  records=[{**RECORD, "model": name, "latency_ms": latency}])  # fmt: skip
    assert names(gpunet.find("l4", dataset="d", zoo=folder)) == ["fast", "slow"]


def test_bounds() -> None:
    assert names(gpunet.find("a100", max_ms=0.6, min_top1=80.4)) == ["gpunet_1"]
    assert names(gpunet.find("a100", max_params=11e6)) == ["gpunet_d1"]
    assert gpunet.find("a100", max_ms=0.01) == []


def test_boards_narrow() -> None:
    assert next(m for m in gpunet.find("V100 32GB") if m.name == "gpunet_2").latency_ms == 1.68
    assert len(gpunet.find("Quadro GV100")) == 4
    assert gpunet.find("V100") == gpunet.find("gv100") == gpunet.find("Tesla V100-SXM2-32GB")


def test_batch_and_runtime() -> None:
    eight = gpunet.find("gv100", batch_size=8)
    assert len(eight) == 7
    assert {m.record.runtime for m in eight} == {"onnxruntime-tensorrt"}
    pytorch = gpunet.find("gv100", runtime="pytorch")
    assert {m.record.runtime for m in pytorch} == {"pytorch"}
    assert gpunet.find("gv100", runtime="torch") == pytorch
    assert {r.runtime_version for m in gpunet.find("gv100", runtime="tensorrt-8") for r in m.records} == {"8", "8.0.1"}
    assert {r.runtime_version for m in gpunet.find("gv100", runtime="tensorrt-8.0.1") for r in m.records} == {"8.0.1"}
    assert gpunet.find("gv100", runtime="tensorrt") == gpunet.find("gv100")
    assert gpunet.find("gv100", precision="fp32") == []


def test_baselines_only_when_asked_for_and_only_those_that_can_be_built() -> None:
    everything = names(gpunet.find("gv100", include_baselines=True))
    assert "efficientnet_b0" in everything
    assert "alphanet_a2" not in everything
    assert "efficientnet_b0" not in names(gpunet.find("gv100"))
    assert "alphanet_a2" in names(candidates(Query(device="gv100", include_baselines=True), figures_only=True))


def test_nothing_fits_names_the_nearest_and_their_figures() -> None:
    with pytest.raises(NothingFitsError) as caught:
        best(Query(device="gv100", max_ms=0.5))
    text = str(caught.value)
    assert "no network fits gv100 at batch 1 with at most 0.5 ms" in text
    assert "gpunet_p0: top-1 80.3 %; 0.63 ms measured" in text
    with pytest.raises(LookupError, match="top-1 of at least 83 % on ImageNet-1k validation and at most 20,000,000 p"):
        best(Query(device="gv100", max_ms=1, min_top1=83, max_params=20e6))


def test_no_record_applies_says_what_is_recorded() -> None:
    with pytest.raises(NothingFitsError) as caught:
        best(Query(device="gv100", max_ms=5, batch_size=3))
    assert "no record applies to gv100 at batch 3, runtime default, precision any" in str(caught.value)
    assert "batch sizes 1, 2, 4, 8, 16, 32, 64" in str(caught.value)


def test_a_chip_without_figures_is_not_an_empty_answer() -> None:
    with pytest.raises(UnknownDeviceError) as caught:
        gpunet.find("h100")
    assert "the zoo has no latency for NVIDIA GH100 (Hopper: H100)" in str(caught.value)
    assert "gpunet.create('local', max_ms=...)" in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_ms": 0}, "max_ms must be a latency in milliseconds above 0, but got 0"),
        ({"max_ms": float("nan")}, "max_ms must be a latency in milliseconds above 0, but got nan"),
        ({"max_ms": float("inf")}, "max_ms must be a latency in milliseconds above 0, but got inf"),
        ({"max_ms": "0.8"}, "max_ms must be a latency in milliseconds above 0, but got '0.8'"),
        ({"max_ms": True}, "max_ms must be a latency in milliseconds above 0, but got True"),
        ({"min_top1": 0.8}, "min_top1 is in percent, but got 0.8.\nDid you mean 80?"),
        ({"min_top1": 101}, "min_top1 must be an accuracy in percent, above 0 and at most 100, but got 101"),
        ({"max_params": 12}, "max_params counts single parameters, but got 12.\nFor 12 million, pass 12e6."),
        ({"batch_size": 0}, "batch_size must be an integer of 1 or more, but got 0"),
        ({"batch_size": 1.5}, "batch_size must be an integer of 1 or more, but got 1.5"),
        ({"threads": 2}, "threads are of this machine's measurements, but the device is 'gv100'"),
        ({"precision": "fp8"}, "precision must be one of fp32, fp16, bf16, int8, but got 'fp8'"),
        ({"dataset": " "}, "dataset must be a name such as 'imagenet-1k', but got ' '"),
        ({"runtime": ""}, "runtime must be a name such as 'tensorrt', but got ''"),
    ],
)
def test_conditions_that_make_no_sense(kwargs, message) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        gpunet.find("gv100", **kwargs)
    assert message in str(caught.value)


def test_a_match_prints_its_record_and_its_kind() -> None:
    match = gpunet.find("a100", max_ms=0.5)[0]
    assert str(match).startswith("gpunet_p0: top-1 80.3 %; 0.45 ms measured (")
    assert match.to_dict()["record"]["latency_ms"] == 0.45


# ----------------------------------------------------------------- this machine


@pytest.fixture
def measured(monkeypatch) -> list[list[str]]:
    """What this machine is asked to measure, call by call; each network takes a tenth of its input's side."""
    asked: list[list[str]] = []

    def local_records(entries, *, batch_size, kept_only, threads, **how):
        if kept_only:
            kept = {name for names in asked for name in names}
            entries = [entry for entry in entries if entry.name in kept]
        else:
            asked.append([entry.name for entry in entries])
        return [
            LatencyRecord(entry.name, "local", "mine", batch_size, "fp32", "openvino", "1", "median",
                          entry.input_px / 10 / (threads or 1), "measured", "me")
            for entry in entries
        ]  # fmt: skip

    monkeypatch.setattr("gpunet.zoo.local.local_records", local_records)
    return asked


def test_on_this_machine_only_what_could_be_the_answer_is_measured(measured) -> None:
    match = best(Query(device="local", max_ms=50))  # d2, of 83.6 %, takes 52.8 ms; d1, of 82.5 %, 45.6
    assert (match.name, match.latency_ms) == ("gpunet_d1", 45.6)
    assert measured == [["gpunet_d2"], ["gpunet_d1"]]


@pytest.mark.parametrize("max_ms", [23, 29, 33, 40, 50, 60])
@pytest.mark.parametrize("bounds", [{}, {"min_top1": 80.4}, {"max_params": 20e6}, {"include_baselines": True}])
def test_that_is_the_answer_of_having_measured_them_all(measured, max_ms, bounds) -> None:
    query = Query(device="local", max_ms=max_ms, **bounds)
    everything = gpunet.find("local", max_ms=max_ms, **bounds)
    if everything:
        assert best(query) == everything[0]
    else:
        with pytest.raises(NothingFitsError):
            best(query)


def test_ties_on_this_machine_go_to_the_faster(measured, tmp_path) -> None:
    for name, side in (("wide", 96), ("slim", 64)):
        spec = {**ENTRY["spec"], "resolution_px": side}
        accuracy = {"top1_percent": 90.0, "dataset": "mine", "source": "me"}
        write_zoo(tmp_path, entry={**ENTRY, "name": name, "spec": spec, "accuracy": accuracy}, records=(),
                  name=f"{name}.json")  # fmt: skip
    assert best(Query(device="local", max_ms=50, dataset="mine"), tmp_path).name == "slim"
    assert measured == [["slim", "wide"]]


def test_what_breaks_another_bound_is_not_measured(measured) -> None:
    assert best(Query(device="local", max_ms=60, max_params=11e6)).name == "gpunet_d1"
    assert measured == [["gpunet_d1"]]


def test_where_nothing_fits_on_this_machine_the_nearest_measured_are_named_and_no_others_measured(measured) -> None:
    with pytest.raises(NothingFitsError) as caught:
        best(Query(device="local", max_ms=20, min_top1=82))
    assert set(caught.value.nearest) == {"gpunet_2", "gpunet_d1", "gpunet_d2"}
    assert measured == [["gpunet_d2"], ["gpunet_d1"], ["gpunet_2"]]


def test_this_machine_is_measured_with_the_threads_that_are_asked_for(measured) -> None:
    with pytest.raises(NothingFitsError):
        best(Query(device="local", max_ms=20))
    assert best(Query(device="Local", max_ms=20, threads=2)).latency_ms == pytest.approx(19.2)


def test_where_nothing_is_measured_it_is_said_what_to_do(measured) -> None:
    with pytest.raises(NothingFitsError, match="fits local at batch 1 with at most 5,000 parameters") as caught:
        best(Query(device="local", max_params=5000))
    assert caught.value.hint == "Measured or not, none keeps the bounds on accuracy and size: loosen them."
    error = nothing_fits(Query(device="Local", max_ms=5))
    assert error.message == "no network fits Local at batch 1 with at most 5 ms."
    assert error.hint.startswith("None is measured yet of 7 that may keep the other bounds. gpunet.create('local', max")
    assert measured == []


def test_records_of_somebodys_machine_are_found_by_its_name_and_measure_nothing(measured, tmp_path) -> None:
    zoo = write_zoo(tmp_path, records=[{**RECORD, "chip": "local", "board": "Some CPU (family 6)", "threads": "4"}])
    for name in ("Some CPU (family 6)", "some cpu"):
        assert names(gpunet.find(name, zoo=zoo)) == ["tiny"]
    assert measured == []
    assert names(gpunet.find("local", zoo=zoo))[-1] == "tiny"
    assert len(measured[0]) == 8


def test_such_a_machine_is_listed_once_and_local_once(tmp_path) -> None:
    zoo = write_zoo(tmp_path, records=[{**RECORD, "chip": "local", "board": "Some CPU (family 6)", "threads": "4"}])
    devices = gpunet.list_devices(zoo=zoo)
    assert devices.count("local") == 1
    assert "Some CPU (family 6)" in devices
