"""A builder's watch over the reference: what it keeps, what it has measured again, and at what speed figures count."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.tables import CONDITIONS, KEYS, CountingMeter, figures

from gpunet.latency.build import build
from gpunet.latency.calibrate import calibrate
from gpunet.latency.estimate import LayerCosts, latencies, measured_networks
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.merge import merge
from gpunet.latency.records import LayerLatency, NetworkLatency
from gpunet.latency.reference import STRETCH_S
from gpunet.latency.table import LatencyTable
from gpunet.latency.watch import at_median_speed
from gpunet.runtime.reference import Look


class Drifting(CountingMeter):
    """A machine whose every measurement takes a tenth of a stretch, and which is slowed by a half from a time on."""

    def __init__(self, slow_from_s: float) -> None:
        super().__init__()
        self.now_s, self.slow_from_s = 1000.0, slow_from_s
        self.whole: list[tuple[LayerKey, ...]] = []

    def clock(self) -> float:
        return self.now_s

    def _speed(self) -> float:
        self.now_s += STRETCH_S / 10
        return 1.5 if self.now_s >= self.slow_from_s else 1.0

    def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
        self.asked.append(key)
        speed, found = self._speed(), figures(_true_ms(key))
        return dataclasses.replace(
            found, latency_ms=speed * found.latency_ms, context_ms=speed * found.context_ms,
            border_ms=speed * found.border_ms,
        )  # fmt: skip

    def networks(self, networks: Sequence[Sequence[LayerKey]], *, rounds: int = 1) -> list[NetworkLatency]:
        self.whole += [tuple(keys) for keys in networks]
        true_ms = [sum(map(_true_ms, keys)) * self._speed() for keys in networks]
        return [NetworkLatency(ms, ms, rounds, "2026-11-24T10:00:00Z") for ms in true_ms]

    def reference(self) -> Look:
        slowed = 1.5 if self.now_s >= self.slow_from_s else 1.0
        return Look(0.1 * slowed, 10.0 * slowed)


class Flickering(Drifting):
    """Slowed by a half at every other figure, as the reference that is timed in turn with it is; steady at looks."""

    def __init__(self) -> None:
        super().__init__(0.0)
        self.slowed = False

    def _speed(self) -> float:
        self.now_s += STRETCH_S / 10
        self.slowed = not self.slowed
        return 1.5 if self.slowed else 1.0

    def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
        found = super().layer(key)
        return dataclasses.replace(found, beside_ms=0.15 if self.slowed else 0.1)

    def networks(self, networks: Sequence[Sequence[LayerKey]], *, rounds: int = 1) -> list[NetworkLatency]:
        found = super().networks(networks)
        return [dataclasses.replace(each, beside_ms=0.15 if self.slowed else 0.1) for each in found]

    def reference(self) -> Look:
        return Look(0.1, 10.0)


def _true_ms(key: LayerKey) -> float:
    return key.work().multiply_adds / 1e6


def drifted(path: Path, slow_from_s: float, networks: Sequence[Sequence[LayerKey]] = ()) -> Drifting:
    meter = Drifting(slow_from_s)
    with LatencyTable(path, CONDITIONS, clock=meter.clock) as table:
        assert build(table, KEYS, meter, networks=networks, seed=0, clock=meter.clock).measured == len(KEYS)
    return meter


def test_a_steady_machine_measures_each_layer_once_and_keeps_its_course(tmp_path: Path) -> None:
    meter = drifted(tmp_path / "t", 1e9)
    assert sorted(map(str, meter.asked)) == sorted(map(str, KEYS))
    with LatencyTable(tmp_path / "t") as table:
        assert 2 <= len(table.course().points) <= 5
        assert {key: pytest.approx(ms) for key, ms in latencies(table, "context").items()} == {
            key: _true_ms(key) for key in KEYS
        }


def test_layers_of_a_stretch_in_which_the_machine_moved_are_measured_again_once(tmp_path: Path) -> None:
    meter = drifted(tmp_path / "t", 1000.0 + 0.75 * STRETCH_S)
    again = [key for key in KEYS if meter.asked.count(key) == 2]
    assert 5 <= len(again) <= 12
    assert len(meter.asked) == len(KEYS) + len(again)


def test_what_is_summed_and_what_it_is_compared_with_are_of_one_speed(tmp_path: Path) -> None:
    """The machine slows down half way: raw sums are off by a third, those at the median speed are not."""
    networks = [KEYS[start : start + 5] for start in range(0, 20, 4)]
    meter = drifted(tmp_path / "t", 1000.0 + 1.2 * STRETCH_S, networks)
    assert sorted(meter.whole, key=str)[0] in map(tuple, networks)
    with LatencyTable(tmp_path / "t") as table:
        costs = LayerCosts.from_table(table, correct=False)
        for keys, measured_ms in measured_networks(table):
            assert costs.network(keys).latency_ms == pytest.approx(measured_ms, rel=0.06)
        raw = table.layers()
        errors = [abs(sum(raw[key].latency_ms for key in keys) / each.latency_ms - 1) for keys, each in
                  table.networks()]  # fmt: skip
        assert max(errors) > 0.1


def test_networks_are_measured_in_turn_with_layers_and_on_a_table_that_lacks_only_them(tmp_path: Path) -> None:
    networks = [KEYS[:3], KEYS[3:6]]
    meter = CountingMeter()
    with LatencyTable(tmp_path / "t", CONDITIONS) as table:
        build(table, KEYS, meter, networks=networks)
        build(table, KEYS, meter, networks=[*networks, KEYS[6:9]])
        assert [keys for keys, _ in table.networks()] == [*reversed(networks), KEYS[6:9]]
    assert len(meter.asked) == len(KEYS)


def test_what_is_measured_in_turn_with_the_reference_counts_by_it_and_is_not_measured_again(tmp_path: Path) -> None:
    """A machine that is slowed by a half at every other figure: no look knows at which."""
    networks = [KEYS[start : start + 5] for start in range(0, 20, 4)]
    meter = Flickering()
    with LatencyTable(tmp_path / "t", CONDITIONS, clock=meter.clock) as table:
        build(table, KEYS, meter, networks=networks, seed=0, clock=meter.clock)
        assert len(meter.asked) == len(KEYS)
        costs = LayerCosts.from_table(table, correct=False)
        for keys, measured_ms in measured_networks(table):
            assert costs.network(keys).latency_ms == pytest.approx(measured_ms)
        [whole_ms] = at_median_speed(table.course(), meter, [KEYS[:4]], 1)  # type: ignore[arg-type]
        assert costs.network(KEYS[:4]).latency_ms == pytest.approx(whole_ms)


def test_shards_are_joined_by_the_reference(tmp_path: Path) -> None:
    """One was filled while the machine was slow: merged, both count at one speed."""
    drifted(tmp_path / "quick", 1e9)
    slow = Drifting(0.0)
    with LatencyTable(tmp_path / "slow", CONDITIONS, clock=slow.clock) as table:
        build(table, KEYS[:10], slow, clock=slow.clock)
        assert latencies(table, "context")[KEYS[0]] == pytest.approx(1.5 * _true_ms(KEYS[0]))
    merge(tmp_path / "both", [tmp_path / "slow", tmp_path / "quick"])
    with LatencyTable(tmp_path / "both") as table:
        found = latencies(table, "context")
        ratios = [found[key] / _true_ms(key) for key in KEYS]
        assert max(ratios) / min(ratios) == pytest.approx(1.0)


def test_networks_measured_later_count_at_the_tables_speed(tmp_path: Path) -> None:
    drifted(tmp_path / "t", 1e9)
    later = Drifting(0.0)
    with LatencyTable(tmp_path / "t") as table:
        assert (
            at_median_speed(table.course(), later, [KEYS[:4]], 1)
            == [  # type: ignore[arg-type]
                pytest.approx(sum(map(_true_ms, KEYS[:4])))
            ]
        )


def test_a_calibration_whose_gain_is_noise_is_not_used() -> None:
    """Sums that are right but for noise: some strength of the ridge always looks a little better."""
    noise = (1.02, 0.98, 1.03, 0.97, 1.01, 0.99, 1.02, 0.99)
    networks = [(KEYS[: 3 + n % 4], each * sum(map(_true_ms, KEYS[: 3 + n % 4]))) for n, each in enumerate(noise)]
    found = calibrate(networks, _true_ms)
    assert not found.corrects
    assert "did not help on 8 networks" in str(found)
