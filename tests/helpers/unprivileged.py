"""What somebody meets who may not write everywhere, tried in a process that is not root's, though root runs tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_NOBODY = 65534
_PROGRAM = """
import json, os, pathlib, sys
from gpunet.errors import GpunetError

def attempt(folder):
{attempt}

attempt(pathlib.Path(sys.argv[1]))  # once where it may write: what it loads may lie where only root reads
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({nobody})
    os.setuid({nobody})
try:
    attempt(pathlib.Path(sys.argv[2]))
except GpunetError as error:
    print(json.dumps([type(error).__name__, error.message, error.hint]))
"""


def refused_in_a_read_only_folder(attempt: str, tmp_path: Path) -> tuple[str, str, str]:
    """The class, message and hint of the error that these lines raise in a `folder` that cannot be written."""
    if os.name != "posix":
        pytest.skip("the permissions are POSIX's")
    writable, read_only = tmp_path / "writable", tmp_path / "read-only"
    for folder in (writable, read_only):
        folder.mkdir()
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)  # pytest's own are closed to other users
    read_only.chmod(0o555)
    program = _PROGRAM.format(attempt=textwrap.indent(textwrap.dedent(attempt), "    "), nobody=_NOBODY)
    done = subprocess.run(
        [sys.executable, "-c", program, str(writable), str(read_only)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout, "nothing was refused"
    name, message, hint = json.loads(done.stdout.splitlines()[-1])
    return name, message, hint
