"""A report as a populated search leaves it: real networks of the paper's space, figures made up from their counts."""

from __future__ import annotations

import functools

import numpy as np

from gpunet.model.small import SMALL
from gpunet.model.spec import NetworkSpec
from gpunet.report.data import NetworkReport, Report, Sample, TierReport, TrialPoint
from gpunet.search.spaces.paper import PAPER_SPACE

BOUNDS_MS = (("fast", 0.4, 0.9), ("middle", 0.9, 1.4), ("accurate", 1.4, 2.4))
HOSTILE = "<script>alert('x')</script> & \"<b>\""


@functools.cache
def _drawn(count: int = 160) -> tuple[tuple[float, NetworkSpec], ...]:
    """Networks of the paper's space with a made-up latency in ms, which grows with their layers and their work."""
    found = []
    for vector in PAPER_SPACE.lattice().draw(count, np.random.default_rng(7)):
        spec = PAPER_SPACE.decode(vector)
        layers = sum(stage.layers for stage in spec.stages)
        found.append((0.016 * layers + 0.035 * spec.count_multiply_adds() / 1e9, spec))
    return tuple(sorted(found, key=lambda each: each[0]))


def example_report(chip: str = "gv100", board: str = "V100 32GB", *, trials: int = 60) -> Report:
    """Three tiers with a search and a random one each, a fourth that nobody has searched, and a winner each."""
    generator = np.random.default_rng(3)
    tiers, networks = [], []
    for number, (name, low_ms, high_ms) in enumerate(BOUNDS_MS):
        best = 76.5 + 2.8 * number
        points = []
        for trial in range(trials):
            estimated_ms = float(generator.uniform(low_ms, high_ms))
            reached = best - 9 * np.exp(-trial / 14) - abs(generator.normal(0, 1.3))
            state = "pruned" if trial % 11 == 5 else "fail" if trial % 23 == 9 else "complete"
            measured = estimated_ms * float(generator.normal(1.02, 0.03)) if trial % 6 == 0 else None
            top1 = round(float(reached), 2) if state == "complete" else None
            points.append(TrialPoint(trial, state, round(estimated_ms, 4), top1, measured))
        random = tuple(round(float(best - 3 - abs(generator.normal(0, 3.0))), 2) for _ in range(trials))
        sample_ms = np.array([latency for latency, _ in _drawn() if low_ms <= latency < high_ms])
        counts, edges = np.histogram(sample_ms, bins=10, range=(low_ms, high_ms))
        sample = Sample(41_250 * (number + 2) ** 2, tuple(edges.tolist()), tuple(counts.tolist()))
        tiers.append(TierReport(name, low_ms, high_ms, sample, tuple(points), random))
        estimated_ms, spec = max(each for each in _drawn() if each[0] < high_ms)
        measured_ms = estimated_ms * (1.03, 0.98, 1.06)[number]
        networks.append(NetworkReport(
            f"example-{name}", name, best + 3.1, round(estimated_ms, 4), round(measured_ms, 4), 0.004,
            spec.count_parameters(), spec.count_multiply_adds(), spec.to_dict(), "Fine-tuned for 300 epochs.",
        ))  # fmt: skip
    tiers.append(TierReport("huge", 2.4, None, Sample(12)))
    return Report(
        "GPUNet search on a V100", chip, board, "tensorrt", "10.3.0", "fp16", 1,
        "ImageNet-1k, trained for 30 epochs, scored on its validation images", "2026-01-31T12:00:00+00:00",
        tuple(tiers), tuple(networks), {"gpunet": "0.4.0", "torch": "2.6.0", "optuna": "4.2.0"},
    )  # fmt: skip


def small_network(name: str = "small", tier: str = "only", *, measured_ms: float | None = 1.5) -> NetworkReport:
    """The network that is trained where none is named, as the winner of a tier."""
    counts = SMALL.count_parameters(), SMALL.count_multiply_adds()
    return NetworkReport(name, tier, 97.5, 1.4, measured_ms, None, *counts, SMALL.to_dict())


def small_report(
    tiers: tuple[TierReport, ...] | None = None, networks: tuple[NetworkReport, ...] | None = None, **others: object
) -> Report:
    """A report of one tier and one network on a board that nobody has published figures for."""
    tier = TierReport("only", 1.0, 2.0, Sample(5, (1.0, 1.5, 2.0), (2, 3)), (TrialPoint(0, "complete", 1.4, 90.0),))
    said = {
        "title": "A small search", "chip": "local", "board": "a processor", "runtime": "openvino",
        "runtime_version": "2026.1", "precision": "fp32", "batch_size": 1, "data": "digits", "created": "2026-01-31",
        **others,
    }  # fmt: skip
    return Report(
        tiers=(tier,) if tiers is None else tiers, networks=(small_network(),) if networks is None else networks, **said
    )
