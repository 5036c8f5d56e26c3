"""What a table says that its estimates are worth, and what it refuses by that."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from helpers.tables import CONDITIONS, KEYS, figures

from gpunet.errors import InvalidArgumentError
from gpunet.latency.records import NetworkLatency
from gpunet.latency.reference import Look, ReferencePoint
from gpunet.latency.table import LatencyTable
from gpunet.latency.worth import WholeNetwork, Worth, worth_of

ERRORS = (1.04, 0.96, 1.04, 0.96, 1.04, 0.96)
EXACT_TO_4_PERCENT = Worth(tuple(WholeNetwork(3, error, 1.0) for error in ERRORS))


def written(path: Path, errors: tuple[float, ...] = ERRORS, slow: float = 1.0) -> Path:
    """Layers of 1, 2, ... ms, networks of three that measure so much more, and a machine that slows down half way."""
    with LatencyTable(path, CONDITIONS) as table:
        for number, key in enumerate(KEYS):
            table.add(key, dataclasses.replace(figures(1.0 + number), at_s=float(number), builder="b"))
        for start, error in enumerate(errors):
            whole_ms = error * sum(1.0 + number for number in range(start, start + 3))
            table.add_network(KEYS[start : start + 3], NetworkLatency(whole_ms, whole_ms, 5, "2026-11-24T10:00:00Z"))
        looks = (Look(0.1 * factor, 10.0 * factor) for factor in (*[1.0] * 10, *[slow] * 10))
        table.add_reference(*(ReferencePoint(float(at_s), "b", look) for at_s, look in enumerate(looks)))
    return path


def test_a_table_says_its_error_on_networks_measured_whole(tmp_path: Path) -> None:
    with LatencyTable(written(tmp_path / "t")) as table:
        worth = worth_of(table)
    assert worth.error_percent == pytest.approx(4.0, abs=0.2)
    assert worth.tolerance_percent == pytest.approx(8.0, abs=0.4)
    assert [each.measured_ms for each in worth.networks][:2] == [pytest.approx(6.0 * 1.04), pytest.approx(9.0 * 0.96)]
    assert not worth.disturbed
    assert str(worth) == "estimates 6 networks within 4.0 % in the mean, not corrected, as that does not help"
    assert Worth.from_dict(worth.to_dict()) == worth


def test_a_table_of_too_few_networks_says_that_its_error_is_not_known(tmp_path: Path) -> None:
    with LatencyTable(written(tmp_path / "t", ERRORS[:3])) as table:
        worth = worth_of(table)
    assert worth.error_percent is worth.tolerance_percent is None
    assert "its error is not known: it holds fewer than four networks measured whole" in str(worth)
    worth.check_tier(1.0, 1.001)  # nothing is known against it


def test_a_table_that_was_disturbed_says_so(tmp_path: Path) -> None:
    with LatencyTable(written(tmp_path / "t", slow=1.3)) as table:
        worth = worth_of(table)
    assert worth.disturbed
    assert "disturbed: the machine's speed went by 30 % while it was measured, and 1 layers were measured" in str(worth)


@pytest.mark.parametrize(("low_ms", "high_ms"), [(1.0, 1.2), (0.0, 0.01), (1.0, None), (1.0, float("inf"))])
def test_tiers_that_are_wide_enough(low_ms: float, high_ms: float | None) -> None:
    EXACT_TO_4_PERCENT.check_tier(low_ms, high_ms)


def test_a_tier_narrower_than_the_error_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidArgumentError, match=r"from 1 to 1.05 ms is 5.0 % wide, but .* exact to 4.0 %") as caught:
        EXACT_TO_4_PERCENT.check_tier(1.0, 1.05)
    for way in ("Make it wider", "--effort 4", "allow_narrow"):
        assert way in str(caught.value.hint)
    EXACT_TO_4_PERCENT.check_tier(1.0, 1.05, allow_narrow=True)
