from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import settings

pytest_plugins = ("helpers.storages",)

# A busy machine is no failure.
settings.register_profile("gpunet", deadline=None)
settings.load_profile("gpunet")

# Files that run side by side share the processor: each has a core of its own, and so have the processes that it starts.
# Runtimes whose threads spin would else take it from each other, and what is measured would be the other file.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) % len(cores)]})

# As gpunet itself has it, before a test imports gRPC: its handlers of a fork crash children now and then.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with most slow tests first: side by side, the last file decides how long all take."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
