"""A search at scale, a search whose workers are killed, and LA-MCTS against random search.

    python benchmarks/bench_search.py --simulate                # 300 workers, 1,000 trials that only wait: 14 minutes
    python benchmarks/bench_search.py --simulate --workers 30 --trials 100 --wait-s 60
    python benchmarks/bench_search.py --faults 10               # ten minutes of real trials, workers killed at random
    python benchmarks/bench_search.py --faults 10 --storage postgresql
    python benchmarks/bench_search.py --faults 1 --kills 30 --stops 10    # of three workers: some minutes
    python benchmarks/bench_search.py --compare --cache top1.json   # five seeds, every network trained for real once

Each prints its tables and a line that begins with PASS or FAIL; after a FAIL the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.errors import FAILED_EXIT_CODE, PREEMPTED_EXIT_CODE

# Of --simulate, --faults and --compare.
_DEFAULTS = {"workers": (300, 3, 0), "epochs": (10, 4, 2), "heartbeat_s": (30.0, 1.0, 0.0), "trials": (1000, 0, 60)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    modes = parser.add_mutually_exclusive_group(required=True)
    modes.add_argument("--simulate", action="store_true", help="many workers whose trials only wait")
    modes.add_argument("--faults", type=float, metavar="MINUTES", help="real trials, whose workers are killed")
    modes.add_argument("--compare", action="store_true", help="LA-MCTS against random search on networks trained once")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--workers", type=positive, metavar="N", help="(default: 300, or 3 for --faults)")
    parser.add_argument("--trials", type=positive, metavar="N", help="(default: 1000, or 60 a tier for --compare)")
    parser.add_argument("--epochs", type=positive, metavar="N", help="of a trial (default: 10, 4 or 2, by mode)")
    parser.add_argument(
        "--heartbeat-s", type=float, metavar="N", help="between signs of life (default: 30, or 1 for --faults)"
    )
    parser.add_argument("--optimizer", default="lamcts", metavar="NAME", help="of the study (default: lamcts)")
    scale = parser.add_argument_group("--simulate")
    scale.add_argument("--wait-s", type=float, default=170.0, metavar="N", help="of a trial (default: 170)")
    scale.add_argument("--processes", type=positive, metavar="N", help="(default: one for 25 workers, 12 at most)")
    scale.add_argument("--pruner", default="median", metavar="NAME", help="of the study (default: median)")
    scale.add_argument("--most-minutes", type=float, default=20.0, metavar="N", help="then give up (default: 20)")
    scale.add_argument("--proxy-before", default="", metavar="WORDS", help="before the proxy's command: a profiler's")
    soak = parser.add_argument_group("--faults")
    soak.add_argument("--storage", choices=("sqlite", "postgresql"), default="sqlite", help="(default: sqlite)")
    soak.add_argument(
        "--kill-s",
        type=float,
        nargs=2,
        default=(1.0, 5.0),
        metavar="N",
        help="of work between two kills, at least and at most (default: 1 5)",
    )
    soak.add_argument("--kills", type=int, default=0, metavar="N", help="at least (default: as the time allows)")
    soak.add_argument("--stops", type=int, default=0, metavar="N", help="workers asked to leave (default: 0)")
    soak.add_argument("--seed", type=int, default=0, metavar="N", help="of when which worker is killed (default: 0)")
    comparison = parser.add_argument_group("--compare")
    comparison.add_argument(
        "--cache", type=Path, metavar="FILE", help="keep the networks' accuracies, and go on from it"
    )
    comparison.add_argument("--seeds", type=positive, default=5, metavar="N", help="(default: 5)")
    comparison.add_argument("--jobs", type=positive, default=2, metavar="N", help="processes that train (default: 2)")
    args = parser.parse_args(arguments)
    mode = 0 if args.simulate else 1 if args.faults is not None else 2
    for name, by_mode in _DEFAULTS.items():
        if getattr(args, name) is None:
            setattr(args, name, by_mode[mode])
    before = signal.signal(signal.SIGTERM, _leave)  # servers are stopped on the way out
    try:
        body, faults = _mode(args)(args)
    finally:
        signal.signal(signal.SIGTERM, before)
    if args.out:
        write_text(args.out, json.dumps(_finite({**body, "faults": faults}), indent=1, allow_nan=False) + "\n")
    for fault in faults:
        print(f"FAIL: {fault}")
    if faults:
        raise SystemExit(FAILED_EXIT_CODE)


def _mode(args: argparse.Namespace) -> Callable[[argparse.Namespace], tuple[dict[str, Any], list[str]]]:
    if args.simulate:
        from search_benchmark.simulate import simulate

        return simulate
    if args.faults is not None:
        from search_benchmark.faults import soak

        return soak
    from search_benchmark.compare import compare

    return compare


def positive(text: str) -> int:
    """A whole number of 1 or more, of the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def _leave(*_: Any) -> NoReturn:
    sys.exit(PREEMPTED_EXIT_CODE)


def _finite(value: Any) -> Any:
    """With None for what is no number."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    console.run(main)
