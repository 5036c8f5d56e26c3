from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from helpers.estimates import paper_roofline, roofline_of
from helpers.spaces import SMALL_SPACE

from gpunet.errors import InvalidArgumentError
from gpunet.search import PAPER_SPACE, Strata, Tier
from gpunet.search.tiers.stratify import CHUNK, stratify

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
    with pytest.raises(InvalidArgumentError, match="strata_version: 3 is not 1"):
        Strata.from_dict({**data, "strata_version": 3}, paper_roofline())
    with pytest.raises(InvalidArgumentError, match=r"counts: missing\nA stratification has space, bounds_ms, "):
        Strata.from_dict({name: value for name, value in data.items() if name != "counts"}, paper_roofline())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bounds_ms": ()}, r"bounds must be a list of numbers of ms from 0 up, but are \(\)"),
        ({"bounds_ms": 0.5}, "bounds must be a list of numbers of ms from 0 up, but are 0.5"),
        ({"bounds_ms": np.array(0.5)}, "bounds must be a list of numbers of ms from 0 up, but are 0.5"),
        ({"bounds_ms": "12"}, "bounds must be a list of numbers of ms from 0 up, but are '12'"),
        ({"bounds_ms": (1.0, 0.5)}, "bounds in ms must rise, but are 1, 0.5"),
        ({"bounds_ms": (0.0, 0.5)}, "must lie above 0 ms and be finite, but are 0, 0.5.\n.*leave 0 and inf out"),
        ({"bounds_ms": (0.05, np.inf), "count": 1 << 29}, "must lie above 0 ms and be finite, but are 0.05, inf"),
        ({"sampler": "halton"}, "sampler must be one of sobol, uniform, but got 'halton'"),
        ({"sampler": None}, "sampler must be one of sobol, uniform, but got None"),
        ({"count": 0}, "count must be an integer from 1 to 1,073,741,823, but got 0"),
        ({"count": 1 << 30}, "count must be an integer from 1 to 1,073,741,823"),
        ({"count": 1.5}, "count must be an integer from 1 to .*, but got 1.5"),
        ({"count": "5"}, "count must be an integer from 1 to .*, but got '5'"),
        ({"seed": -1}, "seed must be an integer from 0 to 9,223,372,036,854,775,807, but got -1"),
        ({"seed": None}, "seed must be an integer from 0 to .*, but got None"),
        ({"reservoir": 0}, "reservoir must be an integer from 1 to"),
        ({"reservoir": None}, "reservoir must be an integer from 1 to .*, but got None"),
        ({"threads": 0}, "threads must be an integer from 1 to 1,024, but got 0"),
    ],
)
def test_arguments_that_break_a_rule_are_refused(arguments: dict[str, object], text: str):
    with pytest.raises(InvalidArgumentError, match=text):
        stratify(SMALL_SPACE, SMALL, **arguments)


@pytest.mark.parametrize("bounds_ms", [np.array([1, 2]), np.array([1, 2], np.float32), (np.float32(1), np.int64(2))])
def test_numpys_numbers_are_numbers(bounds_ms: object):
    strata = stratify(SMALL_SPACE, SMALL, bounds_ms=bounds_ms, count=np.int64(100), seed=np.int64(1))
    assert strata.bounds_ms == (1.0, 2.0)
    assert json.loads(json.dumps(strata.to_dict()))["seed"] == 1


def test_the_greatest_seed_is_taken():
    assert stratify(SMALL_SPACE, SMALL, count=10, seed=(1 << 63) - 1).count == 10


def test_candidates_stand_in_random_order():
    strata = stratify(SMALL_SPACE, SMALL, bounds_ms=(1e9,), count=CHUNK, reservoir=100)
    assert len(set(strata.tiers[0].candidates[:12, 0].tolist())) > 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bounds_ms": None}, "bounds must be a list of numbers of ms from 0 up, but are None"),
        ({"bounds_ms": [0.1, float("inf")]}, "must lie above 0 ms and be finite"),
        ({"candidates": [[]]}, r"candidates must be a list of 2, but is \[\[\]\]"),
        ({"candidates": None}, "candidates must be a list of 2, but is None"),
        ({"candidates": [[[0, 0]], []]}, r"candidates must be an array of n x \d+, but its shape is \(1, 2\)"),
        ({"counts": [1]}, r"counts must be a list of 2, but is \[1\]"),
        ({"counts": [1, "a"]}, "counts must be an integer of 0 or more, but got 'a'"),
        ({"range_ms": 3}, "range_ms must be a list of 2, but is 3"),
        ({"range_ms": [1, None]}, "range_ms must be numbers of ms from 0 up, but got None"),
        ({"coverage": []}, r"coverage must be a list of \d+, but is \[\]"),
        ({"count": 1.5}, "count must be an integer from 1 to"),
        ({"seed": None}, "seed must be an integer from 0 to"),
        ({"sampler": "halton"}, "sampler must be one of sobol, uniform, but got 'halton'"),
    ],
)
def test_a_dict_that_is_no_stratification_is_refused(change: dict[str, object], text: str):
    data = stratify(SMALL_SPACE, SMALL, bounds_ms=(0.1,), count=100).to_dict()
    with pytest.raises(InvalidArgumentError, match=text):
        Strata.from_dict({**data, **change}, SMALL)


def test_counts_of_choices_of_another_shape_are_refused():
    data = stratify(SMALL_SPACE, SMALL, bounds_ms=(0.1,), count=100).to_dict()
    text = r"coverage of resolution_px must be 2 x 3 integers, but has type int64 and shape \(1, 3\)"
    with pytest.raises(InvalidArgumentError, match=text):
        Strata.from_dict({**data, "coverage": [[[1, 2, 3]], *data["coverage"][1:]]}, SMALL)


def test_an_estimator_of_another_space_is_refused():
    with pytest.raises(InvalidArgumentError, match="the estimator is of another space"):
        stratify(PAPER_SPACE, SMALL)
