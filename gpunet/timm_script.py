"""Run a script that uses timm, with gpunet's models registered: timm's own train.py and validate.py for example.

python -m gpunet.timm_script validate.py /data/imagenet --model gpunet_1 --pretrained
python -m gpunet.timm_script train.py /data/flowers --model gpunet --model-kwargs spec=network.json
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import gpunet.registry  # noqa: F401  (registers the models)


def main(arguments: list[str]) -> int:
    """Run `arguments[0]` as a script with the rest as its arguments; returns 2 where there is no such script."""
    if not arguments or not Path(arguments[0]).is_file():
        given = arguments[0] if arguments else "nothing"
        print(f"python -m gpunet.timm_script SCRIPT [ARGUMENTS]: {given} is not a script.", file=sys.stderr)
        return 2
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
