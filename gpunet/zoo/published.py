"""What was published beside the zoo's latencies: Triton under load, the paper's Tables 3 and 4, Fig. 1B's other curve.

The figures stand in gpunet/zoo/data/tables as they were published; nothing here is measured or corrected.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.core.device import Device
from gpunet.model.entry import Entry, Match

_TABLES = Path(__file__).parent / "data" / "tables"
TRITON_SOURCE = (
    "NVIDIA DeepLearningExamples GPUNet Triton report, online scenario (ONNX Runtime backend with TensorRT "
    "accelerator, FP16, dynamic batches of at most 64, 2 instances; requests of one image over HTTP)"
)
_TABLE_3_RECORD = "paper, Table 3"  # what the source of its latency records begins with
TABLE_4 = "Wang et al., Searching the Deployable Convolution Neural Networks for GPUs, CVPR 2022, Table 4"
DETECTION_INPUT_PX = "1333x800"
_ROUNDING = 0.02
_ONLINE_WORDS = ("model", "chip", "board")


@dataclass(frozen=True)
class OnlineFigure:
    """Triton answering requests of one image that come side by side: no latency of the network alone.

    Args:
        model: name of the entry.
        chip, board: see gpunet.core.device.
        concurrency: requests under way at a time.
        throughput_ips: images a second.
        client_send_ms, network_and_server_send_receive_ms, server_queue_ms, server_compute_input_ms,
        server_compute_infer_ms, server_compute_output_ms, client_receive_ms: means of a request's parts.
        p50_ms, p90_ms, p95_ms, p99_ms, average_ms: of the whole request, as the client sees it.
    """

    model: str
    chip: str
    board: str
    concurrency: int
    throughput_ips: float
    client_send_ms: float
    network_and_server_send_receive_ms: float
    server_queue_ms: float
    server_compute_input_ms: float
    server_compute_infer_ms: float
    server_compute_output_ms: float
    client_receive_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    average_ms: float


@dataclass(frozen=True)
class Detection:
    """A row of the paper's Table 4: a network as the backbone of a detector on COCO, at 1333 x 800 px.

    The paper names neither GPU, batch size nor precision there.

    Args:
        model: name of the entry.
        top1_percent: on ImageNet, as the table has it.
        method: the detector.
        latency_ms: by TensorRT.
        map_percent: mean average precision.
    """

    model: str
    top1_percent: float
    method: str
    latency_ms: float
    map_percent: float


@dataclass(frozen=True)
class CurveFigure:
    """A network of EfficientNetV2, the curve of the paper's Fig. 1B that its Table 3 lacks.

    The paper draws it and prints no figures: these are NVIDIA's for EfficientNetV2's authors, with their accuracies.

    Args:
        title: such as 'EfficientNetV2-S'.
        top1_percent: on ImageNet-1k validation (Tan and Le, EfficientNetV2, ICML 2021, Table 7).
        chip, board: see gpunet.core.device.
        batch_size: images a run.
        precision: 'fp16'.
        latency_ms: of a run, by TensorRT.
        source: where it was published, with versions and switches.
    """

    title: str
    top1_percent: float
    chip: str
    board: str
    batch_size: int
    precision: str
    latency_ms: float
    source: str


@dataclass(frozen=True)
class Comparison:
    """A row of the paper's Table 3: a baseline against the GPUNet of its group.

    Args:
        model: name of the baseline's entry.
        against: of the GPUNet's.
        speedup: of the GPUNet, as published.
        accuracy_gain_percent: of the GPUNet in points of top-1, as published.
    """

    model: str
    against: str
    speedup: float
    accuracy_gain_percent: float


@dataclass(frozen=True)
class Reproduced:
    """A row of Table 3, and what its own latencies and accuracies come to.

    Args:
        published: the row.
        baseline, gpunet: the two entries.
        speedup: the baseline's latency in Table 3 over the GPUNet's.
        accuracy_gain_percent: the GPUNet's top-1 less the baseline's.
    """

    published: Comparison
    baseline: Entry
    gpunet: Entry
    speedup: float
    accuracy_gain_percent: float

    @property
    def agrees(self) -> bool:
        """Whether the published speed-up is that of the published latencies, within 2 %: they are rounded."""
        return abs(self.published.speedup / self.speedup - 1) <= _ROUNDING


def reproduced_table_3(matches: Iterable[Match]) -> list[Reproduced]:
    """The comparisons of Table 3 between those of these matches whose records are of it, in its order."""
    latencies_ms, known = {}, {}
    for match in matches:
        for record in match.records:
            if record.source.startswith(_TABLE_3_RECORD) and match.entry.role != "own":
                latencies_ms[match.name], known[match.name] = record.latency_ms, match.entry
    found = []
    for row in comparisons():
        if row.model in known and row.against in known:
            one, other = known[row.model], known[row.against]
            gain = (other.top1_percent or 0.0) - (one.top1_percent or 0.0)
            speedup = latencies_ms[row.model] / latencies_ms[row.against]
            found.append(Reproduced(row, one, other, speedup, round(gain, 2)))
    return found


@functools.cache
def online_figures() -> tuple[OnlineFigure, ...]:
    """All rows of the Triton reports' online scenario: 32 concurrencies on two boards for each released network."""
    found = []
    for row in _rows("triton_online.csv"):
        said: dict[str, Any] = {name: float(value) for name, value in row.items() if name not in _ONLINE_WORDS}
        said |= {name: row[name] for name in _ONLINE_WORDS} | {"concurrency": int(row["concurrency"])}
        found.append(OnlineFigure(**said))
    return tuple(found)


@functools.cache
def detections() -> tuple[Detection, ...]:
    """The paper's Table 4."""
    return tuple(
        Detection(row["model"], float(row["top1_percent"]), row["method"], float(row["latency_ms"]),
                  float(row["map_percent"]))
        for row in _rows("detection.csv")
    )  # fmt: skip


def efficientnetv2_curve(device: Device, batch_size: int = 1) -> list[CurveFigure]:
    """EfficientNetV2-S, -M and -L on a device at a batch size, the fastest first; none where none was published."""
    rows = [
        CurveFigure(row["title"], float(row["top1_percent"]), row["chip"], row["board"], int(row["batch_size"]),
                    row["precision"], float(row["latency_ms"]), row["source"])
        for row in _rows("efficientnetv2.csv")
    ]  # fmt: skip
    found = [row for row in rows if device.covers(row.chip, row.board) and row.batch_size == batch_size]
    return sorted(found, key=lambda row: row.latency_ms)


@functools.cache
def comparisons() -> tuple[Comparison, ...]:
    """The last two columns of the paper's Table 3."""
    return tuple(
        Comparison(row["model"], row["against"], float(row["speedup"]), float(row["accuracy_gain_percent"]))
        for row in _rows("table3.csv")
    )


def _rows(name: str) -> list[Mapping[str, str]]:
    with open(_TABLES / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
