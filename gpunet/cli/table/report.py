"""`gpunet table report`: fresh random networks measured whole against a table's estimates (paper, Fig. 4)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.cli.table.options import MOST_NETWORKS, Classes, Resolutions, Space, Table
from gpunet.core import console
from gpunet.core.pictures import checked_picture
from gpunet.errors import InvalidArgumentError, TableError


@command(
    "report",
    examples=["gpunet table report here.sqlite", "gpunet table report here.sqlite --networks 50 --plot estimates.svg"],
)
def report(
    table: Table,
    networks: Annotated[
        int, opt("--networks", metavar="N", min=2, max=MOST_NETWORKS, help="how many (default: 20)")
    ] = 20,
    space: Space = "paper",
    resolutions: Resolutions = None,
    classes: Classes = 1000,
    rounds: Annotated[int, opt("--rounds", metavar="N", min=1, help="timed runs of each (default: 10)")] = 10,
    seed: Annotated[int, opt("--seed", metavar="N", min=0, help="of the networks (default: 1)")] = 1,
    plot: Annotated[
        Path | None, opt("--plot", metavar="FILE", help="draw the picture too (.png, .svg, .pdf)")
    ] = None,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Measure fresh random networks whole, and compare them with the table's estimates.

    On the machine that the table is of: error, bias and order, with and without each correction.
    """
    import numpy as np

    from gpunet import runtime as runtimes
    from gpunet.latency.estimate import measured_networks
    from gpunet.latency.meter import LayerMeter
    from gpunet.latency.report import error_report, error_table
    from gpunet.latency.table import LatencyTable, differences
    from gpunet.latency.watch import at_median_speed
    from gpunet.latency.worth import worth_of
    from gpunet.search.spaces.named import load_space

    if plot is not None:
        checked_picture(plot, "--plot")
    searched = load_space(space or "paper", resolutions)
    vectors = searched.lattice().draw(networks, np.random.default_rng(seed))
    drawn = [searched.keys(vector, num_classes=classes) for vector in vectors]
    with LatencyTable(table) as opened:
        known = opened.conditions
        identity = known.fingerprint
        meter = LayerMeter(
            runtimes.get(identity.runtime), precision=identity.precision, batch_size=known.batch_size,
            threads=identity.threads, clock=known.clock,
        )  # fmt: skip
        if meter.conditions != known:
            raise TableError(
                f"{table}: its figures are of other conditions: {differences(known, meter.conditions)}.",
                "Make the report on the machine that the table was measured on.",
            )
        worth = worth_of(opened)
        calibrate_on, course = measured_networks(opened), opened.course()
        seen = {tuple(keys) for keys, _ in calibrate_on}
        judged = [keys for keys in drawn if tuple(keys) not in seen]
        if len(judged) < 2:
            raise InvalidArgumentError(
                "the table was calibrated on the networks that were drawn.", "Draw others: --seed, or more --networks."
            )
        error_report(opened, judged, [1.0] * len(judged))  # what cannot be estimated is said before it is measured
        console.note(f"measuring {len(judged)} networks whole, {rounds} rounds")
        measured_ms = at_median_speed(course, meter, judged, rounds)
        found = error_report(opened, judged, measured_ms, calibrate_on=calibrate_on)
    if as_json:
        console.print_json({
            "conditions": known.to_dict(), "measured_ms": measured_ms, "ways": [each.to_dict() for each in found],
            "disturbed": worth.disturbed,
        })  # fmt: skip
    else:
        print(error_table(found))
        print(f"\nthe table {worth}")
    if plot is not None:
        from gpunet.latency.report_plot import draw

        title = f"{identity.runtime} {identity.runtime_version}, {identity.precision}, batch {known.batch_size}"
        draw(plot, measured_ms, found, title=f"{title}, {identity.processor}", course=course)
        console.note(f"drawn: {plot}")
