"""trtexec's logs as latency records."""

from __future__ import annotations

import pytest
from helpers import DATA

from gpunet.errors import InvalidArgumentError, UnknownDeviceError
from gpunet.zoo.catalog import append_records, read_records
from gpunet.zoo.trtexec import record_from_trtexec

LOG = (DATA / "trtexec_10_2.log").read_text()


def test_a_log_becomes_a_record_with_its_switches() -> None:
    record = record_from_trtexec(LOG, model="gpunet_0", device="Tesla V100", precision="fp16")
    assert (record.chip, record.runtime, record.kind, record.statistic) == ("gv100", "tensorrt", "measured", "median")
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
        record_from_trtexec(LOG, model="gpunet_0", device="abacus", precision="fp16")
    with pytest.raises(InvalidArgumentError, match="batch_size is 8 in the text, but got 4"):
        record_from_trtexec(LOG, model="gpunet_0", device="gv100", precision="fp16", batch_size=4)


def test_records_are_appended_and_read_again(tmp_path) -> None:
    record = record_from_trtexec(LOG, model="gpunet_0", device="gv100", precision="fp16")
    append_records(tmp_path / "zoo" / "latency.csv", [record])
    append_records(tmp_path / "zoo" / "latency.csv", [record])
    assert read_records(tmp_path / "zoo" / "latency.csv") == [record, record]
