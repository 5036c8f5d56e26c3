"""The catalogue's tables: timm's networks with their published accuracies, and published throughputs of them.

`networks.csv.gz` has a row a tag and input size, `throughput.csv.gz` one an architecture, input size, GPU and runtime;
`catalog.json` says what they were made from. `tools/update_timm_catalog.py` writes them; nobody edits them by hand.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.core.files import atomic_path, write_text

FOLDER = Path(__file__).parent.parent / "data" / "timm"
NETWORKS, THROUGHPUT, ABOUT = "networks.csv.gz", "throughput.csv.gz", "catalog.json"
EXTRA_DATA = {"yes": True, "no": False, "unknown": None}
NETWORK_COLUMNS = (
    "tag", "input_px", "top1_percent", "top5_percent", "top1_real_percent", "top1_v2_percent", "crop_pct",
    "interpolation", "mean", "std", "parameters_millions", "multiply_adds_billions", "activations_millions", "licence",
    "pretraining", "extra_data", "fixed_input", "branches", "source",
)  # fmt: skip
THROUGHPUT_COLUMNS = (
    "architecture", "input_px", "chip", "runtime", "runtime_version", "layout", "batch_size", "throughput_ips", "source"
)  # fmt: skip


@dataclass(frozen=True)
class About:
    """What the tables were made from.

    Args:
        repository, commit: of the published results.
        timm_version: the release that says licences and preprocessing.
    """

    repository: str
    commit: str
    timm_version: str


def network_rows(folder: Path = FOLDER) -> list[dict[str, str]]:
    """Rows of timm's networks, as text by the names of NETWORK_COLUMNS."""
    return _rows(folder / NETWORKS)


def throughput_rows(folder: Path = FOLDER) -> list[dict[str, str]]:
    """Rows of published throughputs, as text by the names of THROUGHPUT_COLUMNS."""
    return _rows(folder / THROUGHPUT)


def read_about(folder: Path = FOLDER) -> About:
    """What the tables in a folder were made from."""
    return About(**json.loads((folder / ABOUT).read_text(encoding="utf-8")))


def write_tables(
    folder: Path, about: About, networks: Iterable[dict[str, Any]], throughputs: Iterable[dict[str, Any]]
) -> None:
    """Write the three files, each atomically; the same rows give the same bytes."""
    _write(folder / NETWORKS, NETWORK_COLUMNS, networks)
    _write(folder / THROUGHPUT, THROUGHPUT_COLUMNS, throughputs)
    write_text(folder / ABOUT, json.dumps(vars(about), indent=2) + "\n")


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    return [dict(zip(header, line, strict=True)) for line in lines]


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_path(path) as part:
        part.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))
