"""Processes whose parent is killed: each command that starts some, killed in mid-work; all are gone within 5 s."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill_benchmark.counts import Counts
from kill_benchmark.stages import orphans_in, processes_naming

_START_S = 180.0
_WORK_S = 3.0  # for them to be at work
_LOOK_S = 0.05


def orphans() -> list[Counts]:
    """One count a command."""
    from search_benchmark import small

    from gpunet.populate.presets import demo_space

    found = []
    with tempfile.TemporaryDirectory(prefix="gpunet-kill-") as temporary:
        folder = Path(temporary)
        study = small.make_study(str(folder / "study.sqlite"), folder, trials=1000, epochs=50, optimizer="random")
        study.storage.close()
        space = folder / "space.json"
        commands = {
            "search worker": ["search", "worker", "--study", str(folder / "study.sqlite"), "--processes", "2",
                              "--on", "cpu"],
            "table build": ["table", "build", str(folder / "table.sqlite"), "--space", str(space),
                            "--processes", "2", "--threads", "1"],
        }  # fmt: skip
        space.write_text(json.dumps(demo_space().to_dict()), encoding="utf-8")
        for name, command in commands.items():
            found.append(_killed(name, [sys.executable, "-m", "gpunet", *command], folder))
    return found


def _killed(name: str, command: list[str], folder: Path) -> Counts:
    counts = Counts(f"orphans, {name}")
    with open(folder / "said.log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end_s = time.monotonic() + _START_S
        while len(processes_naming(folder)) < 2 and process.poll() is None and time.monotonic() < end_s:
            time.sleep(_LOOK_S)
        time.sleep(_WORK_S)
        if len(processes_naming(folder)) < 2:
            counts.faults.append(f"it started no process: {(folder / 'said.log').read_text()[-500:]}")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    counts.killed += 1
    counts.left_over += orphans_in(folder, counts)
    return counts
