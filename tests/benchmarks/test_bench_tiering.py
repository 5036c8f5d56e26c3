"""The tiers of a V100 by records: where the released networks land."""

from __future__ import annotations

import bench_tiering
import pytest


def test_released_networks_land_in_tiers_of_a_v100(capsys: pytest.CaptureFixture[str]) -> None:
    bench_tiering.main(["--from-records", "--count", "2000"])
    said = capsys.readouterr().out
    assert "2000 networks of the paper's space in a V100's tiers by records" in said
    rows = {line.split()[0]: line for line in said.splitlines() if line.startswith("gpunet_")}
    assert len(rows) == 7
    assert rows["gpunet_p1"].endswith("0.5 to 1 ms   yes")
    # One network in seven may be estimated at the other side of a bound.
    assert sum(line.endswith("yes") for line in rows.values()) >= 6
