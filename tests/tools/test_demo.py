"""The demo from end to end: seven networks measured, one picked, exported, verified. No network is reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT


def _run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # A port of loopback that nothing listens on stands for NGC out of reach.
    environment = {**os.environ, "GPUNET_HOME": str(home), "GPUNET_NGC_URL": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_demo_runs_and_says_that_the_weights_are_untrained(tmp_path: Path):
    done = _run(tmp_path / "home", "tools/demo.py", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert "find('gv100', max_ms=0.8): gpunet_p0: top-1 80.3 %; 0.63 ms measured" in text
    assert text.count("weights cannot be reached from here, going on UNTRAINED") == 1
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith(("gv100 ", "a100 ", "local "))}
    assert set(rows) == {"gv100", "a100", "local"}
    assert "UNTRAINED" in rows["local"]
    assert "agrees with PyTorch" in rows["local"]
    assert "verified:" in text
    (exported,) = (tmp_path / "out").iterdir()
    assert exported.suffix == ".onnx"

    # What was measured is found again, by a process that loads no torch.
    again = (
        "import gpunet, sys\n"
        "print(len(gpunet.find('local')))\n"
        "assert 'torch' not in sys.modules\n"
    )  # fmt: skip
    found = _run(tmp_path / "home", "-c", again)
    assert found.stdout == "7\n", found.stderr
