from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import timm
from PIL import Image

from gpunet.errors import InvalidArgumentError

SCRIPT = Path(__file__).parents[2] / "tools" / "latency_factors.py"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("latency_factors", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["latency_factors"] = module  # its dataclass looks its module up
    spec.loader.exec_module(module)
    return module


def test_b0_is_timms_efficientnet_b0(study: ModuleType):
    ours = study.network(study.B0).state_dict()
    theirs = timm.create_model("efficientnet_b0").state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}


def test_each_factor_changes_what_it_says(study: ModuleType):
    count = {
        factor: [sum(p.numel() for p in study.network(v).parameters()) for v in vs]
        for factor, vs in study.FACTORS.items()
    }
    assert count["expansion"] == sorted(set(count["expansion"]))
    assert count["kernel"] == sorted(set(count["kernel"]))
    assert count["se"][0] < count["se"][1]
    assert len(set(count["resolution"])) == 1
    assert count["expansion"][-1] == count["se"][1] == count["resolution"][0]


@pytest.mark.slow
def test_the_study_prints_a_table_and_draws_a_picture(
    study: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    small = study.Variant("se", "without", px=64, squeeze_excitation=False)
    monkeypatch.setitem(study.FACTORS, "se", (small,))  # the study itself takes minutes
    study.main(["--out", str(tmp_path), "--factors", "se", "--runtime", "onnxruntime", "--rounds", "2"])
    printed = capsys.readouterr().out
    assert "as published" in printed
    found = json.loads((tmp_path / "factors.json").read_text())
    assert [each["factor"] for each in found["results"]] == ["B0", "se"]
    assert found["results"][0]["ratio"] == 1
    with Image.open(tmp_path / "factors.png") as picture:
        assert picture.width > 300


def test_rounds_of_none_are_refused(study: ModuleType, tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match="--rounds must be 1 or more"):
        study.main(["--out", str(tmp_path), "--rounds", "0"])
