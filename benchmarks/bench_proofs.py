"""Whether a proof can fail: exports are damaged in 77 ways, and each damage that does harm must be found.

    python benchmarks/bench_proofs.py                                  # digits (trained), and networks of timm's
    python benchmarks/bench_proofs.py --models digits --places 3
    python benchmarks/bench_proofs.py --models resnet18 --input-px 96 --precisions fp16 --runtimes openvino

Each healthy graph is verified first, at every precision on every runtime: it must pass. Then it is damaged (one damage
a copy), verified by what `gpunet-export` runs, and asked for the first class of pictures that were not verified on. A
damage that changes the first class of more than 1 % of them must be found; one that changes fewer may be. Exit code 1
where one was missed, or a healthy graph failed. Which networks can be judged so: see damages/subjects.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from damages import DAMAGES
from damages.subjects import DIGITS, PRECISIONS, SIDE_PX, subject
from damages.trials import Trial, trials

from gpunet.core import console
from gpunet.core.files import write_text

_MODELS = (
    DIGITS, "gpunet_0@32", "mobilenetv3_small_050", "test_resnet@32", "test_convnext@32", "test_vit@32",
    "levit_128s@128", "mobilevit_xxs@96",
)  # fmt: skip
_RUNTIMES = ("onnxruntime", "openvino")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", default=list(_MODELS), help="'digits', or NAME[@PX] of the zoo or timm"
    )
    parser.add_argument(
        "--input-px", type=int, metavar="PX", default=SIDE_PX, help=f"side of the pictures (default: {SIDE_PX})"
    )
    parser.add_argument("--runtimes", nargs="+", choices=_RUNTIMES, default=list(_RUNTIMES))
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument(
        "--kinds", nargs="*", metavar="KIND", default=list(DAMAGES), help="of damage (default: all; none: only the "
        "healthy graphs, with how much of what is allowed they use)",
    )  # fmt: skip
    parser.add_argument("--places", type=int, default=1, help="places at which each kind is tried (default: 1)")
    parser.add_argument("--pictures", type=int, default=200, help="that first classes are taken of (default: 200)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every trial to FILE")
    parser.add_argument(
        "--report", type=Path, nargs="+", metavar="FILE", help="run nothing: the table of what --json wrote earlier"
    )
    args = parser.parse_args(arguments)
    if unknown := set(args.kinds) - set(DAMAGES):
        parser.error(f"no such damage: {', '.join(sorted(unknown))}; they are: {', '.join(DAMAGES)}")
    if args.report:
        report([Trial(**each) for path in args.report for each in json.loads(path.read_text(encoding="utf-8"))])
        return
    done: list[Trial] = []
    for name in args.models:
        network = subject(name, args.pictures, args.input_px)
        for runtime in args.runtimes:
            for precision in args.precisions:
                made = list(trials(network, runtime, precision, args.kinds, args.places))
                done += made
                found = sum(each.found for each in made[1:])
                console.note(f"{name} at {precision} on {runtime}: {found} of {len(made) - 1} damages found")
                if args.json:
                    write_text(args.json, json.dumps([dataclasses.asdict(each) for each in done], indent=1) + "\n")
    report(done)


def report(done: Sequence[Trial]) -> None:
    """Print the table; exit code 1 where a damage was missed, or a healthy graph failed."""
    columns = list(dict.fromkeys((each.precision, each.runtime) for each in done))
    print("Each cell: damages found of those tried; the largest change of first classes.")
    rows = [
        (kind, *(_cell([each for each in done if (each.kind, each.precision, each.runtime) == (kind, *column)])
                 for column in columns))
        for kind in DAMAGES
        if any(each.kind == kind for each in done)
    ]  # fmt: skip
    print(console.table(("damage", *(f"{precision} {runtime}" for precision, runtime in columns)), rows))
    healthy = [each for each in done if not each.kind]
    damages = [each for each in done if each.kind]
    harmful = [each for each in damages if each.top1_change_percent > 1.0]
    found, wrong = (sum(each.found for each in some) for some in (damages, healthy))
    print(f"{found} of {len(damages)} damages found; {len(harmful)} change more than 1 % of the first classes")
    print(f"{wrong} of {len(healthy)} healthy graphs failed; of what is allowed they used at most:")
    for precision, runtime in columns:
        some = [each for each in healthy if (each.precision, each.runtime) == (precision, runtime)]
        print(f"  {precision} {runtime}: {_most([each.end for each in some])} at the end, "
              f"{_most([each.inside for each in some])} inside")  # fmt: skip
    missed = [each for each in done if each.missed]
    for each in missed:
        print(f"FAIL {each.network} {each.precision} {each.runtime}: {each.kind or 'healthy'}: {each.said}")
    if missed:
        raise SystemExit(1)
    print("PASS every damage that does harm was found, and no healthy graph failed")


def _most(shares: Sequence[float | None]) -> str:
    known = [each for each in shares if each is not None]
    return f"{100 * max(known):.0f} %" if known else "-"


def _cell(tried: Sequence[Trial]) -> str:
    if not tried:
        return "-"
    worst = max(each.top1_change_percent for each in tried)
    found = sum(each.found for each in tried)
    state = "MISSED" if any(each.missed for each in tried) else "found" if found else "harmless"
    return f"{state} {found} of {len(tried)}, {worst:.0f} %"


if __name__ == "__main__":
    console.run(main)
