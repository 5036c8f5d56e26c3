"""How often the search for the most accurate of timm's networks within a budget finds it, on published figures.

python benchmarks/bench_timm_budget.py FOLDER [--draws 50]

FOLDER holds timm's batch-1 results on processors, results/benchmark-infer-fp32-*-cpu-*.csv of its repository, as CSV or
gzipped. A draw is four fifths of a file's networks, chosen at random. The search's constants were chosen with these
files in sight. So it is tried on figures that nothing was chosen by, too: what an image takes in a batch that fills a
GPU, of the catalogue's throughputs. Those are no latencies of one image, but as little a sum of what is known of a
network; their budgets are times that a tenth, three tenths, half, ... of the networks keep.

The last lines say how sure the search was, every five measurements, and how often its best yet was the best. Ends with
1 unless the best is found in at least 97 % of all draws on processors, with a mean regret below 0.05 points and at most
65 measurements.
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
from dataclasses import dataclass
from pathlib import Path

from gpunet.zoo.timm_zoo.budget import MostAccurate
from gpunet.zoo.timm_zoo.predicted import Work
from gpunet.zoo.timm_zoo.tables import network_rows, throughput_rows

BUDGETS_MS = (5, 10, 20, 50, 100)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the networks that keep a budget
_LOOK_EVERY = 5
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


def image_times_ms() -> dict[str, dict[str, float]]:
    """What an image takes in a large batch, by GPU and runtime, and by architecture@px."""
    found: dict[str, dict[str, float]] = {}
    for row in throughput_rows():
        name = f"{row['architecture']}@{row['input_px']}"
        found.setdefault(f"{row['chip']} {row['runtime']}", {})[name] = 1000 / float(row["throughput_ips"])
    return found


@dataclass(frozen=True)
class Draw:
    """What a search in a part of the networks found.

    Args:
        regret: points of top-1 below the best.
        count: measurements.
        sure: every five measurements, how sure it was, and whether its best yet was the best.
    """

    regret: float
    count: int
    sure: list[tuple[float, bool]]


def draws(times_ms: dict[str, float], budget_ms: float, count: int, seed: str) -> Iterator[Draw]:
    """Searches in parts of the networks drawn at random."""
    able = {work.name: work for work in works().values() if work.name in times_ms}
    rng = random.Random(seed)
    for _ in range(count):
        some = [able[name] for name in rng.sample(sorted(able), len(able) * 4 // 5)]
        best = max((each.top1_percent for each in some if times_ms[each.name] <= budget_ms), default=0.0)
        search, asked, sure = MostAccurate(some, budget_ms), 0, []
        while (name := search.ask()) is not None:
            search.tell(name, times_ms[name])
            asked += 1
            if asked % _LOOK_EVERY == 0:
                sure.append((search.sureness(), _reached(search, able) == best))
        yield Draw(best - _reached(search, able), asked, sure)


def _reached(search: MostAccurate, able: dict[str, Work]) -> float:
    return 0.0 if search.best is None else able[search.best].top1_percent


def _said(where: str, found: list[Draw]) -> str:
    regrets, counts = [each.regret for each in found], [each.count for each in found]
    return (
        f"{where}: best found in {100 * regrets.count(0.0) / len(found):.1f} %, mean regret "
        f"{statistics.mean(regrets):.4f}, measurements {statistics.mean(counts):.0f}, at most {max(counts)}"
    )


def _calibration(found: list[Draw]) -> Iterator[str]:
    for tenth in range(10):
        held = [hit for each in found for sure, hit in each.sure if tenth <= 10 * sure < tenth + 1 + (tenth == 9)]
        if held:
            right = 100 * sum(held) / len(held)
            yield f"sure by {10 * tenth} to {10 * tenth + 10} %: right in {right:.0f} % of {len(held)}"


def main(arguments: list[str] | None = None) -> int:
    """Print a line a file and budget; returns 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds *cpu*.csv or *cpu*.csv.gz")
    parser.add_argument("--draws", type=int, default=50, metavar="N")
    given = parser.parse_args(arguments)
    latencies = {path.name: path for path in sorted(given.folder.glob("*cpu*.csv*"))}
    if not latencies:
        print(f"{given.folder} holds no *cpu*.csv.", file=sys.stderr)
        return 1
    on_processors: list[Draw] = []
    for name, path in latencies.items():
        times_ms = {"@".join(key): latency_ms for key, latency_ms in latencies_ms(path).items()}
        for budget_ms in BUDGETS_MS:
            found = list(draws(times_ms, budget_ms, given.draws, f"{name} {budget_ms}"))
            print(_said(f"{name} {budget_ms} ms", found), flush=True)
            on_processors += found
    unseen: list[Draw] = []
    for name, times_ms in image_times_ms().items():
        ordered = sorted(times_ms.values())
        for share in SHARES:
            image_ms = ordered[int(share * len(ordered))]
            found = list(draws(times_ms, image_ms, given.draws, f"{name} {share}"))
            print(_said(f"{name}, {image_ms:.3g} ms an image", found), flush=True)
            unseen += found
    print(_said("in all, on processors", on_processors))
    print(_said("in all, on figures that nothing was chosen by", unseen))
    print("\n".join(_calibration(on_processors + unseen)))
    share = [each.regret for each in on_processors].count(0.0) / len(on_processors)
    regret, most = statistics.mean(each.regret for each in on_processors), max(each.count for each in on_processors)
    return 0 if share >= 0.97 and regret < 0.05 and most <= 65 else 1


if __name__ == "__main__":
    sys.exit(main())
