"""Training whose images processes prepare, killed again and again: it ends with the weights of one that was not.

Killed at a random moment after it has come farther than before; those that prepare its images are gone within 5 s.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpunet.core.files import sha256_of
from gpunet.errors import GpunetError
from gpunet.model.small import SMALL
from kill_benchmark.counts import Counts
from kill_benchmark.stages import orphans_in

LOADERS = 2
_EPOCHS = 12
_LOOK_S = 0.01
_WITHIN_S = 0.3  # after a new checkpoint
_CHANGES = ("augmentation.policy=rand-m9-mstd0.5", "augmentation.erasing=0.3", "augmentation.cutmix=0.5", "dropout=0.2",
            "drop_path=0.2", f"epochs={_EPOCHS}")  # fmt: skip


def training(kills: int, seed: int = 0) -> Counts:
    """Kill a run so often, let it end, and compare it with one that nobody killed."""
    counts, generator = Counts("training, two loader processes"), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="gpunet-kill-") as temporary:
        folder = Path(temporary)
        (folder / "spec.json").write_text(SMALL.to_json(), encoding="utf-8")
        _end(_start(folder, folder / "whole", loaders=0))
        killed, seen = folder / "killed", set[str]()
        for _ in range(kills):
            process = _start(folder, killed, loaders=LOADERS)
            while process.poll() is None and not _checkpoints(killed) - seen:
                time.sleep(_LOOK_S)
            time.sleep(generator.uniform(0, _WITHIN_S))
            counts.killed += process.poll() is None
            process.kill()
            process.communicate()
            counts.left_over += orphans_in(killed, counts)
            seen |= _checkpoints(killed)
        _end(_start(folder, killed, loaders=LOADERS))
        for name in ("model.safetensors", "ema.safetensors"):
            files = [folder / run / name for run in ("whole", "killed")]
            if files[0].exists() and (not files[1].exists() or sha256_of(files[0]) != sha256_of(files[1])):
                counts.lost += 1
                counts.faults.append(f"{name} differs from that of the run that nobody killed")
        left = sorted(str(path.relative_to(folder)) for path in killed.rglob(".*.part"))
        counts.left_over += len(left)
        counts.faults += [f"{each} is left" for each in left]
    return counts


def _start(folder: Path, out: Path, *, loaders: int) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "gpunet", "train", str(folder / "spec.json"), "--data", "digits", "-o", str(out),
        "--quiet", "--checkpoint-minutes", "0.001", "--images-fraction", "0.35", "--loader-workers", str(loaders),
        *(f"--set={change}" for change in _CHANGES),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def _end(process: subprocess.Popen[str]) -> None:
    said = process.communicate()[1]
    if process.returncode:
        raise GpunetError(f"gpunet train ended with exit code {process.returncode}: {said[-2000:]}")


def _checkpoints(out: Path) -> set[str]:
    return {path.name for path in (out / "checkpoints").glob("epoch*")}
