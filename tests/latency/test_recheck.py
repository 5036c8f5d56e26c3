from __future__ import annotations

from pathlib import Path

from helpers.tables import CONDITIONS, CountingMeter, figures, law_ms
from helpers.tables import PAPER_KEYS as KEYS

from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.recheck import recheck
from gpunet.latency.records import LayerLatency, lesser
from gpunet.latency.table import LatencyTable


class LawMeter(CountingMeter):
    def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
        self.asked.append(key)
        return figures(law_ms(key))


def test_only_what_looks_wrong_is_measured_again_and_the_lesser_counts(tmp_path: Path):
    keys = KEYS[:400]
    bad = keys[::40]
    meter = LawMeter()
    with LatencyTable(tmp_path / "table.sqlite", CONDITIONS) as table:
        table.add_rows((key.text, figures(law_ms(key) * (1.6 if key in bad else 1.0))) for key in keys)
        seen: list[int] = []
        assert recheck(table, meter, on_progress=lambda state: seen.append(state.done)) == len(meter.asked)
        assert set(bad) <= set(meter.asked)
        assert len(meter.asked) < 60
        assert seen == list(range(1, len(meter.asked) + 1))
        for key, found in table.layers().items():
            assert abs(found.latency_ms - law_ms(key)) < 1e-9


def test_only_the_keys_asked_for_are_looked_at(tmp_path: Path):
    keys = KEYS[:200]
    meter = LawMeter()
    with LatencyTable(tmp_path / "table.sqlite", CONDITIONS) as table:
        table.add_rows((key.text, figures(law_ms(key) * (1.6 if key in keys[:4] else 1.0))) for key in keys)
        recheck(table, meter, keys[:2])
    assert set(meter.asked) <= set(keys[:2])


def test_a_table_of_a_few_layers_is_left_alone(tmp_path: Path):
    with LatencyTable(tmp_path / "table.sqlite", CONDITIONS) as table:
        table.add(KEYS[0], figures(1.0))
        assert recheck(table, LawMeter()) == 0


def test_the_one_of_the_lesser_context_counts_whole():
    old = LayerLatency(1.0, 3.0, 2.0, 5.0, 4.0, 5, "2026-11-24T10:00:00Z")
    new = LayerLatency(1.5, 2.5, 1.0, None, 1.0, 6, "2026-11-24T11:00:00Z")
    assert lesser(old, new) == LayerLatency(1.5, 2.5, 1.0, 5.0, 1.0, 11, "2026-11-24T11:00:00Z")
    assert lesser(new, old) == lesser(old, new)
