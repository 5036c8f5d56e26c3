"""`gpunet search worker`, which also notes in each trial's folder what it did: a line an attempt, a dot a batch.

A run's own metrics do not tell: one that goes on drops the lines behind its checkpoint.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gpunet.search.study.trainer import Trained
from gpunet.search.study.training import RecipeTrainer

STEPS = "steps.log"
_train = RecipeTrainer.__call__


def counted(
    self: RecipeTrainer, vector: Sequence[int], folder: Path, *, seed: int,
    report: Callable[[int, float, float], bool], should_stop: Callable[[], bool],
) -> Trained:  # fmt: skip
    """See `gpunet.search.study.trainer.Trainer`."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / STEPS, "ab", buffering=0) as log:
        begun = False

        def stop() -> bool:
            nonlocal begun
            log.write(b"." if begun else b"\n.")
            begun = True
            return should_stop()

        return _train(self, vector, folder, seed=seed, report=report, should_stop=stop)


def steps_of(folder: Path) -> tuple[int, int]:
    """Batches trained or scored for a trial, and attempts with at least one."""
    path = folder / STEPS
    said = path.read_bytes() if path.exists() else b""
    return said.count(b"."), said.count(b"\n")


def work(arguments: Sequence[str], log: Path) -> None:
    """`gpunet search worker` with these arguments, as a process that says everything to a log."""
    with open(log, "ab", buffering=0) as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.argv = ["gpunet", "search", "worker", *arguments]
    RecipeTrainer.__call__ = counted  # type: ignore[method-assign]
    runpy.run_module("gpunet", run_name="__main__", alter_sys=True)
