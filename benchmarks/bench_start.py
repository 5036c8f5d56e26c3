"""How long commands take before they do anything: processor time beside that of `import timm`, in turn.

python benchmarks/bench_start.py
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from gpunet.core import console

ASKED = (["--version"], ["list"], ["find", "-d", "gv100", "--max-ms", "0.8"])
_COMMANDS = """
from gpunet.cli.command import leaves
from gpunet.cli.main import command
print("\\n".join(" ".join(words) for words, _, _ in leaves(command())))
"""
MOST_OF_TIMM = {"asked": 1 / 8, "help": 1 / 6}


def cpu_s(arguments: Sequence[str]) -> float:
    """Processor time in s of a Python process with these arguments, and of its children."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def helps() -> list[list[str]]:
    """The command line of every --help."""
    done = subprocess.run([sys.executable, "-c", _COMMANDS], check=True, capture_output=True, text=True)
    return [[*line.split(), "--help"] for line in ("", *done.stdout.splitlines())]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and say what takes longer than it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="the least of so many counts (default: 3)")
    args = parser.parse_args(arguments)
    cases = [("asked", each) for each in ASKED] + [("help", each) for each in helps()]
    least = [float("inf")] * len(cases)
    timm_s = float("inf")
    for _ in range(args.rounds):
        timm_s = min(timm_s, cpu_s(["-c", "import timm"]))
        for number, (_, each) in enumerate(cases):
            least[number] = min(least[number], cpu_s(["-m", "gpunet", *each]))
    rows = []
    for (kind, each), taken_s in zip(cases, least, strict=True):
        part = taken_s / timm_s
        rows.append(
            (f"gpunet {' '.join(each)}", f"{taken_s:.2f}", f"{part:.3f}", "yes" if part <= MOST_OF_TIMM[kind] else "NO")
        )
    print(console.table(("command", "CPU s>", "of import timm>", "holds"), rows))
    print(f"\nimport timm: {timm_s:.2f} s. A question may take an eighth of it, a --help a sixth.")
    if any(row[-1] == "NO" for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
