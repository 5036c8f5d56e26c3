from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import TESTS
from helpers.tables import CONDITIONS, KEYS, CountingMeter, conv_key, figures

from gpunet.errors import ExportError, InvalidArgumentError, RuntimeUnavailableError, TableError
from gpunet.latency.build import EFFORTS, BuildProgress, build, in_shard, parse_shard
from gpunet.latency.layers.keys import LayerKey
from gpunet.latency.records import LayerLatency
from gpunet.latency.table import LatencyTable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "table.sqlite"


def test_only_what_is_missing_is_measured_each_once(path: Path):
    meter = CountingMeter()
    with LatencyTable(path, CONDITIONS) as table:
        table.add(KEYS[3], figures(1.0))
        done = build(table, [*KEYS, *KEYS], meter)
        assert (done.done, done.total, done.measured, done.failed) == (20, 20, 19, 0)
        assert sorted(k.text for k in meter.asked) == sorted(k.text for k in KEYS if k != KEYS[3])
        assert len(table) == 20
        again = build(table, KEYS, meter)
        assert (again.measured, again.done) == (0, 20)
    assert len(meter.asked) == 19


def test_the_order_is_random_and_the_seed_fixes_it(path: Path, tmp_path: Path):
    orders = []
    for number, seed in enumerate((1, 1, 2)):
        meter = CountingMeter()
        with LatencyTable(tmp_path / f"{number}.sqlite", CONDITIONS) as table:
            build(table, KEYS, meter, seed=seed)
        orders.append(meter.asked)
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != KEYS


def test_time_goes_to_the_layers_that_networks_have_most_of(path: Path):
    meter = CountingMeter()
    counts = {key: 1.0 if number < 2 else 0.01 for number, key in enumerate(KEYS[:-1])}  # of the last nothing is known
    with LatencyTable(path, CONDITIONS) as table:
        build(table, KEYS, meter, counts=counts)
    often, seldom = meter.efforts[KEYS[0]], meter.efforts[KEYS[5]]
    assert often == EFFORTS[1]
    assert seldom == pytest.approx(0.1 / ((2 + 17 * 0.1) / 19))
    assert meter.efforts[KEYS[-1]] == 1.0
    again = CountingMeter()
    with LatencyTable(path.with_name("other"), CONDITIONS) as table:
        build(table, KEYS, again)
    assert set(again.efforts.values()) == {1.0}


def test_shards_share_all_keys_out(path: Path):
    shards = [in_shard(KEYS, (number, 3)) for number in (1, 2, 3)]
    assert sorted(key.text for shard in shards for key in shard) == sorted(key.text for key in KEYS)
    assert all(shards)
    meter = CountingMeter()
    with LatencyTable(path, CONDITIONS) as table:
        done = build(table, KEYS, meter, shard=(2, 3))
    assert {key.text for key in meter.asked} == {key.text for key in shards[1]}
    assert done.total == len(shards[1])


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int]):
    with pytest.raises(InvalidArgumentError, match="1 <= i <= n must hold"):
        in_shard(KEYS, shard)


def test_shards_are_written_i_of_n():
    assert parse_shard("2/8") == (2, 8)
    for text in ("2", "a/b", "2/", "-1/2", "²/8"):
        with pytest.raises(InvalidArgumentError, match="a shard is written i/n"):
            parse_shard(text)
    with pytest.raises(InvalidArgumentError, match="1 <= i <= n must hold"):
        parse_shard("9/8")


def test_progress_tells_rate_and_time_left(path: Path):
    now_s = [0.0]

    def clock() -> float:
        now_s[0] += 0.25
        return now_s[0]

    seen: list[BuildProgress] = []
    with LatencyTable(path, CONDITIONS) as table:
        build(table, KEYS, CountingMeter(), on_progress=seen.append, clock=clock)
    assert [each.done for each in seen] == list(range(21))
    assert seen[0].remaining_s is None
    assert seen[0].layers_per_s == 0
    assert seen[10].layers_per_s == pytest.approx(10 / seen[10].elapsed_s)
    assert seen[10].remaining_s == pytest.approx(10 / seen[10].layers_per_s)
    assert seen[-1].remaining_s == 0


def test_limits_end_a_build_and_give_its_claims_back(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        assert build(table, KEYS, CountingMeter(), max_layers=5).measured == 5
        now_s = iter(range(1000))
        assert 0 < build(table, KEYS, CountingMeter(), max_time_s=6, clock=lambda: float(next(now_s))).measured < 10
        assert table._db.execute("SELECT count(*) FROM claims").fetchone()[0] == 0
        build(table, KEYS, CountingMeter())
        assert len(table) == 20


class Refusing(CountingMeter):
    """Refuses some keys, as a runtime without a kernel does."""

    def __init__(self, refused: set[LayerKey], error: Exception) -> None:
        super().__init__()
        self.refused, self.error = refused, error

    def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
        found = super().layer(key, lone=lone)
        if key in self.refused:
            raise self.error
        return found


def test_a_layer_that_fails_is_noted_and_tried_again_by_every_build(path: Path):
    meter = Refusing({KEYS[7]}, ExportError("no kernel for this"))
    with LatencyTable(path, CONDITIONS) as table:
        first = build(table, KEYS, meter)
        assert (first.done, first.measured, first.failed) == (19, 19, 1)
        for _ in range(3):
            again = build(table, KEYS, meter)
            assert (again.done, again.measured, again.failed) == (19, 0, 1)
        assert table.failures() == {KEYS[7].text: ("no kernel for this", 4)}
        mended = build(table, KEYS, CountingMeter())
        assert (mended.done, mended.measured, table.failures()) == (20, 1, {})


def test_layers_known_in_context_only_are_measured_alone_too_when_asked(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        table.add(KEYS[0], dataclasses.replace(figures(1.0), lone_ms=None))
        table.add(KEYS[1], figures(1.0))
        assert build(table, KEYS[:2], CountingMeter()).measured == 0
        meter = CountingMeter()
        assert build(table, KEYS[:2], meter, lone=True).measured == 1
        assert meter.asked == [KEYS[0]]
        assert table.missing(KEYS[:3]) == [KEYS[2]]
        assert table.missing(KEYS[:3], lone=True) == [KEYS[2]]


def test_claims_are_renewed_while_layers_take_long(path: Path):
    now_s = [1000.0]

    class Slow(CountingMeter):
        def layer(self, key: LayerKey, *, lone: bool = False, effort: float = 1.0) -> LayerLatency:
            now_s[0] += 100.0
            with LatencyTable(path, CONDITIONS, clock=lambda: now_s[0]) as other:
                assert other.claim(KEYS[:8], "other", 8) == []
            return super().layer(key, lone=lone)

    with LatencyTable(path, CONDITIONS, clock=lambda: now_s[0]) as table:
        assert build(table, KEYS[:8], Slow()).measured == 8


def test_when_every_layer_fails_the_build_ends_with_the_reason(path: Path):
    meter = Refusing(set(KEYS), ExportError("the runtime is broken"))
    with LatencyTable(path, CONDITIONS) as table, pytest.raises(RuntimeUnavailableError, match="the runtime is broken"):
        build(table, KEYS, meter)


def test_a_full_disk_ends_the_build_and_keeps_what_was_measured(path: Path):
    with LatencyTable(path, CONDITIONS) as table:
        build(table, KEYS, CountingMeter(), max_layers=3)
        missing = table.missing(KEYS)
    meter = Refusing({missing[9]}, TableError("database or disk is full"))
    with LatencyTable(path, CONDITIONS) as table, pytest.raises(TableError, match="disk is full"):
        build(table, KEYS, meter)
    with LatencyTable(path) as table:
        assert len(table) >= 3
        assert table.failures() == {}


def test_a_bug_of_ours_is_no_failure_of_the_layer(path: Path):
    meter = Refusing({KEYS[0]}, ZeroDivisionError("a bug"))
    with LatencyTable(path, CONDITIONS) as table, pytest.raises(ZeroDivisionError, match="a bug"):
        build(table, KEYS, meter)
    with LatencyTable(path) as table:
        assert table.failures() == {}


def test_two_builders_share_one_table_without_measuring_anything_twice(path: Path):
    LatencyTable(path, CONDITIONS).close()
    meters = [CountingMeter(), CountingMeter()]

    def work(meter: CountingMeter) -> None:
        with LatencyTable(path, CONDITIONS) as table:
            build(table, [*KEYS, *MORE], meter)

    threads = [threading.Thread(target=work, args=(meter,)) for meter in meters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = [key.text for meter in meters for key in meter.asked]
    assert sorted(asked) == sorted(key.text for key in [*KEYS, *MORE])


MORE = [conv_key(number) for number in range(20, 200)]

_ENDLESS = """
import sys
sys.path.insert(0, {folder!r})
from helpers.tables import CONDITIONS, CountingMeter, conv_key
from gpunet.latency.build import build
from gpunet.latency.table import LatencyTable
def told(progress):
    print(progress.measured, flush=True)
with LatencyTable({path!r}, CONDITIONS) as table:
    build(table, [conv_key(number) for number in range(100_000)], CountingMeter(), on_progress=told)
"""


def test_kill_9_in_the_middle_of_a_build_loses_no_finished_layer(path: Path):
    code = _ENDLESS.format(folder=str(TESTS), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        told = 0
        while told < 50:
            told = int(builder.stdout.readline())
        builder.kill()
        told = int([str(told), *builder.stdout.read().splitlines()][-1])
    with LatencyTable(path, CONDITIONS) as table:
        assert len(table) >= told
        assert table.check() == []
        assert table.claimants()
        wanted = [conv_key(number) for number in range(100_000)]
        claimed = table._db.execute("SELECT key FROM claims").fetchall()
        left = [key for key in wanted if (key.text,) in set(claimed)]
        assert build(table, left, CountingMeter()).measured == len(left) > 0  # the claims of one that is gone are void
