"""The latencies that a study reckons with, from a latency table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpunet.errors import StudyError

if TYPE_CHECKING:
    from gpunet.latency.estimate import Estimator
    from gpunet.search.definition import StudyDefinition
    from gpunet.search.space import SearchSpace


def estimator_from_table(path: str | Path, space: SearchSpace, num_classes: int) -> Estimator:
    """The estimates of a space's networks by a table: in context, completed and calibrated.

    Raises:
        TableError: (a RuntimeError) the table cannot be read.
        MissingLatencyError: (a LookupError) it holds too few layers of the space.
    """
    from gpunet.latency.estimate import Estimator, LayerCosts
    from gpunet.latency.table import LatencyTable

    with LatencyTable(path) as table:
        return Estimator(space.lookup_plan(num_classes=num_classes), LayerCosts.from_table(table))


def estimator_of(definition: StudyDefinition, table: str | Path | None = None) -> Estimator:
    """The estimates that a study was made with.

    Args:
        definition: the study's.
        table: where its table lies on this machine, if not where the study says.

    Raises:
        StudyError: (a ValueError) the study names no table, and none is given.
        TableError, MissingLatencyError: see `estimator_from_table`.
    """
    path = table or definition.table
    if not path:
        raise StudyError("the study names no latency table.", "Give the one that it was made with: --table FILE")
    return estimator_from_table(path, definition.space, definition.num_classes)
