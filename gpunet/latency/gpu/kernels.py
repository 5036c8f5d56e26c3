"""Fused kernels: what a GPU starts for a network, one row each, as arrays that models of latency compute on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

# swish: one that reads what a product makes; pointwise: chains of other elementwise operations
KERNEL_KINDS = (
    "conv", "grouped", "depthwise", "linear", "attention", "swish", "pointwise", "norm", "reduce", "pool", "copy",
)  # fmt: skip
KIND_CODE = {name: code for code, name in enumerate(KERNEL_KINDS)}


@dataclass(frozen=True)
class Kernel:
    """One fused kernel, for one image.

    Args:
        kind: of KERNEL_KINDS.
        rows, columns, depth, groups: output positions, output channels a group, products summed for one, groups; 0 for
            kernels that multiply no matrices. With 'attention' each image has `groups` of its own, else `rows`.
        read, written, weights: elements of activations that it reads and makes, and of constants.
        added: elements of a second operand that its end adds: a residual.
        kernel_size, stride: of a convolution.
    """

    kind: str
    rows: int = 0
    columns: int = 0
    depth: int = 0
    groups: int = 1
    read: int = 0
    written: int = 0
    weights: int = 0
    added: int = 0
    kernel_size: int = 1
    stride: int = 1

    @property
    def multiply_adds(self) -> int:
        """For one image."""
        return self.rows * self.columns * self.depth * self.groups


COLUMNS = tuple(each.name for each in fields(Kernel))


@dataclass(frozen=True)
class KernelTable:
    """Kernels as columns, all of length n, with how often each stands in its network.

    Args:
        kind: code by KIND_CODE.
        rows, columns, depth, groups, read, written, weights, added, kernel_size, stride: see `Kernel`; float64.
        count: how often.
    """

    kind: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    depth: np.ndarray
    groups: np.ndarray
    read: np.ndarray
    written: np.ndarray
    weights: np.ndarray
    added: np.ndarray
    kernel_size: np.ndarray
    stride: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, kernels: Iterable[Kernel]) -> KernelTable:
        """A network's kernels, equal ones as one row."""
        counts: dict[Kernel, int] = {}
        for each in kernels:
            counts[each] = counts.get(each, 0) + 1
        matrix = np.array([[KIND_CODE[each.kind], *(getattr(each, name) for name in COLUMNS[1:])] for each in counts])
        return cls.from_matrix(matrix.reshape(-1, len(COLUMNS)), np.array(list(counts.values()), float))

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, count: np.ndarray) -> KernelTable:
        """From an array `n x 11` in the order of COLUMNS, kinds as codes, and the counts, `n`."""
        values = matrix.astype(float)
        named = {name: values[:, place] for place, name in enumerate(COLUMNS)}
        return cls(**{**named, "kind": matrix[:, 0].astype(np.int64)}, count=count)

    def matrix(self) -> np.ndarray:
        """The array that `from_matrix` takes, int64."""
        return np.column_stack([getattr(self, name) for name in COLUMNS]).astype(np.int64)

    def __len__(self) -> int:
        return len(self.kind)

    def of_kind(self, *kinds: str) -> np.ndarray:
        """Which rows are of these kinds, boolean, `n`."""
        return np.isin(self.kind, [KIND_CODE[name] for name in kinds])

    @property
    def multiply_adds(self) -> np.ndarray:
        """Of each row for one image, `n`."""
        return self.rows * self.columns * self.depth * self.groups

    @property
    def moved(self) -> np.ndarray:
        """Elements that each row reads and makes for one image, without weights, `n`."""
        return self.read + self.written + self.added


def joined(tables: Sequence[KernelTable]) -> tuple[KernelTable, np.ndarray]:
    """Several networks' kernels as one table, and where each network's begin, for `np.add.reduceat`."""
    starts = np.cumsum([0, *(len(each) for each in tables)])[:-1]
    names = [each.name for each in fields(KernelTable)]
    return KernelTable(*(np.concatenate([getattr(each, name) for each in tables]) for name in names)), starts
