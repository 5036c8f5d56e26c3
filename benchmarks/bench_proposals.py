"""What a proposal of LaMcts costs in 41 dimensions: CPU seconds of one thread, the best of some tries.

    python benchmarks/bench_proposals.py
    python benchmarks/bench_proposals.py --check     # exit 1 where one costs more than it may

A proposal at 200 and at 1,000 observations, and a batch of 300 with the points under way taken into account; in a box,
on a lattice of ordered digits and on one of categories.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch

from gpunet.core import console
from gpunet.search import Box, Domain, LaMcts, Lattice

DIMENSIONS = 41
LIMITS_S = {200: 1.0, 1000: 5.0}
BATCH, BATCH_LIMIT_S = 300, 10.0
DOMAINS: dict[str, Domain] = {
    "box": Box(np.zeros(DIMENSIONS), np.ones(DIMENSIONS)),
    "lattice": Lattice([6] * DIMENSIONS),
    "categories": Lattice([4] * DIMENSIONS, categorical=[True] * DIMENSIONS),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tries", type=int, default=3, metavar="N", help="of each single proposal (default: 3)")
    parser.add_argument("--check", action="store_true", help="exit 1 where a proposal costs more than it may")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows, missed = [], []
    for name, domain in DOMAINS.items():
        for told, limit_s in LIMITS_S.items():
            found = costs_s(domain, told, max(1, args.tries))
            for what, took_s, most_s in (("one", found[0], limit_s), (f"batch of {BATCH}", found[1], BATCH_LIMIT_S)):
                rows.append((name, told, what, f"{took_s:.2f}", f"{most_s:g}"))
                if took_s > most_s:
                    missed.append(f"{name}, {told} observations, {what}: {took_s:.2f} s")
    print(console.table(["domain", "observations>", "proposal", "CPU s>", "limit s>"], rows))
    for each in missed:
        print(f"MISSED: {each}")
    if args.check and missed:
        raise SystemExit(1)


def costs_s(domain: Domain, told: int, tries: int) -> tuple[float, float]:
    """CPU seconds of one proposal, the best of `tries`, and of a batch, after `told` observations of a bowl."""
    best = domain.encode(domain.draw(1, np.random.default_rng(9)))
    optimizer = LaMcts(domain, seed=0)
    for point in domain.draw(told, np.random.default_rng(1)):
        optimizer.tell(point, -float(np.square(domain.encode(point[None]) - best).sum()))
    optimizer.ask()  # imports, and a first fit from nothing
    single = []
    for _ in range(tries):
        optimizer.tell(optimizer.pending[0], 0.0)
        single.append(_cpu_s(optimizer, 1))
    return min(single), _cpu_s(optimizer, BATCH)


def _cpu_s(optimizer: LaMcts, count: int) -> float:
    started_s = time.process_time()
    optimizer.ask(count)
    return time.process_time() - started_s


if __name__ == "__main__":
    console.run(main)
