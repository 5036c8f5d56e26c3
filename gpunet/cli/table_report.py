"""`gpunet table report`: fresh random networks measured whole against a table's estimates (paper, Fig. 4)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpunet.cli import console, options
from gpunet.errors import InvalidArgumentError, TableError


def add_parser(actions: Any) -> None:
    """Add `report` to the actions of `gpunet table`."""
    parser = actions.add_parser(
        "report",
        help="measure fresh random networks whole and compare with the table's estimates",
        description="Measure fresh random networks of the paper's space whole, on the machine that the table is of, "
        "and compare them with the table's estimates: error, bias and order, with and without each correction.",
    )
    parser.add_argument("table", metavar="TABLE", type=Path)
    parser.add_argument("--networks", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument("--resolutions", nargs="+", type=int, metavar="PX", default=[224, 256, 288], help="of the networks (default: 224 256 288)")  # fmt: skip # noqa: E501
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="timed runs of each (default: 10)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the networks (default: 1)")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the picture too (.png, .svg, .pdf)")
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, compare, print, draw."""
    import dataclasses

    import numpy as np

    from gpunet import runtime as runtimes
    from gpunet.cli.building import error_table
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.report import error_report
    from gpunet.latency.table import LatencyTable, differences
    from gpunet.search.paper import PAPER_SPACE

    if args.networks < 2 or args.rounds < 1:
        raise InvalidArgumentError(
            f"--networks must be 2 or more and --rounds 1 or more, but got {args.networks} and {args.rounds}."
        )
    odd = [px for px in args.resolutions if px not in PAPER_SPACE.resolutions_px]
    if odd:
        raise InvalidArgumentError(
            f"--resolutions: {odd[0]} is not one of {', '.join(map(str, PAPER_SPACE.resolutions_px))}."
        )
    if args.plot is not None:
        from gpunet.cli.pareto_plot import check

        check(args.plot)
    space = dataclasses.replace(PAPER_SPACE, resolutions_px=tuple(sorted(set(args.resolutions))))
    judged = [space.keys(vector) for vector in space.lattice().draw(args.networks, np.random.default_rng(args.seed))]
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
        console.note(f"measuring {len(judged)} networks whole, {args.rounds} rounds")
        measured_ms = [each.latency_ms for each in meter.networks(judged, rounds=args.rounds)]
        calibrate_on = [(keys, each.latency_ms) for keys, each in table.networks()]
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
