"""Pools of trained networks: features known before training, accuracy, and latency to cut them into tiers by.

A table is CSV (.gz too) or JSON, a list of objects, a row a network. Its columns:

    accuracy, top1_percent or top1             percent
    latency_ms, latency or ms                  any unit; without one, tiers cannot be cut
    all others that hold nothing but numbers   features; positive ones that range over more than a tenfold in log

Networks of equal features are one, with their mean accuracy: nothing tells them apart beforehand.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.errors import InvalidArgumentError
from gpunet.zoo.timm_zoo.tables import network_rows, throughput_rows

ACCURACIES = ("accuracy", "top1_percent", "top1")
LATENCIES = ("latency_ms", "latency", "ms")
_TIMM_CHIP = "rtx4090"
_WIDE = 10.0  # a range from which the logarithm is taken


@dataclass(frozen=True)
class PoolTable:
    """Networks in rows.

    Attributes:
        features: `n x m`.
        accuracy: n, percent.
        latency: n.
    """

    features: np.ndarray
    accuracy: np.ndarray
    latency: np.ndarray

    def tier(self, number: int, tiers: int) -> tuple[np.ndarray, np.ndarray]:
        """Features and accuracy of one of so many parts of equal size by latency; equal features once."""
        order = np.argsort(self.latency, kind="stable")
        rows = order[number * len(order) // tiers : (number + 1) * len(order) // tiers]
        points, which = np.unique(self.features[rows], axis=0, return_inverse=True)
        return points, np.bincount(which, self.accuracy[rows]) / np.bincount(which)


def read_pool(path: Path) -> PoolTable:
    """The table in a file; see the module.

    Raises:
        InvalidArgumentError: there is no such file, or it lacks a column.
    """
    if not path.is_file():
        raise InvalidArgumentError(f"There is no file {path}.", "--held-out takes a CSV or JSON table of networks.")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", newline="") as file:
        rows = json.load(file) if ".json" in path.suffixes else list(csv.DictReader(file))
    return table_of(rows, str(path))


def timm_pool() -> PoolTable:
    """Networks of timm's published results that have a published throughput: one of each size of input."""
    ips = {(row["architecture"], row["input_px"]): float(row["throughput_ips"]) for row in throughput_rows()
           if row["chip"] == _TIMM_CHIP}  # fmt: skip
    rows = []
    for row in network_rows():
        speed = ips.get((row["tag"].partition(".")[0], row["input_px"]))
        names = ("parameters_millions", "multiply_adds_billions", "activations_millions", "input_px")
        if speed and row["top1_percent"] and all(row[name] for name in names):
            trained = {"wide data": int(row["pretraining"] != "imagenet-1k")}
            figures = {name: row[name] for name in names}
            rows.append({**figures, **trained, "accuracy": row["top1_percent"], "latency_ms": 1000 / speed})
    return table_of(rows, "timm's results")


def table_of(rows: Sequence[Mapping[str, Any]], source: str) -> PoolTable:
    """A table from rows by column; those without accuracy or latency are left out.

    Raises:
        InvalidArgumentError: there is none, or no column of accuracy, latency or features.
    """
    names = list(rows[0]) if rows else []
    accuracy = next((name for name in ACCURACIES if name in names), None)
    latency = next((name for name in LATENCIES if name in names), None)
    figures = [name for name in (accuracy, latency) if name]
    kept = [row for row in rows if len(figures) == 2 and all(_number(row[name]) for name in figures)]
    features = [
        name for name in names
        if name not in (*ACCURACIES, *LATENCIES) and all(_number(row[name]) for row in kept)
    ]  # fmt: skip
    if not kept or not features:
        raise InvalidArgumentError(
            f"{source} must have rows with accuracy, latency_ms and numbers as features, but has columns "
            f"{', '.join(names) or '(none)'}.",
            "Name the columns so, and leave no feature empty.",
        )
    table = np.array([[float(row[name]) for name in (*features, *figures)] for row in kept])
    found = table[:, :-2].copy()
    wide = (found.min(axis=0) > 0) & (found.max(axis=0) > _WIDE * found.min(axis=0))
    found[:, wide] = np.log(found[:, wide])
    return PoolTable(found, table[:, -2], table[:, -1])


def _number(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False
