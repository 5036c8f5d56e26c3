"""`torchrun -m gpunet.train ...`, as `torchrun -m gpunet train ...` was called before."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    print(
        "gpunet: `-m gpunet.train` is `-m gpunet train` now; the old name goes with the next release.", file=sys.stderr
    )
    sys.argv.insert(1, "train")
    runpy.run_module("gpunet", run_name="__main__", alter_sys=True)
