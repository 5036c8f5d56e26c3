"""Kernels of known networks, kept as data: NVIDIA's seven, the paper's baselines, timm's, and those of public records.

A network is named ARCHITECTURE@PX, or ARCHITECTURE@WIDTHxHEIGHT where its input is no square; equal kernels are kept
once. `tools/update_gpu_data.py` writes the file.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.files import atomic_path
from gpunet.latency.gpu.kernels import COLUMNS, KernelTable

FOLDER = Path(__file__).parent / "data"
NETWORKS = FOLDER / "networks.npz"


@dataclass(frozen=True, eq=False)
class KnownNetworks:
    """Networks by name, over a common list of kernels.

    Args:
        names: of the networks, sorted.
        kernels: every kernel that one of them has, `n x 11` in the order of `kernels.COLUMNS`, int64.
        starts: where each network's entries begin in the next two, and their end: one more than names.
        places: of an entry the row in `kernels`.
        counts: how often the network has it.
    """

    names: tuple[str, ...]
    kernels: np.ndarray
    starts: np.ndarray
    places: np.ndarray
    counts: np.ndarray

    @functools.cached_property
    def number(self) -> dict[str, int]:
        """Of each name its place in `names`."""
        return {name: place for place, name in enumerate(self.names)}

    def __contains__(self, name: str) -> bool:
        return name in self.number

    def table(self, name: str) -> KernelTable:
        """The kernels of one network. Raises KeyError for a name that is not known."""
        place = self.number[name]
        own = slice(self.starts[place], self.starts[place + 1])
        return KernelTable.from_matrix(self.kernels[self.places[own]], self.counts[own].astype(float))

    @functools.cached_property
    def all_kernels(self) -> KernelTable:
        """Every kernel once."""
        return KernelTable.from_matrix(self.kernels, np.ones(len(self.kernels)))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Of a value a kernel, `n`, the sum over each network's, in the order of `names`."""
        return np.add.reduceat(values[self.places] * self.counts, self.starts[:-1])


def known_networks() -> KnownNetworks:
    """What the package keeps."""
    return read_known(NETWORKS)


@functools.cache
def read_known(path: Path) -> KnownNetworks:
    """Those of a file that `write_known` wrote."""
    with np.load(path, allow_pickle=False) as file:
        names = tuple(str(file["names"]).split("\n"))
        columns = [np.cumsum(file[f"kernels_{name}"].astype(np.int64)) for name in COLUMNS]
        starts = np.concatenate([[0], np.cumsum(file["lengths"].astype(np.int64))])
        return KnownNetworks(names, np.column_stack(columns), starts, file["places"].astype(np.int64), file["counts"])


def write_known(path: Path, tables: Mapping[str, KernelTable]) -> None:
    """Write the file, atomically: equal networks give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(tables)
    matrices = [tables[name].matrix() for name in names]
    kernels, places = np.unique(np.concatenate(matrices), axis=0, return_inverse=True)
    counts = np.concatenate([tables[name].count for name in names])
    arrays: dict[str, Any] = {
        "names": np.array("\n".join(names)),
        "lengths": np.array([len(each) for each in matrices], np.uint16),
        "places": _smallest(places.reshape(-1)),
        "counts": _smallest(counts),
        # Differences of sorted rows, a column each, compress to a third of the rows.
        **{f"kernels_{name}": np.diff(kernels[:, place], prepend=0) for place, name in enumerate(COLUMNS)},
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    with atomic_path(path) as part:
        part.write_bytes(buffer.getvalue())


def _smallest(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16 if values.max(initial=0) < 2**16 else np.uint32)


def network_names(architecture: str, px: int | Sequence[int]) -> str:
    """The name of an architecture at an input size."""
    size = "x".join(map(str, px)) if isinstance(px, Iterable) else str(px)
    return f"{architecture}@{size}"
