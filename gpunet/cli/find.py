"""`gpunet find`: which networks satisfy a budget on a device."""

from __future__ import annotations

import argparse
from typing import Any

from gpunet.cli import options
from gpunet.core import console


def add_parser(commands: Any) -> None:
    """Add `find` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "find",
        help="networks that fit a latency budget on a device, the most accurate first",
        description="Print the networks that fit a latency budget on a device, the most accurate first. Where several "
        "records of a network apply, the slowest decides. Nothing fits: the nearest networks are named on standard "
        "error, and the exit code is 2.",
    )
    options.add_device(parser)
    parser.add_argument("--max-ms", metavar="MS", type=float, help="latency budget in ms, for the whole batch")
    parser.add_argument("--min-top1", metavar="PERCENT", type=float, help="least top-1 accuracy, in percent")
    parser.add_argument("--max-params", metavar="N", type=float, help="most parameters, counted singly: 15e6")
    options.add_conditions(parser)
    options.add_nominal(parser)
    parser.add_argument(
        "--refresh", action="store_true", help="on 'local': measure all anew, in place of the figures that are kept"
    )
    parser.add_argument(
        "--include-baselines", action="store_true", help="the paper's baselines that timm can build, too"
    )
    options.add_zoo(parser)
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the matches, or raise NothingFitsError with the nearest."""
    from gpunet.zoo.query import Query, best, candidates, satisfies

    query = Query(
        device=args.device,
        max_ms=args.max_ms,
        min_top1=args.min_top1,
        max_params=args.max_params,
        batch_size=args.batch_size,
        runtime=args.runtime,
        precision=args.precision,
        include_nominal=args.include_nominal,
        include_baselines=args.include_baselines,
    )
    matches = [match for match in candidates(query, args.zoo, refresh=args.refresh) if satisfies(match, query)]
    if not matches:
        best(query, args.zoo)  # raises NothingFitsError, with the nearest networks
    if args.json:
        console.print_json([match.to_dict() for match in matches])
        return
    sources = console.Footnotes()
    rows = []
    for match in matches:
        record = match.record
        rows.append(
            (
                match.name,
                console.percent(match.top1_percent),
                console.millions(match.entry.parameters),
                console.milliseconds(match.latency_ms),
                record.kind,
                record.statistic,
                record.board,
                record.precision,
                f"{record.runtime} {record.runtime_version}".strip(),
                sources.number(record.source),
            )
        )
    columns = (
        "model", "top-1 %>", "params M>", "ms>", "kind", "statistic", "board", "precision", "runtime", "source"
    )  # fmt: skip
    print(console.table(columns, rows))
    print(f"\n{sources}")
