"""kill -9 where it hurts: nothing lost, nothing left over, nothing doubled.

    python benchmarks/bench_kill.py publish                  # replaced 100 times, killed before every change to a file
    python benchmarks/bench_kill.py download                 # weights, fetched and converted in five ways: 6 minutes
    python benchmarks/bench_kill.py stages --kills 20        # populate's winners, publish and report: an hour
    python benchmarks/bench_kill.py stages --begun FOLDER    # of a run of --preset demo-small whose searches are done
    python benchmarks/bench_kill.py training --kills 20      # a run with loader processes: the same weights in the end
    python benchmarks/bench_kill.py orphans                  # workers of a dead parent are gone within 5 s
    python benchmarks/bench_search.py --faults 1 --kills 30 --stops 10   # workers that share a study

Each prints a table of counts; where something is not as if nothing had happened, the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from kill_benchmark.counts import Counts

from gpunet.core import console
from gpunet.core.files import write_text

_PARTS = ("publish", "download", "stages", "training", "orphans")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=_PARTS, nargs="*", default=[*_PARTS], help="(default: all)")
    parser.add_argument(
        "--kills", type=int, metavar="N", help="of each part (default: 100, or 20 of a stage or a training)"
    )
    parser.add_argument("--begun", type=Path, metavar="DIR", help="of a run of populate whose searches are done")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of when is killed (default: 0)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write the counts as JSON")
    args = parser.parse_args(arguments)
    found: list[Counts] = []
    if "publish" in args.part:
        from kill_benchmark.publishing import publishing

        found += [publishing(args.kills or 100, swaps=swaps) for swaps in (True, False)]
    if "download" in args.part:
        from kill_benchmark.downloading import downloading

        found += downloading(args.kills or 100)
    if "stages" in args.part:
        from kill_benchmark.stages import stages

        found += stages(args.kills or 20, args.begun, args.seed)
    if "training" in args.part:
        from kill_benchmark.training import training

        found.append(training(args.kills or 20, args.seed))
    if "orphans" in args.part:
        from kill_benchmark.orphans import orphans

        found += orphans()
    print(console.table(["part", "killed>", "lost>", "left over>", "doubled>", ""], [each.row() for each in found]))
    if args.out:
        write_text(args.out, json.dumps([each.to_dict() for each in found], indent=1) + "\n")
    for each in found:
        for fault in each.faults:
            print(f"FAIL: {each.part}: {fault}")
    if not all(each.passed for each in found):
        raise SystemExit(1)


if __name__ == "__main__":
    console.run(main)
