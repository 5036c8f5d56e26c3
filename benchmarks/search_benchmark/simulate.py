"""Hundreds of workers on one study, whose trials only wait: what the study costs each trial.

PostgreSQL and the gRPC proxy, each in its own process, and the workers in a dozen more (`crowd`), all on this machine.
What a trial costs its worker beside the waiting is set against a trial of ten minutes: asking (with the proposal),
reporting, pruning and telling. Shorter waits make the same number of workers ask more often: the costs are those of a
load that is by so much heavier.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shlex
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core import console
from gpunet.testing.servers import PostgreSQL, Proxy
from search_benchmark.crowd import CrowdPlan, Found, TrialCosts, work
from search_benchmark.figures import COLUMNS, cells, figures

if TYPE_CHECKING:
    from gpunet.search.study.study import Study

TRIAL_S, LIMIT_PERCENT = 600.0, 5.0
TIER_QUANTILES = (0.3, 0.8)
_LEAVING_S = 120.0
_EACH = 25  # workers a process
_PARTS = ("asking_s", "reporting_s", "pruning_s", "telling_s", "sum_s")


def simulate(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """Run it, and print its tables; what to write, and what failed."""
    from gpunet.search.work.creation import create_study

    counts = _shares(args.workers, args.processes or min(12, -(-args.workers // _EACH)))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gpunet-search-"))
        database = stack.enter_context(PostgreSQL())
        before = shlex.split(args.proxy_before)
        proxy = stack.enter_context(Proxy(database.url(), Path(folder) / "proxy.log", before=before))
        study = create_study(proxy.url, "scale", definition_of(args), folder=folder)
        stack.callback(study.storage.close)
        began_s = time.monotonic()
        plans = [
            CrowdPlan(
                proxy.url,
                "scale",
                count,
                args.wait_s,
                1000 * number,
                60 * args.most_minutes,
                args.heartbeat_s,
                4 * args.heartbeat_s,
            )
            for number, count in enumerate(counts)
        ]
        found = _all_of(plans, 60 * args.most_minutes + _LEAVING_S)
        took_s = time.monotonic() - began_s
        body = summary(found, took_s, proxy.processor_s())
        faults = [*found.faults, *check(study, args.trials)]
    if len(found.trials) != args.trials:
        faults.append(f"workers tell of {len(found.trials)} trials, not {args.trials}")
    body.update(
        workers=args.workers, processes=len(counts), trials=args.trials, wait_s=args.wait_s,
        optimizer=args.optimizer, pruner=args.pruner, processors=os.cpu_count(), load=os.getloadavg()[2],
    )  # fmt: skip
    mean_s = body["costs"]["sum_s"]["mean"]
    share = 100 * mean_s / TRIAL_S
    show(body)
    if not share < LIMIT_PERCENT:
        faults.append(f"the mean cost of a trial is {mean_s:.2f} s")
    print(
        f"\n{'FAIL' if faults else 'PASS'}: a trial costs {mean_s:.2f} s beside its training in the mean, "
        f"{share:.2f} % of ten minutes (limit: {LIMIT_PERCENT:g} %)"
    )
    return body, faults


def definition_of(args: argparse.Namespace) -> Any:
    """The study: a tier of the paper's space."""
    from gpunet.search.spaces.paper import PAPER_SPACE
    from gpunet.search.study.definition import Pruning, defined
    from search_benchmark.estimates import quantiles_ms, roofline_of

    estimator = roofline_of(PAPER_SPACE)
    low_ms, high_ms = quantiles_ms(PAPER_SPACE, estimator, TIER_QUANTILES)
    return defined(
        PAPER_SPACE, estimator, low_ms, high_ms, trainer={"trainer": "wait"}, epochs=args.epochs,
        max_trials=args.trials, num_classes=10, optimizer=args.optimizer, pruning=Pruning(args.pruner),
    )  # fmt: skip


def _shares(count: int, parts: int) -> list[int]:
    return [count // parts + (number < count % parts) for number in range(parts)]


def _all_of(plans: Sequence[CrowdPlan], most_s: float) -> Found:
    """What the processes tell, together; those that are late are killed."""
    context = multiprocessing.get_context("spawn")
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    started = []
    for plan in plans:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(theirs, plan), daemon=True)
        process.start()
        theirs.close()
        started.append((process, ours))
    found, until_s = Found(), time.monotonic() + most_s
    try:
        for process, pipe in started:
            try:
                if not pipe.poll(max(0.0, until_s - time.monotonic())):
                    found.faults.append(f"a process of {plans[0].workers} workers was not done in {most_s / 60:g} min")
                    continue
                one: Found = pipe.recv()
            except EOFError:
                found.faults.append("a process died; what it said stands above")
                continue
            process.join()
            found.trials += one.trials
            found.rounds += one.rounds
            found.ends += one.ends
            found.lost += one.lost
            found.faults += one.faults
            for name, each in one.calls_s.items():
                found.calls_s[name] += each
    finally:
        for process, _ in started:
            process.kill()
            process.join()
    return found


def _send(pipe: Any, plan: CrowdPlan) -> None:
    found = work(plan)
    found.calls_s = dict(found.calls_s)
    pipe.send(found)
    pipe.close()


def summary(found: Found, took_s: float, proxy_s: float) -> dict[str, Any]:
    """The figures, in plain JSON types."""
    trials = [TrialCosts(**each) for each in found.trials]  # type: ignore[arg-type]
    calls = {name: figures(each) for name, each in sorted(found.calls_s.items())}
    rounds: dict[str, list[float]] = defaultdict(list)
    for each in found.rounds:
        for name, value in each.items():
            rounds[name].append(value)
        if each["proposed"]:
            rounds["proposing_of_one_s"].append(each["proposing_s"] / each["proposed"])
    return {
        "took_s": took_s,
        "proxy_processor_s": proxy_s,
        "costs": {part: figures([getattr(each, part) for each in trials]) for part in _PARTS},
        "waited_s": figures([each.waited_s for each in trials]),
        "epochs": figures([each.epochs for each in trials]),
        "rounds": {name: figures(each) for name, each in rounds.items()},
        "calls_s": calls,
        "calls_of_a_trial": sum(each["count"] for each in calls.values()) / max(1, len(trials)),
        "ends": dict(Counter(found.ends)),
        "lost": found.lost,
        "trial_costs": [asdict(each) for each in trials],
    }


def check(study: Study, budget: int) -> list[str]:
    """What is wrong with the record: trials lost, doubled, or not ended."""
    trials = study.trials()
    faults = [f"trial {each.number} is {each.state}" for each in trials if each.state not in ("complete", "pruned")]
    if [each.number for each in trials] != list(range(budget)):
        faults.append(f"there are {len(trials)} trials, not {budget}")
    if len({each.vector for each in trials}) != len(trials):
        faults.append("a network was proposed twice")
    for name in (study.name, f"{study.name}/workers"):
        study_id = study.storage.study_id(name)
        running = [each for each in study.storage.trials(study_id or 0) if each.state.name == "RUNNING"]
        faults += [f"{name} has {len(running)} RUNNING"] if running else []
    return faults


def show(body: dict[str, Any]) -> None:
    """Print the tables."""
    waited_s, epochs = body["waited_s"]["mean"], body["epochs"]["mean"]
    print(
        f"{body['workers']} workers in {body['processes']} processes, {body['trials']} trials of {body['optimizer']} "
        f"in {body['took_s'] / 60:.1f} min; a trial waited {waited_s:.0f} s for {epochs:.1f} epochs in the mean\n"
    )
    rows = [(part.removesuffix("_s"), *cells(found)) for part, found in body["costs"].items()]
    print(console.table(["a trial's cost, s", *COLUMNS], rows))
    rows = [(part.removesuffix("_s"), *cells(found, scale=100 / TRIAL_S)) for part, found in body["costs"].items()]
    print("\n" + console.table(["% of ten minutes", *COLUMNS], rows))
    rows = [(name, int(found["count"]), *cells(found)) for name, found in body["rounds"].items()]
    print("\n" + console.table(["a lease", "count>", *COLUMNS], rows))
    rows = [(name, int(found["count"]), *cells(found, 1, 1000)) for name, found in body["calls_s"].items()]
    print("\n" + console.table(["storage call, ms", "count>", *COLUMNS], rows))
    print(
        f"\n{body['calls_of_a_trial']:.0f} storage calls a trial; the proxy used {body['proxy_processor_s']:.0f} s of "
        f"processor time in {body['took_s']:.0f} s"
    )
