"""`python -m gpunet ...`, and `torchrun -m gpunet train ...`: the command `gpunet`."""

from __future__ import annotations

from gpunet.cli.main import run

if __name__ == "__main__":
    run()
