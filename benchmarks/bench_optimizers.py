"""gpunet's LA-MCTS against other optimisers, with the same seeds and budgets.

    python benchmarks/bench_optimizers.py --json optimizers.json --plot optimizers.png      # hours; can be interrupted
    python benchmarks/bench_optimizers.py --functions ackley levy --seeds 3 --budget 60 --optimizers lamcts tpe
    python benchmarks/bench_optimizers.py --functions --nas-bench-macro nas_bench_macro.json.gz --tiers 4
    python benchmarks/bench_optimizers.py --functions --paper saturation hidden fitted --optimizers lamcts gp_bo
    python benchmarks/bench_optimizers.py --functions --timm --held-out networks.csv --tiers 2

Every finished run is kept in --json at once, and runs that are there already are not repeated: the same command goes on
where it was stopped, and with --jobs two commands must not share a file. Test functions are minimised and shifted at
random (optimizer_benchmark/problems.py), by a seed of the run, the same for all optimisers. NAS-Bench-Macro (Su et
al., "Prioritized Architecture Sampling with Monto-Carlo Tree Search", CVPR 2021) has the accuracies of 6,561 networks;
its tiers are parts of equal size by FLOPs. --paper are latency tiers of the paper's search space, with accuracy models
and the noise of training (optimizer_benchmark/paper_tiers.py); --timm are the networks of timm's published results, and
--held-out any table of networks that is not in the project (optimizer_benchmark/pools.py); --mixed is what a study of
hyperparameters is like.

Regret is without noise, of the best network that was evaluated.

"significantly" is a two-sided Mann-Whitney test at 5 %. Ranks are of the final regret among all optimisers that ran a
function and seed; their interval is the 95 % bootstrap over functions and seeds.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from optimizer_benchmark.catalogue import Data, finite_problems, prepared, problem_of, read_nas_bench
from optimizer_benchmark.paper_tiers import MODELS, TIERS
from optimizer_benchmark.pools import read_pool, timm_pool
from optimizer_benchmark.problems import FUNCTIONS, MIXED, ShiftedFunction
from optimizer_benchmark.rivals import OPTIMIZERS, serves
from optimizer_benchmark.standings import Key, draw, report

from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.core.pictures import checked_picture
from gpunet.errors import InvalidArgumentError

POOL_BUDGET, MIXED_BUDGET = 60, 30  # evaluations at most


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
    parser.add_argument("--timm", action="store_true", help="the networks of timm's published results")
    parser.add_argument("--held-out", type=Path, metavar="FILE", help="a table of networks, CSV or JSON")
    parser.add_argument("--tiers", type=positive, default=4, help="of these by FLOPs or latency (default: 4)")
    parser.add_argument("--paper", nargs="*", choices=MODELS, default=[], help="tiers of the paper's search space")
    parser.add_argument("--mixed", action="store_true", help="a study of numbers, steps and categories")
    parser.add_argument("--paper-tiers", nargs="+", choices=list(TIERS), default=["small"], help="(default: small)")
    parser.add_argument("--jobs", type=positive, default=1, help="runs at a time, one thread each (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every run in FILE, and go on from it")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw regret into FILE (.png, .svg, .pdf)")
    args = parser.parse_args(arguments)
    for name, size in itertools.product(args.functions, args.dimensions):
        ShiftedFunction(name, size, 0)  # refuses now what it would refuse after hours
    if args.plot:
        checked_picture(args.plot, "--plot")

    nas = read_nas_bench(args.nas_bench_macro) if args.nas_bench_macro else {}
    pools = {"timm": timm_pool()} if args.timm else {}
    pools |= {"held-out": read_pool(args.held_out)} if args.held_out else {}
    data = Data(nas, pools, args.tiers)
    budgets = {f"{name}-{size}": args.budget for size in args.dimensions for name in args.functions}
    budgets |= dict.fromkeys(finite_problems(data), min(POOL_BUDGET, args.budget))
    budgets |= {MIXED: min(MIXED_BUDGET, args.budget)} if args.mixed else {}
    budgets |= {f"paper-{model}-{tier}": args.budget for tier in args.paper_tiers for model in args.paper}
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    runs: dict[str, dict[str, Any]] = {}
    if args.json and args.json.exists():
        runs = read_runs(args.json)
    wanted = [
        (problem, optimizer, seed)
        for seed in seeds
        for problem in budgets
        for optimizer in args.optimizers
        if serves(optimizer, problem)
    ]
    missing = [key for key in wanted if len(runs.get(_name(key), {}).get("regret", ())) < budgets[key[0]]]
    for key, result in all_of(missing, budgets, data, args.jobs):
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
    keys: Sequence[Key], budgets: Mapping[str, int], data: Data, jobs: int
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
                futures[threads.submit(_in_process, context, key, budgets[key[0]], data)] = key

        for _ in range(jobs):
            start()
        while futures:
            done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                key = futures.pop(future)
                start()
                yield key, future.result()


def _in_process(context: Any, key: Key, budget: int, data: Data) -> dict[str, Any]:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_run, args=(theirs, key, budget, prepared(key[0], key[2], data)))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise SystemExit(f"{_name(key)} failed; its traceback stands above") from None
    finally:
        process.join()


def _send_run(pipe: Any, key: Key, budget: int, data: Data) -> None:
    pipe.send(run(key, budget, data))
    pipe.close()


def run(key: Key, budget: int, data: Data) -> dict[str, Any]:
    """One run: the regret of each evaluation, CPU seconds of each proposal, and the memory that it took."""
    import warnings

    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, optimizer, seed = key
    problem = problem_of(name, seed, data)
    noise = np.random.default_rng([seed, 1])
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asked = OPTIMIZERS[optimizer](problem.domain, seed)
    regret, cpu_s = [], []
    for _ in range(budget):
        started_s = time.process_time()
        point = asked.ask()[0]
        cpu_s.append(time.process_time() - started_s)
        value = problem.regret(point)
        told = value + problem.noise * noise.standard_normal()
        started_s = time.process_time()
        asked.tell(point, told)
        cpu_s[-1] += time.process_time() - started_s
        regret.append(value)
    memory_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    return {"regret": regret, "proposal_cpu_s": [round(each, 4) for each in cpu_s], "memory_mib": round(memory_mib, 1)}


if __name__ == "__main__":
    console.run(main)
