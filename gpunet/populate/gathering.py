"""A report of whatever a search has left in a folder, at any time: populate's state, a report.json, or bare studies."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, GpunetError, ReportError, StudyUnavailableError
from gpunet.latency.table import LatencyTable
from gpunet.populate.context import Context
from gpunet.populate.place import PLAN, StateFolder, read_state
from gpunet.populate.plan_file import plan_from_dict
from gpunet.populate.report_stage import UNKNOWN, gathered, trial_points, trials_of
from gpunet.report.data import FILE_NAME, Report, Sample, TierReport, read_report
from gpunet.runtime.sidecar import now_utc
from gpunet.search.storage.storage import WORKERS, StudyStorage
from gpunet.search.study.opening import open_study
from gpunet.search.study.quiet import quiet_optuna
from gpunet.search.study.study import Study

_PATIENCE_S = 10.0


def report_of(place: Path) -> Report:
    """What is there of a search now.

    Args:
        place: populate's folder of state; a folder with a report.json; a study's SQLite file, or the folder that this
            lies in, or that of its checkpoints.

    Raises:
        ReportError: (a ValueError) there is nothing of a search, or it is damaged.
        StudyUnavailableError: (a RuntimeError) the studies are kept where nobody answers, and there is no report.json.
    """
    if not place.exists():
        raise ReportError(
            f"{place}: there is no such folder.", "Give the folder of a search, such as -o of gpunet populate.",
            exit_code=ABSENT_EXIT_CODE,
        )  # fmt: skip
    if (place / PLAN).is_file():
        try:
            return _of_state(place)
        except StudyUnavailableError:  # of a folder that was taken away from its database, the report is left
            if not (place / FILE_NAME).is_file():
                raise
    if (place / FILE_NAME).is_file():
        return read_report(place)
    studies = list(_studies(place))
    if not studies:
        raise ReportError(
            f"{place} holds no {FILE_NAME}, no {PLAN} of gpunet populate, and no study.",
            "Give the folder of state of gpunet populate, or the SQLite file of gpunet search create.",
            exit_code=ABSENT_EXIT_CODE,
        )  # fmt: skip
    try:
        return _of_studies(studies)
    finally:
        for study in studies:
            study.storage.close()


def _of_state(folder: Path) -> Report:
    quiet_optuna()
    try:
        plan = plan_from_dict(read_state(folder / PLAN))
    except GpunetError as error:
        hint = error.hint or "Run gpunet populate again: it writes the plan anew where the file is deleted."
        raise ReportError(f"{folder / PLAN}: {error.message}", hint, exit_code=FAILED_EXIT_CODE) from None
    return gathered(Context(plan, StateFolder(folder, plan), lambda line: None))


def _studies(place: Path) -> Iterator[Study]:
    """The studies in a file, or in the files of a folder; else those whose checkpoints the folder has."""
    quiet_optuna()
    files = [place] if place.is_file() else sorted(place.iterdir())
    found = [study for file in files for study in _in_file(file)]
    if not found and place.is_dir():
        above = [file for folder in place.absolute().parents[:2] for file in sorted(folder.glob("*.*"))]
        found = [study for file in above for study in _in_file(file) if study.folder == place.absolute()]
    yield from found


def _in_file(file: Path) -> Iterator[Study]:
    if not _is_sqlite(file):
        return
    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
        try:
            rows = database.execute("SELECT study_name FROM studies ORDER BY study_id").fetchall()
        except sqlite3.Error:  # a latency table, or somebody else's file
            return
    names = [name for (name,) in rows if not name.endswith(WORKERS)]
    for name in names:
        yield open_study(file, name, storage=StudyStorage(file, reading=True, make=False, patience_s=_PATIENCE_S))


def _is_sqlite(file: Path) -> bool:
    try:
        with open(file, "rb") as opened:
            return opened.read(15) == b"SQLite format 3"
    except OSError:
        return False


def _of_studies(studies: list[Study]) -> Report:
    """A tier a study; random search beside a study, as populate makes it, is shown in the study's own."""
    missing: list[str] = []
    names = {study.name for study in studies}
    random = {
        study.name.removesuffix("-random"): study
        for study in studies
        if study.name.endswith("-random") and study.name.removesuffix("-random") in names
    }
    tiers = []
    for study in studies:
        if study in random.values():
            continue
        known, beside = study.definition, random.get(study.name)
        others = [] if beside is None else trials_of(beside, missing)
        tiers.append(TierReport(
            study.name, known.low_ms, None if known.high_ms == math.inf else known.high_ms, Sample(0),
            trial_points(trials_of(study, missing)),
            tuple(each.top1_percent for each in others if each.state == "complete" and each.top1_percent is not None),
        ))  # fmt: skip
    first = studies[0].definition
    board, runtime, version, precision, batch_size = UNKNOWN, UNKNOWN, "", UNKNOWN, 1
    with contextlib.suppress(GpunetError), LatencyTable(first.table) as table:
        conditions, machine = table.conditions, table.conditions.fingerprint
        board, runtime, version = machine.processor, machine.runtime, machine.runtime_version
        precision, batch_size = machine.precision, conditions.batch_size
    if board == UNKNOWN:
        missing.append(f"the latency table that the search reckons with, {first.table or 'which has no name'}")
    missing.append("winners: a search alone fine-tunes none ('gpunet search best' names its best networks)")
    trained = first.trainer
    data, recipe = trained.get("data"), trained.get("recipe")
    said = [
        str(each[key]) for each, key in ((data, "data"), (recipe, "name")) if isinstance(each, dict) and key in each
    ]
    return Report(
        title=f"search {', '.join(tier.name for tier in tiers)}", chip="local", board=board, runtime=runtime,
        runtime_version=version, precision=precision, batch_size=batch_size,
        data=f"ranked by {' and recipe '.join(said)}" if said else UNKNOWN, created=now_utc(), tiers=tuple(tiers),
        networks=(), versions=dict(first.versions), missing=tuple(missing),
        dataset=f"{data['data']} (validation)" if isinstance(data, dict) and "data" in data else "",
    )  # fmt: skip
