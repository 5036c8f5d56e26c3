"""Public latencies of networks on GPUs that the estimates rest on, as data of the package; and files of the same kind.

Figures stay as published. `clean` marks those that calibration uses; the others are kept to try estimates on.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from gpunet.core.files import atomic_path
from gpunet.errors import EntryError

FILE = Path(__file__).parent / "data" / "records.csv.gz"


@dataclass(frozen=True)
class PublicRecord:
    """One published latency.

    Args:
        network: its name among the known networks, ARCHITECTURE@PX.
        gpu: board, by its name in gpus.csv.
        batch_size: images a run.
        precision: 'fp16' or 'fp32'.
        latency_ms: of the whole batch.
        source_id: who published it, one word.
        swish_apart: whether the release of TensorRT runs a swish as a kernel of its own.
        clean: whether calibration uses it.
        family: of the network, for hold-outs.
        source: where it was published.
    """

    network: str
    gpu: str
    batch_size: int
    precision: str
    latency_ms: float
    source_id: str
    swish_apart: bool
    clean: bool
    family: str
    source: str


_NAMES = tuple(each.name for each in fields(PublicRecord))


def public_records() -> tuple[PublicRecord, ...]:
    """Those that the package carries."""
    return _read(FILE)


@functools.cache
def _read(path: Path) -> tuple[PublicRecord, ...]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return tuple(_record(row, path) for row in csv.DictReader(file))


def _record(row: dict[str, str], path: Path) -> PublicRecord:
    try:
        return PublicRecord(
            row["network"], row["gpu"], int(row["batch_size"]), row["precision"], float(row["latency_ms"]),
            row["source_id"], bool(int(row["swish_apart"])), bool(int(row["clean"])), row["family"], row["source"],
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise EntryError(
            f"{path}: a row is no public record: {error}.", "tools/update_gpu_data.py writes it."
        ) from None


def write_records(path: Path, records: Iterable[PublicRecord]) -> None:
    """Write the file, atomically; the same records give the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_NAMES)
    writer.writerows([int(value) if isinstance(value, bool) else value for value in astuple(each)] for each in records)
    with atomic_path(path) as part:
        part.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))


# ------------------------------------------------------------- raw files of the same columns as the gathered records

# Figures of batch 1 that are measured as trtexec does, and the larger batches whose conditions are known.
_CLEAN = {
    ("gpunet_pub", "tensorrt"), ("gpunet_pub", "onnxruntime"), ("netspresso", "tensorrt"),
    ("supergradients", "tensorrt"), ("wbrennan", "tensorrt"), ("arttrt", "tensorrt-python"),
}  # fmt: skip
_ARTTRT = ("RTX 3060", "RTX 2060 Max-Q")  # its Jetsons ran in an unknown power mode
_TRIED = {("torch2trt_nano", "torch2trt"), ("torch2trt_xavier", "torch2trt")}
# TensorRT 8.0 and JetPack 4.6, which holds it, run a swish apart.
_OLD = ("8.0", "8", "tensorrt", "JetPack 4.6", "")
_SIZES = {"gpunet_0": 320, "gpunet_1": 288, "gpunet_2": 384, "gpunet_d1": 456, "gpunet_d2": 528, "gpunet_p0": 224,
          "gpunet_p1": 224}  # fmt: skip
_PLAIN = ("vgg", "alexnet", "squeezenet", "resnet", "resnest", "densenet")


def records_of_file(path: Path, *, every: bool = False) -> Iterator[PublicRecord]:
    """The records of a file of raw figures, as CSV, gzipped or not, that calibration may use or that are tried.

    Args:
        path: with the columns source_id, network, timm_name, tv_name, resolution, gpu, batch, precision, runtime,
            runtime_version, statistic, latency_ms, source.
        every: all TensorRT figures in floating point, whoever published them: a file of held-out records.

    Raises:
        EntryError: (a ValueError) it lacks a column, or holds something else than a number where one is due.
    """
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                found = _of_row(row, every)
            except (KeyError, ValueError, TypeError) as error:
                raise EntryError(
                    f"{path}:{number}: the row is no record of a latency: {error}.",
                    "It needs the columns of the gathered records: source_id, network, timm_name, gpu, batch, ...",
                ) from None
            if found is not None:
                yield found


def _of_row(row: dict[str, str], every: bool) -> PublicRecord | None:
    kind = (row["source_id"], row["runtime"])
    usable = row["precision"] in ("fp16", "fp32") and row["latency_ms"] and row["statistic"] not in ("tier", "with IO")
    if every:
        usable = usable and ("tensorrt" in row["runtime"] or "trt" in row["runtime"])
    else:
        usable = usable and kind in _CLEAN | _TRIED and row["precision"] == "fp16"
        usable = usable and not (row["source_id"] == "arttrt" and row["gpu"] not in _ARTTRT)
        usable = usable and not (kind == ("gpunet_pub", "onnxruntime") and row["batch"] == "1")  # the same measurement
    name = network_of_row(row)
    if not usable or not name:
        return None
    return PublicRecord(
        name, row["gpu"], int(row["batch"]), row["precision"], float(row["latency_ms"]), row["source_id"],
        row["runtime_version"] in _OLD or row["runtime_version"].startswith("8.0"), kind in _CLEAN,
        family_of(name), row["source"],
    )  # fmt: skip


def network_of_row(row: dict[str, str]) -> str:
    """The name that the known networks have for a row's; '' where nobody knows how to build it."""
    network = row["network"]
    if network in _SIZES:
        return f"{network}@{_SIZES[network]}"
    if "no classifier" in row.get("note", ""):
        return f"{network}:features@{row['resolution']}"
    name = row["timm_name"] or (row["tv_name"] and f"torchvision/{row['tv_name']}")
    return f"{name}@{row['resolution']}" if name else ""


def family_of(network: str) -> str:
    """Networks of one family are left out together: 'gpunet', 'resnet', 'efficientnet', 'efficientnetx', ..."""
    name = network.removeprefix("torchvision/").partition("@")[0]
    for each in ("efficientnetx", *_PLAIN):
        if name.startswith(each):
            return each
    return name.partition("_")[0].rstrip("0123456789")
