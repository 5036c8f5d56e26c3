"""`gpunet table report`: fresh random networks measured whole against a table's estimates (paper, Fig. 4)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpunet.cli import options
from gpunet.core import console
from gpunet.core.pictures import checked_picture
from gpunet.errors import InvalidArgumentError, TableError


def add_parser(actions: Any) -> None:
    """Add `report` to the actions of `gpunet table`."""
    parser = actions.add_parser(
        "report",
        help="measure fresh random networks whole and compare with the table's estimates",
        description="Measure fresh random networks of a space whole, on the machine that the table is of, "
        "and compare them with the table's estimates: error, bias and order, with and without each correction.",
    )
    parser.add_argument("table", metavar="TABLE", type=Path)
    parser.add_argument("--networks", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument(
        "--space", metavar="NAME|FILE", default="paper", help="'paper', 'release', or a space's JSON file"
    )
    parser.add_argument("--resolutions", nargs="+", type=int, metavar="PX", help="of the space (default: all)")
    parser.add_argument("--classes", type=int, default=1000, metavar="N", help="of the classifier (default: 1000)")
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="timed runs of each (default: 10)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the networks (default: 1)")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the picture too (.png, .svg, .pdf)")
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, compare, print, draw."""
    import numpy as np

    from gpunet import runtime as runtimes
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.report import error_report, error_table
    from gpunet.latency.table import LatencyTable, differences
    from gpunet.search.spaces.named import load_space

    if args.networks < 2 or args.rounds < 1:
        raise InvalidArgumentError(
            f"--networks must be 2 or more and --rounds 1 or more, but got {args.networks} and {args.rounds}."
        )
    if args.seed < 0 or args.classes < 1:
        raise InvalidArgumentError(
            f"--seed must be 0 or more and --classes 1 or more, but got {args.seed} and {args.classes}."
        )
    if args.plot is not None:
        checked_picture(args.plot, "--plot")
    space = load_space(args.space, args.resolutions)
    vectors = space.lattice().draw(args.networks, np.random.default_rng(args.seed))
    drawn = [space.keys(vector, num_classes=args.classes) for vector in vectors]
    with LatencyTable(args.table) as table:
        known = table.conditions
        identity = known.fingerprint
        meter = LayerMeter(
            runtimes.get(identity.runtime), precision=identity.precision, batch_size=known.batch_size,
            threads=identity.threads, clock=known.clock,
        )  # fmt: skip
        if meter.conditions != known:
            raise TableError(
                f"{args.table}: its figures are of other conditions: {differences(known, meter.conditions)}.",
                "Make the report on the machine that the table was measured on.",
            )
        calibrate_on = [(keys, each.latency_ms) for keys, each in table.networks()]
        seen = {tuple(keys) for keys, _ in calibrate_on}
        judged = [keys for keys in drawn if tuple(keys) not in seen]
        if len(judged) < 2:
            raise InvalidArgumentError(
                "the table was calibrated on the networks that were drawn.", "Draw others: --seed, or more --networks."
            )
        error_report(table, judged, [1.0] * len(judged))  # what cannot be estimated is said before it is measured
        console.note(f"measuring {len(judged)} networks whole, {args.rounds} rounds")
        measured_ms = [each.latency_ms for each in meter.networks(judged, rounds=args.rounds)]
        found = error_report(table, judged, measured_ms, calibrate_on=calibrate_on)
    if args.json:
        console.print_json({
            "conditions": known.to_dict(), "measured_ms": measured_ms, "ways": [each.to_dict() for each in found],
        })  # fmt: skip
    else:
        print(error_table(found))
    if args.plot is not None:
        from gpunet.latency.report_plot import draw

        title = f"{identity.runtime} {identity.runtime_version}, {identity.precision}, batch {known.batch_size}"
        draw(args.plot, measured_ms, found, title=f"{title}, {identity.processor}")
        console.note(f"drawn: {args.plot}")
