"""Measure the layers of a search space on this machine into a latency table, as far as the table lacks them.

    python tools/build_latency_table.py table.sqlite --resolutions 224 256 --threads 1
    python tools/build_latency_table.py table.sqlite --fraction 0.1 --networks 12   # a tenth, the rest is learned
    python tools/build_latency_table.py shard-2.sqlite --shard 2/8                  # one job of an array of eight
    python tools/build_latency_table.py table.sqlite --models gpunet_0 network.json # the layers of these alone

It is `gpunet table build`, for those who work from a checkout.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gpunet.cli import console
from gpunet.cli.table_build import add_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the tool with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_options(parser)
    args = parser.parse_args(arguments)
    args.run(args)


if __name__ == "__main__":
    console.run(main)
