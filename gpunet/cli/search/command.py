"""`gpunet search`: make a study, work on it with one process or hundreds, and read what came of it."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.cli import options
from gpunet.cli.search import create as search_create
from gpunet.cli.search import work as search_work
from gpunet.cli.search.options import add_study, opened
from gpunet.core import console

if TYPE_CHECKING:
    from gpunet.search.study.study import Study
    from gpunet.search.study.trials import TrialRecord

_DESCRIPTION = (
    "Search the networks of a latency tier for the most accurate one. A study is one Optuna study: in a SQLite file, "
    "in PostgreSQL or behind Optuna's gRPC proxy. Workers come and go at any time, and nothing is lost with them."
)


def add_parser(commands: Any) -> None:
    """Add `search` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "search", help="search a latency tier, with one worker or hundreds", description=_DESCRIPTION
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    search_create.add_parsers(actions)
    search_work.add_parsers(actions)
    for name, help_text, run in (
        ("status", "how far a study is, and who works on it", _status),
        ("best", "the most accurate networks", _best),
        ("pareto", "those that no other one beats in both accuracy and latency", _pareto),
    ):
        action = actions.add_parser(name, help=help_text, description=f"Show {help_text}.")
        add_study(action)
        options.add_json(action)
        if name == "best":
            action.add_argument("-n", "--count", type=int, default=1, metavar="N", help="how many (default: 1)")
        action.set_defaults(run=run)
    export = actions.add_parser(
        "export", help="write a study as JSON", description="Write definition and trials of a study as one JSON file."
    )
    add_study(export)
    export.add_argument("-o", "--out", metavar="FILE", type=Path, required=True)
    export.set_defaults(run=_export)


def _status(args: argparse.Namespace) -> None:
    study = opened(args, reading=True)
    trials, budget = study.trials(), study.max_trials()
    counts = Counter(each.state for each in trials)
    workers = _workers(study)
    definition = study.definition
    if args.json:
        best = _ranked(trials)[:1]
        console.print_json(
            {"study": study.name, "max_trials": budget, "trials": len(trials), **{s: counts[s] for s in _STATES},
             "workers": workers, "best": best[0].to_dict() if best else None, "folder": str(study.folder)}
        )  # fmt: skip
        return
    high = "" if definition.high_ms == float("inf") else f" to {definition.high_ms:g}"
    print(
        f"study {study.name}: {len(trials)} of {budget} trials, {definition.low_ms:g}{high} ms, {definition.optimizer}"
    )
    print(", ".join(f"{counts[state]} {state}" for state in _STATES))
    print(
        f"{len(workers)} workers registered"
        + (f": {', '.join(workers[:8])}{' ...' if len(workers) > 8 else ''}" if workers else "")
    )
    if best := _ranked(trials):
        print(f"best: trial {best[0].number}, {best[0].top1_percent:.2f} %, {best[0].estimated_ms:.3g} ms estimated")
    for each in trials:
        if each.state == "failed":
            console.note(f"trial {each.number} failed: {each.reason}")


_STATES = ("complete", "pruned", "failed", "running", "waiting")


def _ranked(trials: list[TrialRecord]) -> list[TrialRecord]:
    from gpunet.search.study.trials import ranked

    return ranked(trials)


def _workers(study: Study) -> list[str]:
    """Who is registered; one that died not long ago may still be among them."""
    from gpunet.search.study.study import WORKERS

    registry_id = study.storage.study_id(study.name + WORKERS)
    if registry_id is None:
        return []
    running = (study.optuna.trial.TrialState.RUNNING,)
    return [
        each.user_attrs["process"]
        for each in study.storage.trials(registry_id, running)
        if "process" in each.user_attrs
    ]


def _best(args: argparse.Namespace) -> None:
    study = opened(args, reading=True)
    study.best()  # says so where there is none
    _show(args, study, _ranked(study.trials())[: max(1, args.count)])


def _pareto(args: argparse.Namespace) -> None:
    study = opened(args, reading=True)
    _show(args, study, study.pareto())


def _show(args: argparse.Namespace, study: Study, trials: list[TrialRecord]) -> None:
    if args.json:
        console.print_json([each.to_dict() for each in trials])
        return
    rows = [
        (each.number, f"{each.top1_percent:.2f}", console.milliseconds(each.estimated_ms),
         console.milliseconds(each.measured_ms), each.epochs, study.trial_folder(each.number)) for each in trials
    ]  # fmt: skip
    print(console.table(["trial>", "top-1 %>", "estimated ms>", "measured ms>", "epochs>", "folder"], rows))


def _export(args: argparse.Namespace) -> None:
    study = opened(args, reading=True)
    study.export(args.out)
    print(f"{args.out}: {len(study.trials())} trials")
