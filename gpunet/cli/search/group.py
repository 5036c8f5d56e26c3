"""`gpunet search`: make a study, work on it with one process or hundreds, and read what came of it."""

from __future__ import annotations

from gpunet.cli.command import group

SEARCH = group(
    "search",
    {
        "create": "search.create:create",
        "extend": "search.extend:extend",
        "worker": "search.worker:worker",
        "proxy": "search.proxy:proxy",
        "status": "search.status:status",
        "best": "search.results:best",
        "pareto": "search.results:pareto",
        "recommend": "search.results:recommend",
        "export": "search.export:export",
    },
    "Search a latency tier with one worker or hundreds: create, worker, status, best.\n\n"
    "A study is one of Optuna's: in a SQLite file, in PostgreSQL or behind Optuna's gRPC proxy. Workers come and go at "
    "any time, and nothing is lost with them.",
    panel="Search",
)
