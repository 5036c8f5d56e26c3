"""`python -m gpunet ...`, and `torchrun -m gpunet train ...`: the command `gpunet`."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("gpunet.cli.main", run_name="__main__", alter_sys=True)
