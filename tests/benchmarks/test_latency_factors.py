from __future__ import annotations

import json
from pathlib import Path

import latency_factors
import pytest
import timm
from PIL import Image

from gpunet.errors import InvalidArgumentError


def test_b0_is_timms_efficientnet_b0():
    ours = latency_factors.network(latency_factors.B0).state_dict()
    theirs = timm.create_model("efficientnet_b0").state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}


def test_each_factor_changes_what_it_says():
    count = {
        factor: [sum(p.numel() for p in latency_factors.network(v).parameters()) for v in vs]
        for factor, vs in latency_factors.FACTORS.items()
    }
    assert count["expansion"] == sorted(set(count["expansion"]))
    assert count["kernel"] == sorted(set(count["kernel"]))
    assert count["se"][0] < count["se"][1]
    assert len(set(count["resolution"])) == 1
    assert count["expansion"][-1] == count["se"][1] == count["resolution"][0]


@pytest.mark.slow
def test_the_study_prints_a_table_and_draws_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    small = latency_factors.Variant("se", "without", px=64, squeeze_excitation=False)
    monkeypatch.setitem(latency_factors.FACTORS, "se", (small,))  # the study itself takes minutes
    latency_factors.main(["--out", str(tmp_path), "--factors", "se", "--runtime", "onnxruntime", "--rounds", "2"])
    printed = capsys.readouterr().out
    assert "as published" in printed
    found = json.loads((tmp_path / "factors.json").read_text())
    assert [each["factor"] for each in found["results"]] == ["B0", "se"]
    assert found["results"][0]["ratio"] == 1
    with Image.open(tmp_path / "factors.png") as picture:
        assert picture.width > 300


def test_rounds_of_none_are_refused(tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match="--rounds must be 1 or more"):
        latency_factors.main(["--out", str(tmp_path), "--rounds", "0"])
