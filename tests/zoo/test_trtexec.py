"""trtexec's logs as latency records."""

from __future__ import annotations

import re

import pytest
from helpers import DATA

from gpunet.errors import InvalidArgumentError, UnknownDeviceError
from gpunet.zoo.reading import append_records, read_records
from gpunet.zoo.trtexec import record_from_trtexec

OLD = (DATA / "trtexec_8_6.log").read_text()  # gpunet_0 on a Quadro GV100
LOG = (DATA / "trtexec_10_2.log").read_text()


def test_a_log_becomes_a_record_with_its_switches() -> None:
    record = record_from_trtexec(LOG, model="gpunet_p0", device="Tesla A100", precision="fp16")
    assert (record.chip, record.runtime, record.kind, record.statistic) == ("a100", "tensorrt", "measured", "median")
    assert record.runtime_version.startswith("10.2")
    assert record.latency_ms > 0
    assert set(record.conditions["switches"]) == {"cuda_graph", "spin_wait", "transfers"}


def test_what_the_text_does_not_say_must_be_given() -> None:
    times = '[{"startComputeMs": 300, "computeMs": 1.5}, {"startComputeMs": 302, "computeMs": 1.7}]'
    how = {"model": "gpunet_0", "device": "gv100", "version": "10.2"}
    with pytest.raises(InvalidArgumentError, match="the text does not say the batch size, and it is not given"):
        record_from_trtexec(times, **how)
    record = record_from_trtexec(times, **how, batch_size=1, precision="fp16", board="V100 32GB")
    assert record.latency_ms == pytest.approx(1.6)
    with pytest.raises(UnknownDeviceError, match="unknown device 'abacus'"):
        record_from_trtexec(LOG, model="gpunet_p0", device="abacus", precision="fp16")
    with pytest.raises(InvalidArgumentError, match="batch_size is 8 in the text, but got 4"):
        record_from_trtexec(LOG, model="gpunet_p0", device="a100", precision="fp16", batch_size=4)


def test_records_are_appended_and_read_again(tmp_path) -> None:
    record = record_from_trtexec(LOG, model="gpunet_p0", device="a100", precision="fp16")
    append_records(tmp_path / "zoo" / "latency.csv", [record])
    append_records(tmp_path / "zoo" / "latency.csv", [record])
    assert read_records(tmp_path / "zoo" / "latency.csv") == [record, record]


def _other_gpu(text: str, name: str, capability: str = "7.5") -> str:
    text = re.sub("Selected Device: .*", f"Selected Device: {name}", text)
    return re.sub("Compute Capability: .*", f"Compute Capability: {capability}", text)


@pytest.mark.parametrize(
    ("text", "device", "said"),
    [
        (_other_gpu(OLD, "NVIDIA GeForce RTX 2080"), "gv100", "RTX 2080, of compute capability 7.5"),
        (_other_gpu(OLD, "Tesla T4"), "gv100", r"it was taken on Tesla T4 \(t4\)"),
        (LOG, "gv100", r"it was taken on NVIDIA A100-SXM4-80GB \(a100\)"),
        (_other_gpu(LOG, "NVIDIA A100-SXM4-80GB MIG 3g.40gb", "8.0"), "a100", "a slice of the GPU"),
        (LOG.replace("SMs: 108", "SMs: 42"), "a100", "a slice of the GPU .*42 multiprocessors"),
    ],
)
def test_a_log_of_another_gpu_is_refused(text: str, device: str, said: str) -> None:
    model = "gpunet_0" if "gpunet_0.onnx" in text else "gpunet_p0"
    with pytest.raises(InvalidArgumentError, match=said):
        record_from_trtexec(text, model=model, device=device, precision="fp16")


def test_what_a_log_says_can_be_accepted() -> None:
    record = record_from_trtexec(LOG, model="gpunet_p0", device="gv100", precision="fp16", batch_size=1, accept=True)
    assert (record.chip, record.board, record.batch_size) == ("a100", "NVIDIA A100-SXM4-80GB", 8)
    sliced = _other_gpu(LOG, "NVIDIA A100-SXM4-80GB MIG 3g.40gb", "8.0")
    assert "MIG" in record_from_trtexec(sliced, model="gpunet_p0", device="a100", precision="fp16", accept=True).board
    with pytest.raises(InvalidArgumentError, match=r"of compute capability 7\.5"):  # of no chip that has a name here
        record_from_trtexec(_other_gpu(OLD, "RTX 2080"), model="gpunet_0", device="gv100", accept=True)


@pytest.mark.parametrize("size", ["1x3x640x640", "1x3x320x640", "1x1x320x320"])
def test_a_network_of_another_input_is_refused(size: str) -> None:
    text = OLD.replace("dimensions 1x3x320x320", f"dimensions {size}")
    with pytest.raises(InvalidArgumentError, match=rf"takes {size[2:]}, but gpunet_0 takes 3x320x320"):
        record_from_trtexec(text, model="gpunet_0", device="gv100", accept=True)


def test_an_implicit_batch_is_not_the_number_of_channels() -> None:
    text = OLD.replace("dimensions 1x3x320x320", "dimensions 3x320x320")
    with pytest.raises(InvalidArgumentError, match="does not say the batch size"):
        record_from_trtexec(text, model="gpunet_0", device="gv100")
    said = text.replace("Batch: Explicit", "Batch: 8")
    assert record_from_trtexec(said, model="gpunet_0", device="gv100").batch_size == 8
