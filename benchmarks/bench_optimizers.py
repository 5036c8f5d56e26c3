"""gpunet's LA-MCTS against other optimisers, with the same seeds and budgets.

    python benchmarks/bench_optimizers.py --json optimizers.json --plot optimizers.png      # hours; can be interrupted
    python benchmarks/bench_optimizers.py --functions ackley levy --seeds 3 --budget 60 --optimizers lamcts tpe
    python benchmarks/bench_optimizers.py --functions --nas-bench-macro nas_bench_macro.json.gz --tiers 4

Every finished run is kept in --json at once, and runs that are there already are not repeated: the same command goes on
where it was stopped, and with --jobs two commands must not share a file. Test functions are minimised and shifted at
random (optimizer_benchmark/problems.py), by a seed of the run, the same for all optimisers. NAS-Bench-Macro (Su et
al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021) has the accuracies of 6,561 networks;
its tiers are parts of equal size by FLOPs.

"significantly" is a two-sided Mann-Whitney test at 5 %. Ranks are of the final regret among all optimisers that ran a
function and seed; their interval is the 95 % bootstrap over functions and seeds.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import gzip
import itertools
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optimizer_benchmark.problems import FUNCTIONS, ShiftedFunction
from optimizer_benchmark.rivals import BOX_ONLY, OPTIMIZERS, WHOLE_ONLY
from optimizer_benchmark.standings import NAS_BUDGETS, Key, draw, report

from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.core.pictures import checked_picture
from gpunet.errors import InvalidArgumentError
from gpunet.search import (
    Domain,
    Lattice,
    Pool,
)

Evaluate = Callable[[np.ndarray], float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--functions", nargs="*", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    parser.add_argument("--dimensions", type=positive, nargs="+", default=[20])
    parser.add_argument("--budget", type=positive, default=150, help="evaluations a run (default: 150)")
    parser.add_argument("--seeds", type=positive, default=10, help="runs of each (default: 10)")
    parser.add_argument("--first-seed", type=int, default=0, help="others than the default to tune on")
    parser.add_argument("--optimizers", nargs="+", choices=list(OPTIMIZERS), default=list(OPTIMIZERS))
    parser.add_argument("--nas-bench-macro", type=Path, metavar="FILE", help="its JSON, plain or gzipped")
    parser.add_argument("--tiers", type=positive, default=4, help="FLOPs tiers of NAS-Bench-Macro (default: 4)")
    parser.add_argument("--jobs", type=positive, default=1, help="runs at a time, one thread each (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every run in FILE, and go on from it")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw regret into FILE (.png, .svg, .pdf)")
    args = parser.parse_args(arguments)
    for name, size in itertools.product(args.functions, args.dimensions):
        ShiftedFunction(name, size, 0)  # refuses now what it would refuse after hours
    if args.plot:
        checked_picture(args.plot, "--plot")

    nas = read_nas_bench(args.nas_bench_macro) if args.nas_bench_macro else {}
    budgets = {f"{name}-{size}": args.budget for size in args.dimensions for name in args.functions}
    budgets |= dict.fromkeys(nas_problems(args.tiers) if nas else (), max(NAS_BUDGETS))
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    runs: dict[str, dict[str, Any]] = {}
    if args.json and args.json.exists():
        runs = read_runs(args.json)
    wanted = [
        (problem, optimizer, seed)
        for seed in seeds
        for problem in budgets
        for optimizer in args.optimizers
        if not (problem.startswith("nas") and optimizer in BOX_ONLY)
        and not ("tier" in problem and optimizer in WHOLE_ONLY)
    ]
    missing = [key for key in wanted if len(runs.get(_name(key), {}).get("regret", ())) < budgets[key[0]]]
    for key, result in all_of(missing, budgets, nas, args.tiers, args.jobs):
        runs[_name(key)] = result
        if args.json:
            write_text(args.json, json.dumps({"versions": versions(), "runs": runs}) + "\n")
        console.note(f"{_name(key)}: {min(result['regret']):.4g}")
    kept = {key: cut(runs[_name(key)], budgets[key[0]]) for key in wanted}
    report(kept, budgets)
    if args.plot:
        draw(args.plot, kept, budgets)


def positive(text: str) -> int:
    """A whole number of 1 or more, of the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def read_runs(path: Path) -> dict[str, dict[str, Any]]:
    """The runs that a file of --json holds; says so where they are of other versions.

    Raises:
        InvalidArgumentError: it is none.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        runs, before = kept["runs"], kept["versions"]
    except (ValueError, KeyError, TypeError):
        raise InvalidArgumentError(
            f"--json must be a file that this command wrote, but {path} is none.", "Name one that does not exist yet."
        ) from None
    others = [f"{name} {then}" for name, then in before.items() if versions().get(name) != then]
    if others:
        console.note(f"{path} has runs with {', '.join(others)}; they are not repeated with what is installed now")
    return runs


def cut(run: Mapping[str, Any], budget: int) -> dict[str, Any]:
    """A run as if it had ended after so many evaluations, so that all are compared at one budget."""
    return {**run, **{name: run[name][:budget] for name in ("regret", "proposal_cpu_s")}}


def _name(key: Key) -> str:
    return "/".join(map(str, key))


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    import importlib.metadata

    names = ("gpunet", "botorch", "optuna", "cmaes", "scikit-learn", "torch", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


# ----------------------------------------------------------------------- runs


def all_of(
    keys: Sequence[Key], budgets: Mapping[str, int], nas: Mapping[str, Any], tiers: int, jobs: int
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Every run in a process of its own, so that its memory is its own, as each ends."""
    if not keys:
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(keys))
    with concurrent.futures.ThreadPoolExecutor(jobs) as threads:
        futures = {}

        def start() -> None:
            if waiting:
                key = waiting.pop()
                futures[threads.submit(_in_process, context, key, budgets[key[0]], nas, tiers)] = key

        for _ in range(jobs):
            start()
        while futures:
            done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                key = futures.pop(future)
                start()
                yield key, future.result()


def _in_process(context: Any, key: Key, budget: int, nas: Mapping[str, Any], tiers: int) -> dict[str, Any]:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_run, args=(theirs, key, budget, nas, tiers))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise SystemExit(f"{_name(key)} failed; its traceback stands above") from None
    finally:
        process.join()


def _send_run(pipe: Any, key: Key, budget: int, nas: Mapping[str, Any], tiers: int) -> None:
    pipe.send(run(key, budget, nas, tiers))
    pipe.close()


def run(key: Key, budget: int, nas: Mapping[str, Any], tiers: int) -> dict[str, Any]:
    """One run: the regret of each evaluation, CPU seconds of each proposal, and the memory that it took."""
    import warnings

    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, optimizer, seed = key
    domain, evaluate = problem_of(name, seed, nas, tiers)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asked = OPTIMIZERS[optimizer](domain, seed)
    regret, cpu_s = [], []
    for _ in range(budget):
        started_s = time.process_time()
        point = asked.ask()[0]
        cpu_s.append(time.process_time() - started_s)
        value = evaluate(point)
        started_s = time.process_time()
        asked.tell(point, value)
        cpu_s[-1] += time.process_time() - started_s
        regret.append(value)
    memory_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    return {"regret": regret, "proposal_cpu_s": [round(each, 4) for each in cpu_s], "memory_mib": round(memory_mib, 1)}


# ------------------------------------------------------------------- problems


def read_nas_bench(path: Path) -> dict[str, tuple[float, float]]:
    """FLOPs and mean accuracy in percent of each network, by its digits.

    Raises:
        InvalidArgumentError: there is no such file.
    """
    if not path.is_file():
        raise InvalidArgumentError(f"There is no file {path}.", "--nas-bench-macro takes NAS-Bench-Macro's JSON.")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        return {digits: (entry["flops"], entry["mean_acc"]) for digits, entry in json.load(file).items()}


def nas_problems(tiers: int) -> list[str]:
    """The whole of NAS-Bench-Macro, and its tiers."""
    return ["nas", *(f"nas-tier{number}" for number in range(tiers))]


def problem_of(name: str, seed: int, nas: Mapping[str, Any], tiers: int) -> tuple[Domain, Evaluate]:
    """A problem's domain and the regret of a point in it."""
    if not name.startswith("nas"):
        function, _, dimensions = name.rpartition("-")
        shifted = ShiftedFunction(function, int(dimensions), seed)
        return shifted.domain, shifted
    ordered = sorted(nas, key=lambda digits: nas[digits])
    if name != "nas":
        number = int(name.removeprefix("nas-tier"))
        ordered = ordered[number * len(nas) // tiers : (number + 1) * len(nas) // tiers]
    best = max(nas[digits][1] for digits in ordered)
    points = np.array([[int(digit) for digit in digits] for digits in ordered])
    domain = Lattice([3] * points.shape[1]) if name == "nas" else Pool(points)
    return domain, lambda point: best - nas["".join(str(int(digit)) for digit in point)][1]


if __name__ == "__main__":
    console.run(main)
