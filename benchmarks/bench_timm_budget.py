"""How often the search for the most accurate of timm's networks within a budget finds it, on published latencies.

python benchmarks/bench_timm_budget.py FOLDER [--draws 50]

FOLDER holds timm's batch-1 results on processors, results/benchmark-infer-fp32-*-cpu-*.csv of its repository, as CSV or
gzipped. A draw is four fifths of a file's networks, chosen at random. Ends with 1 unless the best is found in at least
97 % of all draws, with a mean regret below 0.05 points and at most 65 measurements.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import random
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from gpunet.zoo.timm_zoo.budget import MostAccurate
from gpunet.zoo.timm_zoo.predicted import Work
from gpunet.zoo.timm_zoo.searching import carry_out
from gpunet.zoo.timm_zoo.tables import network_rows

BUDGETS_MS = (5, 10, 20, 50, 100)
_COLUMNS = ("top1_percent", "multiply_adds_billions", "activations_millions", "parameters_millions")


def works() -> dict[tuple[str, str], Work]:
    """The catalogue's networks by architecture and input size, each with the accuracy of its best tag."""
    found: dict[tuple[str, str], Work] = {}
    for row in network_rows():
        key = (row["tag"].partition(".")[0], row["input_px"])
        made = Work("@".join(key), *(float(row[name]) for name in _COLUMNS))
        if key not in found or made.top1_percent > found[key].top1_percent:
            found[key] = made
    return found


def latencies_ms(path: Path) -> dict[tuple[str, str], float]:
    """A file's latencies of batch 1, by architecture and input size."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return {(row["model"], row["infer_img_size"]): float(row["infer_step_time"]) for row in rows}


def draws(path: Path, budget_ms: float, count: int) -> Iterator[tuple[float, int, float]]:
    """Of each draw the regret in points of top-1, the measurements, and the seconds of one run of each."""
    known = latencies_ms(path)
    able = {work.name: work for key, work in works().items() if key in known}
    measured_ms = {"@".join(key): latency_ms for key, latency_ms in known.items()}
    rng = random.Random(f"{path.name} {budget_ms}")
    for _ in range(count):
        some = [able[name] for name in rng.sample(sorted(able), len(able) * 4 // 5)]
        asked: list[str] = []

        def measure(name: str, asked: list[str] = asked) -> float:
            asked.append(name)
            return measured_ms[name]

        search = MostAccurate(some, budget_ms)
        carry_out(search, measure, shown=False)
        found = search.best
        best = max((each.top1_percent for each in some if measured_ms[each.name] <= budget_ms), default=0.0)
        reached = 0.0 if found is None else able[found].top1_percent
        yield best - reached, len(asked), sum(measured_ms[name] for name in asked) / 1000


def main(arguments: list[str] | None = None) -> int:
    """Print a line a file and budget; returns 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds *cpu*.csv or *cpu*.csv.gz")
    parser.add_argument("--draws", type=int, default=50, metavar="N")
    given = parser.parse_args(arguments)
    paths = sorted(path for path in given.folder.glob("*cpu*.csv*"))
    regrets: list[float] = []
    most = 0
    for path in paths:
        for budget_ms in BUDGETS_MS:
            found = list(draws(path, budget_ms, given.draws))
            here = [regret for regret, _, _ in found]
            counts = [count for _, count, _ in found]
            regrets, most = regrets + here, max(most, *counts)
            print(
                f"{path.name} {budget_ms} ms: best found in {100 * here.count(0.0) / len(here):.0f} %, mean regret "
                f"{statistics.mean(here):.3f}, measurements {statistics.mean(counts):.0f}, at most {max(counts)}"
            )
    if not regrets:
        print(f"{given.folder} holds no *cpu*.csv.", file=sys.stderr)
        return 1
    share, regret = regrets.count(0.0) / len(regrets), statistics.mean(regrets)
    print(f"in all: {100 * share:.1f} %, mean regret {regret:.4f}, at most {most} measurements")
    return 0 if share >= 0.97 and regret < 0.05 and most <= 65 else 1


if __name__ == "__main__":
    sys.exit(main())
