"""What is known of networks before they are trained: scores, and how they order networks, in small."""

from __future__ import annotations

import json
from pathlib import Path

import bench_priors
import pytest
import torch
from prior_benchmark.macro import macro_network
from prior_benchmark.scores import naswot, synflow

# Parameters and multiply-adds as NAS-Bench-Macro gives them.
PUBLISHED = {
    "00000000": (387_882, 7_713_280), "10000000": (396_298, 12_128_768), "02000000": (448_298, 22_753_792),
    "00100000": (419_050, 12_018_176), "00020000": (607_018, 21_524_992), "00000200": (672_298, 16_933_376),
    "00000001": (791_594, 14_115_328), "02012100": (890_666, 47_327_744),
}  # fmt: skip


@pytest.mark.parametrize("code", PUBLISHED)
def test_networks_have_the_published_parameters(code: str) -> None:
    assert sum(each.numel() for each in macro_network(code).parameters()) == PUBLISHED[code][0]


def test_scores_are_of_the_network_and_not_of_chance() -> None:
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = {}
    for code in ("00000000", "02012100"):
        for score in (synflow, naswot):
            torch.manual_seed(0)
            found[code, score] = score(macro_network(code), images)
            torch.manual_seed(0)
            assert score(macro_network(code), images) == pytest.approx(found[code, score])
    assert found["02012100", naswot] > found["00000000", naswot]  # more units tell the images apart
    assert found["02012100", synflow] != found["00000000", synflow]


def test_a_table_of_correlations_and_of_searches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {
        code: {
            "mean_acc": 60.0 + parameters / 1e5,
            "std": 0.1,
            "test_acc": [60.0],
            "params": parameters,
            "flops": flops,
        }
        for code, (parameters, flops) in PUBLISHED.items()
    }
    path = tmp_path / "macro.json"
    path.write_text(json.dumps(rows))
    bench_priors.main(["--nas-bench-macro", str(path), "--tiers", "1", "--networks", "8"])
    said = {line.split("  ")[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert said["log parameters"] == "+1.00"
    assert {"log multiply-adds", "depth", "synflow", "naswot"} <= said.keys()
