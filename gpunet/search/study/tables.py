"""The latencies that a study reckons with, from a latency table.

What a table lacks is learned, and what it holds is calibrated, by fits whose last digits depend on the processor and
its libraries: far less than anything that is measured, but enough to put a network on the other side of a tier's bound.
The latencies of a space's layers are therefore kept in a file beside the table when they are first worked out, and all
machines reckon with the same ones.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from gpunet.core.files import atomic_path
from gpunet.errors import StudyError

if TYPE_CHECKING:
    from gpunet.latency.estimate import Estimator
    from gpunet.latency.table import LatencyTable
    from gpunet.latency.worth import Worth
    from gpunet.search.spaces.space import SearchSpace
    from gpunet.search.study.definition import StudyDefinition

_VERSION = 2


def estimator_from_table(path: str | Path, space: SearchSpace, num_classes: int) -> Estimator:
    """The estimates of a space's networks by a table: in context, completed and calibrated.

    The layers' latencies are kept in the file `latencies_path(path)`, where its folder can be written.

    Raises:
        TableError: (a RuntimeError) the table cannot be read.
        MissingLatencyError: (a LookupError) it holds too few layers of the space.
    """
    return _reckoned(path, space, num_classes)[0]


def worth_from_table(path: str | Path, space: SearchSpace, num_classes: int) -> Worth:
    """What these estimates are worth; see `estimator_from_table` for the errors."""
    return _reckoned(path, space, num_classes)[1]


def _reckoned(path: str | Path, space: SearchSpace, num_classes: int) -> tuple[Estimator, Worth]:
    from gpunet.latency.estimate import Estimator, LayerCosts
    from gpunet.latency.table import LatencyTable
    from gpunet.latency.worth import worth_of

    plan = space.lookup_plan(num_classes=num_classes)
    keys = list(dict.fromkeys(plan.keys()))
    with LatencyTable(path) as table:
        of = _digest(table, space, num_classes)
        kept = _kept(latencies_path(path), of)
        if kept is not None and len(kept[0]) == len(keys):
            return Estimator(plan, LayerCosts(dict(zip(keys, kept[0].tolist(), strict=True)))), kept[1]
        costs = LayerCosts.from_table(table)
        worth = worth_of(table, costs)
    made = Estimator(plan, costs)
    with suppress(OSError), atomic_path(latencies_path(path)) as part, open(part, "wb") as file:
        latencies_ms = np.array([costs.latency_ms(key) for key in keys])
        np.savez(file, of=np.array(of), latencies_ms=latencies_ms, worth=np.array(json.dumps(worth.to_dict())))
    return made, worth


def latencies_path(table: str | Path) -> Path:
    """The file beside a table in which the latencies of a space's layers are kept."""
    path = Path(table)
    return path.with_name(f"{path.name}.latencies.npz")


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


def _digest(table: LatencyTable, space: SearchSpace, num_classes: int) -> str:
    """Of all that the latencies follow from."""
    from gpunet.latency.estimate import latencies, measured_networks

    layers = sorted((key.text, latency_ms) for key, latency_ms in latencies(table, "context").items())
    networks = [([key.text for key in keys], latency_ms) for keys, latency_ms in measured_networks(table)]
    body = [_VERSION, space.to_dict(), num_classes, layers, networks]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _kept(path: Path, of: str) -> tuple[np.ndarray, Worth] | None:
    """The latencies in a file and what they are worth, if they are of this; None otherwise."""
    from gpunet.latency.worth import Worth

    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as found:
            if str(found["of"]) != of:
                return None
            return found["latencies_ms"], Worth.from_dict(json.loads(str(found["worth"])))
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None
