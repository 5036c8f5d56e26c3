"""A measurement as a record, and back; and which records are of this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from helpers.publications import RUNTIME, measurement, record

import gpunet
from gpunet.core.machine import available_threads, fingerprint, processor_name
from gpunet.runtime import get
from gpunet.zoo.measured import fingerprint_of, measurement_from_record, record_from_measurement
from gpunet.zoo.reading import read_records, write_records


def test_there_and_back() -> None:
    made = record_from_measurement("net", measurement(2.0))
    assert (made.model, made.chip, made.board, made.threads) == ("net", "local", processor_name(), available_threads())
    assert (made.latency_ms, made.throughput_ips, made.statistic, made.kind) == (2.0, 500.0, "median", "measured")
    assert made.source == "measured on this machine by gpunet 0.1.0 at 2026-03-02T10:00:00+00:00"
    assert measurement_from_record(made) == measurement(2.0)


def test_chip_board_and_source_may_be_given() -> None:
    made = record_from_measurement("net", measurement(), chip="h100", board="H100 SXM", source="the lab, in May")
    assert (made.chip, made.board, made.source) == ("h100", "H100 SXM", "the lab, in May")


def test_a_csv_file_keeps_it_whole(tmp_path: Path) -> None:
    write_records(tmp_path / "a.csv", [record()])
    (read,) = read_records(tmp_path / "a.csv")
    assert read == record()
    assert fingerprint_of(read) == fingerprint_of(record())


def test_a_record_of_this_machine_has_its_fingerprint() -> None:
    here = fingerprint(
        runtime=RUNTIME, runtime_version=get(RUNTIME).version(), precision="fp32", threads=available_threads()
    )
    assert fingerprint_of(record()) == here


@pytest.mark.parametrize(
    "change",
    [
        {"board": "another"},
        {"conditions": {}},
        {"conditions": {**record().conditions, "machine": None}},
    ],
)
def test_a_record_that_does_not_say_its_machine_has_none(change: dict[str, object]) -> None:
    assert fingerprint_of(dataclasses.replace(record(), **change)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "estimated"},
        {"statistic": "mean"},
        {"conditions": {}},
        {"conditions": {**record().conditions, "min_ms": "little"}},
    ],
)
def test_less_than_a_measurement_is_none(change: dict[str, object]) -> None:
    assert measurement_from_record(dataclasses.replace(record(), **change)) is None


def test_published_records_are_no_measurements() -> None:
    records = gpunet.find("gv100")[0].records
    assert [measurement_from_record(each) for each in records] == [None] * len(records)
    assert [fingerprint_of(each) for each in records] == [None] * len(records)
