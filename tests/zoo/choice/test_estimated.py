"""Queries that let estimates count: after what is measured, by their upper bounds, and refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpunet
from gpunet.errors import InvalidArgumentError, NothingFitsError, UnknownDeviceError

SHEET = (
    "name,architecture,sms,cuda_cores,boost_mhz,mem_bw_gbs,l2_mb,fp32_tflops,fp16_tflops,fp16_tensor_tflops_dense\n"
    "Desk 9,Ampere,40,5120,1700,400,4,17,17,70\n"
)


def test_a_plain_query_says_that_estimates_exist():
    with pytest.raises(UnknownDeviceError) as error:
        gpunet.find("l4", max_ms=1.0)
    assert "estimates=True" in error.value.hint
    with pytest.raises(UnknownDeviceError) as error:
        gpunet.find("jetson-nano", max_ms=50)
    assert "estimates=True" in error.value.hint


def test_estimates_keep_the_budget_by_their_upper_bound():
    matches = gpunet.find("l4", max_ms=1.2, estimates=True)
    assert matches
    for match in matches:
        assert match.record.kind == "estimated"
        assert match.record.conditions["high_ms"] <= 1.2
    wide = {match.name for match in gpunet.find("l4", max_ms=1.2, estimates=True, confidence=0.95)}
    assert wide < {match.name for match in matches}


def test_what_is_measured_comes_first_and_is_not_estimated():
    matches = gpunet.find("gv100", max_ms=None, zoo="timm", licence="any", estimates=True)
    kinds = [match.record.kind for match in matches]
    assert kinds == sorted(kinds, key=lambda kind: kind == "estimated")
    assert {match.name for match in gpunet.find("gv100", max_ms=None)} == {
        match.name for match in matches if match.record.kind == "measured"
    }


def test_every_network_that_can_be_estimated_is_given():
    matches = gpunet.find("t4", max_ms=None, batch_size=8, precision="fp16", zoo="timm", licence="any", estimates=True)
    assert len(matches) > 1100
    for match in matches:
        low_ms, high_ms = (match.record.conditions[name] for name in ("low_ms", "high_ms"))
        assert 0 < low_ms < match.latency_ms < high_ms
        assert match.record.chip == "t4"


def test_a_slice_is_not_its_board():
    (whole, *_), (part, *_) = (gpunet.find(name, estimates=True, family="gpunet_0")
                               for name in ("a100", "a100-mig-1g.5gb"))  # fmt: skip
    assert whole.record.kind == "measured"
    assert part.record.kind == "estimated"
    assert part.latency_ms > whole.latency_ms


def test_a_sheet_of_ones_own(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text(SHEET, encoding="utf-8")
    (match,) = gpunet.find("desk-9", estimates=True, gpu_sheet=path, family="gpunet_0")
    assert match.record.board == "Desk 9"


def test_create_takes_an_estimate():
    model = gpunet.create("l4", max_ms=1.2, estimates=True, pretrained=False)
    assert model.match.record.kind == "estimated"
    with pytest.raises(NothingFitsError):
        gpunet.create("l4", max_ms=0.01, estimates=True, pretrained=False)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"precision": "int8"}, "latency at int8 is not estimated"),
        ({"batch_size": 1000}, "at batch 1000 is not estimated"),
        ({"runtime": "openvino"}, "estimates are of TensorRT"),
        ({"min_ips": 100}, "min_ips asks for images a second"),
        ({"confidence": 1.0}, "confidence must be"),
        ({"estimates": 1}, "estimates must be True or False"),
        ({"estimates": False, "gpu_sheet": "x.csv"}, "which are not asked for"),
    ],
)
def test_what_makes_no_sense_is_an_error(asked: dict, said: str):
    with pytest.raises(InvalidArgumentError, match=said):
        gpunet.find("l4", **{"estimates": True, **asked})


def test_this_machine_is_not_estimated():
    with pytest.raises(InvalidArgumentError, match="measured, not estimated"):
        gpunet.find("local", estimates=True)


def test_where_no_record_applies_it_says_so():
    with pytest.raises(NothingFitsError) as error:
        gpunet.create("rtx4090", max_ms=1, zoo="timm", pretrained=False)
    assert "estimates=True" in error.value.hint
