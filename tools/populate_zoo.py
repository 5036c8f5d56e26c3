"""Fill the zoo for a device: `gpunet populate`, for those who work from a checkout."""

from __future__ import annotations

import runpy
import sys

if __name__ == "__main__":
    sys.argv[1:1] = ["populate"]
    runpy.run_module("gpunet", run_name="__main__", alter_sys=True)
