"""kill -9 while weights are downloaded and converted: what the benchmark counts, in small."""

from __future__ import annotations

import pytest
from kill_benchmark.downloading import downloading


@pytest.mark.slow
def test_a_killed_download_is_gone_on_with_and_leaves_nothing() -> None:
    found = downloading(5, ("download", "download gone on with"))
    assert [each.part for each in found] == ["weights: download", "weights: download gone on with"]
    for each in found:
        assert (each.killed, each.faults) == (5, [])
        assert each.passed
