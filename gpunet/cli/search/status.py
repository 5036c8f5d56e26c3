"""`gpunet search status`: how far studies are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import complete_study, opt
from gpunet.cli.search.options import READING_PATIENCE_S, Folder, StudyUrl, opened
from gpunet.core import console
from gpunet.errors import StudyError

if TYPE_CHECKING:
    from gpunet.search.study.study import Study
    from gpunet.search.study.trials import TrialRecord

_STATES = ("complete", "pruned", "failed", "running", "waiting")


@command(
    "status",
    examples=["gpunet search status --study search.sqlite", "gpunet search status --study search.sqlite --name search"],
)
def status(
    study: StudyUrl,
    name: Annotated[
        str | None,
        opt("--name", metavar="NAME", complete=complete_study, help="of the study (default: list all there)"),
    ] = None,
    folder: Folder = None,
    as_json: options.Json = False,
) -> None:
    """How far a study is, and who works on it; without a name all studies of the database, a line each.

    A worker that died not long ago may still be among those that are counted.
    """
    if name is None:
        _list(study, as_json)
        return
    found = opened(study, name, folder, reading=True)
    body = _status(found)
    if as_json:
        console.print_json(body)
        return
    definition, workers, best = found.definition, body["workers"], body["best"]
    high = " ms or more" if definition.high_ms == float("inf") else f" to {definition.high_ms:g} ms"
    print(
        f"study {name}: {body['trials']} of {body['max_trials']} trials, {definition.low_ms:g}{high}, "
        f"{definition.optimizer}"
    )
    print(", ".join(f"{body[state]} {state}" for state in _STATES))
    print(
        f"{len(workers)} workers registered"
        + (f": {', '.join(workers[:8])}{' ...' if len(workers) > 8 else ''}" if workers else "")
    )
    if best:
        print(f"best: trial {best['number']}, {best['top1_percent']:.2f} %, {best['estimated_ms']:.3g} ms estimated")
    for each in found.trials():
        if each.state == "failed":
            console.note(f"trial {each.number} failed: {each.reason}")


def _list(url: str, as_json: bool) -> None:
    """All studies of a database; one that cannot be read has a note instead of figures."""
    from gpunet.search.storage.storage import StudyStorage
    from gpunet.search.study.opening import names_in, open_study
    from gpunet.search.study.quiet import quiet_optuna

    quiet_optuna()
    storage = StudyStorage(url, reading=True, make=False, patience_s=READING_PATIENCE_S, on_wait=console.note)
    bodies: list[dict[str, Any]] = []
    rows: list[tuple[object, ...]] = []
    for name in names_in(storage):
        try:
            body = _status(open_study(url, name, storage=storage, unfinished_s=0.0))
        except StudyError as error:
            console.note(error.message)
            bodies.append({"study": name, "error": error.message})
            rows.append((name, *[None] * 5))
            continue
        ended, best = sum(body[state] for state in _STATES[:3]), body["best"] or {}
        bodies.append(body)
        rows.append(
            (name, f"{ended}/{body['max_trials']}", body["running"], len(body["workers"]),
             console.percent2(best.get("top1_percent")), console.milliseconds(best.get("estimated_ms")))
        )  # fmt: skip
    storage.close()
    if as_json:
        console.print_json(bodies)
    elif not rows:
        print("no studies yet; 'gpunet search create' makes one")
    else:
        print(console.table(["study", "trials ended>", "running>", "workers>", "best top-1 %>", "its ms>"], rows))


def _status(study: Study) -> dict[str, Any]:
    from gpunet.search.study.trials import ranked

    trials = study.trials()
    counts = Counter(each.state for each in trials)
    best: list[TrialRecord] = ranked(trials)[:1]
    return {
        "study": study.name, "max_trials": study.max_trials(), "trials": len(trials),
        **{state: counts[state] for state in _STATES}, "workers": study.workers(),
        "best": best[0].to_dict() if best else None, "folder": str(study.folder),
    }  # fmt: skip
