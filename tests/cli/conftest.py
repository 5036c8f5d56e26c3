"""A zoo of networks small enough to be measured in milliseconds, and a home folder of the tests' own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SIDE_PX = 32


def _spec(filters: int, layers: int) -> dict[str, object]:
    stages = [
        {"type": "conv", "filters": filters},
        {"type": "irb", "filters": filters, "layers": layers, "stride": 2, "expansion": 4},
    ]
    return {"spec_version": 1, "resolution_px": SIDE_PX, "stem": {"filters": filters}, "stages": stages,
            "head": {"filters": 4 * filters}}  # fmt: skip


@pytest.fixture(autouse=True)
def gpunet_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("GPUNET_HOME", str(home))
    return home


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Entries `small` and `large` of one's own, `slow_baseline` (a large one, 70 %) and `sharp_baseline` (99 %)."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    entries = {
        "small": ("own", 8, 1, 70.0),
        "large": ("own", 32, 12, 75.0),
        "slow_baseline": ("baseline", 32, 12, 70.0),
        "sharp_baseline": ("baseline", 8, 1, 99.0),
    }
    for name, (role, filters, layers, top1) in entries.items():
        entry = {
            "format": "gpunet-entry",
            "format_version": 1,
            "name": name,
            "role": role,
            "architecture": "gpunet",
            "accuracy": {"top1_percent": top1, "dataset": "made up", "source": "a test"},
            "preprocessing": {"input_px": SIDE_PX, "crop_pct": 1.0},
            "licence": "Apache-2.0",
            "spec": _spec(filters, layers),
        }
        (folder / f"{name}.json").write_text(json.dumps(entry), encoding="utf-8")
    return folder
