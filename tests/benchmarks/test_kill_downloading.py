"""kill -9 while weights are downloaded and converted: what the benchmark counts, in small."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from kill_benchmark.downloading import _serving, downloading

_MORE_THAN_SOCKETS_HOLD = 1 << 26


def test_what_is_asked_for_is_counted_before_the_answer(tmp_path: Path) -> None:
    """Of an answer that nobody reads to its end, too."""
    with open(tmp_path / "file", "wb") as file:
        file.truncate(_MORE_THAN_SOCKETS_HOLD)
    with _serving(tmp_path / "file") as server:
        asking, counting = (http.client.HTTPConnection(server.removeprefix("http://")) for _ in range(2))
        asking.request("GET", "/plain/x")
        unread = asking.getresponse()
        counting.request("GET", "/sent")
        assert int(counting.getresponse().read()) == _MORE_THAN_SOCKETS_HOLD
        unread.close()
        counting.close()


@pytest.mark.slow
def test_a_killed_download_is_gone_on_with_and_leaves_nothing() -> None:
    found = downloading(5, ("download", "download gone on with"))
    assert [each.part for each in found] == ["weights: download", "weights: download gone on with"]
    for each in found:
        assert (each.killed, each.faults) == (5, [])
        assert each.passed
