from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from estimates import paper_roofline, roofline_of
from spaces import SMALL_SPACE

from gpunet.errors import InvalidArgumentError
from gpunet.search import PAPER_SPACE, Strata, Tier
from gpunet.search.stratify import CHUNK, stratify

SMALL = roofline_of(SMALL_SPACE)
COUNT = 3 * CHUNK + 5


@pytest.fixture(scope="module")
def paper() -> Strata:
    return stratify(PAPER_SPACE, paper_roofline(), bounds_ms=(1, 2, 4), count=COUNT, reservoir=200)


def _by_hand(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors and estimates of the Sobol points, one network at a time where it matters."""
    unit = torch.quasirandom.SobolEngine(41, scramble=True, seed=0).draw(count, dtype=torch.float32).numpy()
    sizes = np.array([len(digit.values) for digit in PAPER_SPACE.digits], np.float32)
    vectors = np.floor(np.minimum(unit, np.float32(1 - 2**-24)) * sizes).astype(int)
    return vectors, Tier(PAPER_SPACE, paper_roofline(), 0, float("inf")).latency_ms(vectors)


def test_every_point_is_counted_in_its_tier(paper: Strata):
    vectors, latency_ms = _by_hand(COUNT)
    assert paper.counts == tuple(np.histogram(latency_ms, [0, 1, 2, 4, np.inf])[0])
    assert paper.range_ms == (latency_ms.min(), latency_ms.max())
    assert sum(paper.counts) == paper.count == COUNT
    for column, counts in enumerate(paper.coverage):
        choices = len(PAPER_SPACE.digits[column].values)
        for tier, (low, high) in enumerate([(0, 1), (1, 2), (2, 4), (4, np.inf)]):
            inside = (latency_ms >= low) & (latency_ms < high)
            assert counts[tier].tolist() == np.bincount(vectors[inside, column], minlength=choices).tolist()


def test_candidates_are_a_sample_of_the_tiers_points(paper: Strata):
    vectors, _ = _by_hand(COUNT)
    known = {row.tobytes() for row in PAPER_SPACE.canonical(vectors)}
    for tier, count in zip(paper.tiers, paper.counts, strict=True):
        assert 0 < len(tier.candidates) <= min(200, count)
        assert tier.contains(tier.candidates).all()
        assert all(row.tobytes() in known for row in tier.candidates)
    assert len(paper.tiers[1].candidates) == 200


def test_threads_do_not_change_what_is_found():
    one, many = (
        stratify(SMALL_SPACE, SMALL, bounds_ms=(0.05,), count=COUNT, reservoir=20, threads=threads)
        for threads in (1, 3)
    )
    assert one.to_dict() == many.to_dict()
    other = stratify(SMALL_SPACE, SMALL, bounds_ms=(0.05,), count=COUNT, reservoir=20, seed=1)
    assert other.to_dict()["candidates"] != one.to_dict()["candidates"]


def test_sobol_points_cover_each_digit_more_evenly_than_uniform_ones():
    even, random = (
        stratify(SMALL_SPACE, SMALL, bounds_ms=(1e9,), count=CHUNK, sampler=sampler) for sampler in ("sobol", "uniform")
    )
    assert even.sampler == "sobol"

    def spread(strata: Strata) -> float:
        return sum(np.square(each.sum(0) / CHUNK - 1 / each.shape[1]).sum() for each in strata.coverage)

    assert spread(even) < spread(random) / 20


def test_a_stratum_reads_as_text(paper: Strata):
    lines = str(paper).splitlines()
    assert lines[0].startswith(f"{COUNT:,} sobol points, ")
    assert [line.split(":")[0] for line in lines[1:]] == ["below 1 ms", "1 to 2 ms", "2 to 4 ms", "4 ms or more"]


def test_json_gives_the_strata_back(paper: Strata):
    data = json.loads(json.dumps(paper.to_dict(), allow_nan=False))
    again = Strata.from_dict(data, paper_roofline())
    assert again.to_dict() == data
    assert [tier.label for tier in again.tiers] == [tier.label for tier in paper.tiers]
    assert Strata.from_dict({**data, "space": {"space": "mine"}}, paper_roofline(), PAPER_SPACE).space is PAPER_SPACE
    with pytest.raises(InvalidArgumentError, match="strata_version must be 1, but is 3"):
        Strata.from_dict({**data, "strata_version": 3}, paper_roofline())
    with pytest.raises(InvalidArgumentError, match=r"strata_version 1 has space, bounds_ms, .*, but counts is missing"):
        Strata.from_dict({name: value for name, value in data.items() if name != "counts"}, paper_roofline())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bounds_ms": ()}, "bounds must be numbers of milliseconds from 0 up, but are"),
        ({"bounds_ms": (1.0, 0.5)}, "bounds in ms must rise, but are 1, 0.5"),
        ({"bounds_ms": (0.0, 0.5)}, "the first bound must lie above 0 ms, but the bounds are"),
        ({"sampler": "halton"}, "sampler must be one of sobol, uniform, but got 'halton'"),
        ({"count": 0}, "count must be 1 to 1,073,741,823, but got 0"),
        ({"count": 1 << 30}, "count must be 1 to 1,073,741,823"),
        ({"reservoir": 0}, "reservoir must be 1 to"),
        ({"threads": 0}, "threads must be 1 to 1,024, but got 0"),
    ],
)
def test_arguments_that_break_a_rule_are_refused(arguments: dict[str, object], text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        stratify(SMALL_SPACE, SMALL, **arguments)


def test_an_estimator_of_another_space_is_refused():
    with pytest.raises(InvalidArgumentError, match="the estimator is of another space"):
        stratify(PAPER_SPACE, SMALL)
