"""gpunet's LA-MCTS against other optimisers, with the same seeds and budgets.

    python tools/bench_optimizers.py --json optimizers.json --plot optimizers.png      # hours; can be interrupted
    python tools/bench_optimizers.py --functions ackley levy --seeds 3 --budget 60 --optimizers lamcts tpe
    python tools/bench_optimizers.py --functions --nas-bench-macro nas_bench_macro.json.gz --tiers 4

Every finished run is kept in --json at once, and runs that are there already are not repeated: the same command goes on
where it was stopped, and with --jobs two commands must not share a file. Test functions are minimised and shifted at
random (gpunet/search/optimize/problems.py), by a seed of the run, the same for all optimisers. NAS-Bench-Macro (Su et
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

from gpunet.cli import console
from gpunet.errors import InvalidArgumentError
from gpunet.files import write_text
from gpunet.search import (
    Box,
    Domain,
    GaussianProcessBo,
    LaMcts,
    Lattice,
    Pool,
    RandomSearch,
    RegularizedEvolution,
    SobolSearch,
)
from gpunet.search.optimize.pictures import checked_suffix, draw_regret, picture
from gpunet.search.optimize.problems import FUNCTIONS, ShiftedFunction

OURS = "lamcts"
NAS_BUDGETS = (20, 40, 60)
Evaluate = Callable[[np.ndarray], float]
Key = tuple[str, str, int]  # problem, optimiser, seed


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
        checked_suffix(args.plot)

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


# ----------------------------------------------------------------- optimisers


class OptunaStudy:
    """A sampler of Optuna's, asked and told."""

    def __init__(self, sampler: str, domain: Domain, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made: Any
        if sampler == "tpe":
            made = optuna.samplers.TPESampler(seed=seed, multivariate=True)
        elif sampler == "optuna_gp":
            made = optuna.samplers.GPSampler(seed=seed)
        else:
            made = optuna.samplers.CmaEsSampler(seed=seed)
        self._study = optuna.create_study(sampler=made)
        of = optuna.distributions
        if isinstance(domain, Box):
            ranges = zip(domain.low, domain.high, strict=True)
            self._space: Any = {f"x{k}": of.FloatDistribution(low, high) for k, (low, high) in enumerate(ranges)}
        else:
            self._space = {f"x{k}": of.IntDistribution(0, count - 1) for k, count in enumerate(domain.choices or ())}

    def ask(self) -> np.ndarray:
        """One point, `1 x dimensions`."""
        self._trial = self._study.ask(self._space)
        return np.array([[self._trial.params[name] for name in self._space]])

    def tell(self, point: np.ndarray, value: float) -> None:
        """The value of the point last asked for."""
        self._study.tell(self._trial, value)


class BoTorchLoop:
    """BoTorch as its documentation has it: SingleTaskGP, LogEI, optimize_acqf; 20 Sobol points first."""

    def __init__(self, domain: Box, seed: int, initial: int = 20) -> None:
        import torch

        torch.manual_seed(seed)
        self._domain, self._initial = domain, initial
        self._sobol = SobolSearch(domain, seed=seed)
        self._unit: list[np.ndarray] = []
        self._values: list[float] = []

    def ask(self) -> np.ndarray:
        """One point, `1 x dimensions`."""
        if len(self._values) < self._initial:
            return self._sobol.ask()
        import torch
        from botorch.acquisition import LogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        unit, values = torch.from_numpy(np.array(self._unit)), -torch.tensor(self._values, dtype=torch.float64)[:, None]
        model = SingleTaskGP(unit, values)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        bounds = torch.stack([torch.zeros(unit.shape[1]), torch.ones(unit.shape[1])]).double()
        improvement = LogExpectedImprovement(model, best_f=values.max())
        found, _ = optimize_acqf(improvement, bounds, q=1, num_restarts=10, raw_samples=512)
        return self._domain.decode(found.numpy())

    def tell(self, point: np.ndarray, value: float) -> None:
        """The value of a point."""
        self._unit.append(self._domain.encode(point[None])[0])
        self._values.append(value)


OPTIMIZERS: dict[str, Callable[[Any, int], Any]] = {
    OURS: lambda domain, seed: LaMcts(domain, seed=seed, maximize=False),
    "gp_bo": lambda domain, seed: GaussianProcessBo(domain, seed=seed, maximize=False),
    "evolution": lambda domain, seed: RegularizedEvolution(domain, seed=seed, maximize=False, population=20, sample=5),
    "sobol": lambda domain, seed: SobolSearch(domain, seed=seed, maximize=False),
    "random": lambda domain, seed: RandomSearch(domain, seed=seed, maximize=False),
    "tpe": lambda domain, seed: OptunaStudy("tpe", domain, seed),
    "optuna_gp": lambda domain, seed: OptunaStudy("optuna_gp", domain, seed),
    "cma_es": lambda domain, seed: OptunaStudy("cma_es", domain, seed),
    "botorch": lambda domain, seed: BoTorchLoop(domain, seed),
}
BOX_ONLY = ("botorch",)
WHOLE_ONLY = ("tpe", "optuna_gp", "cma_es")  # they know no set of allowed points


# --------------------------------------------------------------------- report


def report(runs: Mapping[Key, Mapping[str, Any]], budgets: Mapping[str, int]) -> None:
    """Print regret by problem, then ranks, then what a proposal costs."""
    for problem, budget in budgets.items():
        at = NAS_BUDGETS if problem.startswith("nas") else tuple(sorted({budget // 3, 2 * budget // 3, budget}))
        finals = finals_of(runs, problem)
        if not finals:
            continue
        rows = []
        for optimizer in sorted(finals, key=lambda name: np.median(finals[name])):
            curves = curves_of(runs, problem, optimizer)
            best = np.minimum.accumulate(curves, axis=1)
            cells = [f"{np.median(best[:, count - 1]):.4g}" for count in at]
            low, high = np.quantile(best[:, -1], [0.25, 0.75])
            if problem.startswith("nas"):
                cells += [f"{best[:, 39].mean():.3f}", f"{(best[:, -1] <= 0).sum()}/{len(best)}"]
            rows.append([optimizer, *cells, f"{low:.4g} to {high:.4g}", verdict(finals, optimizer)])
        columns = [problem, *(f"median at {count}>" for count in at)]
        columns += ["mean at 40>", "found the best>"] if problem.startswith("nas") else []
        print(console.table([*columns, "quartiles>", "against the best other"], rows), "\n")
    ranks = ranks_of(runs)
    costs: list[list[Any]] = []
    for optimizer in sorted(ranks, key=lambda name: np.mean(ranks[name])):
        low, high = interval(ranks[optimizer])
        mine = [each for (_, name, _), each in runs.items() if name == optimizer]
        cost_s = np.concatenate([each["proposal_cpu_s"] for each in mine])
        memory_mib = max(each["memory_mib"] for each in mine)
        costs.append([optimizer, f"{np.mean(ranks[optimizer]):.2f}", f"{low:.2f} to {high:.2f}", len(ranks[optimizer]),
                     f"{np.mean(cost_s):.3f}", f"{np.quantile(cost_s, 0.99):.3f}", f"{memory_mib:.0f}"])  # fmt: skip
    columns = ["optimizer", "mean rank>", "95 % interval>", "runs>", "CPU s a proposal>", "99 %>", "memory MiB>"]
    print(console.table(columns, [[str(cell) for cell in row] for row in costs]))


def curves_of(runs: Mapping[Key, Mapping[str, Any]], problem: str, optimizer: str) -> np.ndarray:
    """`seeds x evaluations` of regret."""
    return np.array([each["regret"] for (name, who, _), each in runs.items() if (name, who) == (problem, optimizer)])


def finals_of(runs: Mapping[Key, Mapping[str, Any]], problem: str) -> dict[str, np.ndarray]:
    """Final regrets by optimiser."""
    names = dict.fromkeys(who for name, who, _ in runs if name == problem)
    return {who: curves_of(runs, problem, who).min(axis=1) for who in names}


def verdict(finals: Mapping[str, np.ndarray], optimizer: str) -> str:
    """Whether an optimiser is significantly behind, or ahead of, the best of the others by median."""
    others = [name for name in finals if name != optimizer]
    if not others:
        return ""
    from scipy.stats import mannwhitneyu

    best = min(others, key=lambda name: np.median(finals[name]))
    mine, theirs = finals[optimizer], finals[best]
    same = np.ptp(np.concatenate([mine, theirs])) == 0
    u, p = (0.0, 1.0) if same else mannwhitneyu(mine, theirs)
    # Medians may be equal where the test is sure: of more than half of the pairs the greater regret is the worse one's.
    word = "level with" if p >= 0.05 else "behind" if u > len(mine) * len(theirs) / 2 else "ahead of"
    return f"{word} {best} (p={p:.2g})"


def ranks_of(runs: Mapping[Key, Mapping[str, Any]]) -> dict[str, list[float]]:
    """Ranks of the final regret in each problem and seed that all its optimisers ran; ties share their mean."""
    groups: dict[tuple[str, int], dict[str, float]] = {}
    for (problem, optimizer, seed), each in runs.items():
        groups.setdefault((problem, seed), {})[optimizer] = min(each["regret"])
    ranks: dict[str, list[float]] = {}
    for group in groups.values():
        values = np.array(list(group.values()))
        for optimizer, value in group.items():
            ranks.setdefault(optimizer, []).append(float((values < value).sum() + ((values == value).sum() + 1) / 2))
    return ranks


def interval(ranks: Sequence[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean."""
    drawn = np.random.default_rng(0).choice(np.array(ranks), size=(2000, len(ranks)))
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def draw(path: Path, runs: Mapping[Key, Mapping[str, Any]], budgets: Mapping[str, int]) -> None:
    """Regret of every problem, side by side."""
    columns = min(4, len(budgets))
    rows = -(-len(budgets) // columns)
    with picture(path, (4 * columns, 3.2 * rows)) as figure:
        for number, problem in enumerate(budgets):
            axes = figure.add_subplot(rows, columns, number + 1)
            names = finals_of(runs, problem)
            curves = {name: np.maximum(curves_of(runs, problem, name), 1e-6) for name in names}
            draw_regret(axes, curves)
            axes.set_title(problem)
            if number == 0:
                axes.legend(fontsize="x-small")


if __name__ == "__main__":
    console.run(main)
