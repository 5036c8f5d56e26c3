"""`torchrun -m gpunet.train ...`: the command `gpunet train`, in every process that torchrun starts."""

from __future__ import annotations

import argparse

from gpunet.cli import console
from gpunet.cli.train import add_arguments, run


def main() -> None:
    """Run `gpunet train` with the process's arguments."""
    parser = argparse.ArgumentParser(prog="python -m gpunet.train", description="See 'gpunet train --help'.")
    add_arguments(parser)
    run(parser.parse_args())


if __name__ == "__main__":
    console.run(main)
