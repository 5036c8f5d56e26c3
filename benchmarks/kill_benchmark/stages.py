"""populate's winners, publish and report stages, killed: run again they come to the same end, and nothing is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.files import sha256_of
from gpunet.populate import publish_stage, report_stage, winner_stage
from gpunet.populate.context import Context
from gpunet.populate.place import StateFolder
from gpunet.populate.presets import PRESETS
from gpunet.populate.run import populate
from gpunet.zoo.catalog import catalog
from kill_benchmark.counts import Counts
from kill_benchmark.events import completed, killed_after, killed_before, moments, single_threaded, spread
from kill_benchmark.publishing import content

_GONE_S = 5.0
_LOOK_S = 0.05
_PICTURES = False  # they are drawn by the same code as the page, and take most of the time
STAGES: dict[str, Callable[[Context], object]] = {
    "winners": winner_stage.run,
    "publish": publish_stage.run,
    "report": lambda context: report_stage.run(context, pictures=_PICTURES),
}


def searched(folder: Path) -> Path:
    """A small run of populate up to its searches, made in `folder` unless it is there."""
    if not (folder / "search.sqlite").exists():
        completed(lambda: _held(folder, lambda context: populate(context, "search")))
    return folder


@single_threaded()
def stages(kills: int, begun: Path | None = None, seed: int = 0) -> list[Counts]:
    """Kill each stage, half of the time before one of its changes to files, half of the time at any moment.

    Args:
        kills: of each stage.
        begun: folder of a run whose searches are done; None to make one.
        seed: of when.
    """
    generator = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="gpunet-kill-") as temporary:
        before = searched(Path(temporary, "searched") if begun is None else begun)
        found = []
        for name in STAGES:
            after = Path(temporary, name)
            found.append(_stage(name, before, after, kills, generator))
            before = after
    return found


def _stage(name: str, before: Path, after: Path, kills: int, generator: np.random.Generator) -> Counts:
    counts = Counts(f"populate, {name}")
    shutil.copytree(before, after)

    def run() -> None:
        _held(after, STAGES[name])

    began_s = time.monotonic()
    count = moments(run)
    took_s = time.monotonic() - began_s
    wanted = _made(name, after)
    for number, moment in enumerate(spread(count, kills)):
        shutil.rmtree(after)
        shutil.copytree(before, after)
        if number % 2:
            counts.killed += killed_before(moment, run)
        else:
            after_s = generator.uniform(0, took_s)
            while not (killed := killed_after(after_s, run)) and after_s > _LOOK_S:  # it had ended: earlier, then
                shutil.rmtree(after)
                shutil.copytree(before, after)
                after_s /= 2
            counts.killed += killed
        counts.left_over += orphans_in(after, counts)
        completed(run)
        for fault in lost_of(name, wanted, _made(name, after)):
            counts.lost += 1
            counts.faults.append(f"{name}, kill {number}: {fault}")
        counts.left_over += len(left := sorted(str(path.relative_to(after)) for path in after.rglob(".*.part")))
        counts.faults += [f"{name}, kill {number}: {each} is left" for each in left]
    return counts


def _held(folder: Path, run: Callable[[Context], object]) -> None:
    plan = PRESETS["demo-small"]()
    place = StateFolder(folder, plan)
    with place.held():
        run(Context(plan, place, lambda line: None))


def _made(name: str, folder: Path) -> dict[str, object]:
    """What a stage makes, by its name."""
    if name == "winners":
        return {
            str(path.parent.relative_to(folder)): _won(folder, json.loads(path.read_text()))
            for path in folder.glob("winners/*/winner.json")
        }
    if name == "publish":
        entries = catalog(folder / "zoo")
        return {each.name: content(each.folder) for each in entries.values() if each.role == "own"}
    return {each: (folder / each).is_file() for each in ("report.json", "report.html")}


def _won(folder: Path, said: dict[str, Any]) -> object:
    """A winner's weights and whether its export is there; the networks measured in vain where there is none."""
    winner = said["winner"]
    if winner is None:
        return len(said["rejected"])
    return winner["trial"], sha256_of(folder / winner["weights"]), (folder / winner["artefact"]).is_file()


def lost_of(name: str, wanted: dict[str, object], made: dict[str, object]) -> list[str]:
    """How a stage's end differs from that of the run that nobody killed.

    Winners are measured anew, and a busy machine may leave a tier without one, then or now: the first that is seen is
    what later ones are held to.
    """
    found = []
    for each, value in made.items():
        before = wanted.get(each)
        if name == "winners" and not (isinstance(before, tuple) and isinstance(value, tuple)):
            wanted[each] = value if before is None or isinstance(value, tuple) else before
            if value == 0:
                found.append(f"{each}: no winner, and nothing was measured")
        elif value != before:
            found.append(f"{each}: {value} in place of {before}")
    return found + [f"{each} is not there" for each in wanted.keys() - made.keys()]


def orphans_in(folder: Path, counts: Counts) -> int:
    """How many processes at work in a folder are alive _GONE_S after the one that started them was killed."""
    end_s = time.monotonic() + _GONE_S
    while (alive := processes_naming(folder)) and time.monotonic() < end_s:
        time.sleep(_LOOK_S)
    for process in alive:
        counts.faults.append(f"process {process} is alive {_GONE_S:g} s after its parent")
        os.kill(process, signal.SIGKILL)
    return len(alive)


def processes_naming(folder: Path) -> list[int]:
    """The processes whose command line names a folder; this one is none of them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return found
