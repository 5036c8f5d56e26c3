"""`gpunet table`: build latency tables, look into them, check them, merge them, and estimate models by them."""

from __future__ import annotations

from gpunet.cli.command import group

TABLE = group(
    "table",
    {
        "build": "table.build:build",
        "shards": "table.shards:shards",
        "show": "table.show:show",
        "verify": "table.verify:verify",
        "merge": "table.merge:merge",
        "estimate": "table.estimate:estimate",
        "report": "table.report:report",
    },
    "Latency tables: build, show, verify, merge, estimate, report.\n\n"
    "A table holds the measured layers of one machine, runtime, precision, batch and number of threads.",
    panel="Fill the zoo",
)
