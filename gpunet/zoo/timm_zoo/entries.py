"""timm's networks as entries of the zoo: each input size that an accuracy was published at is one.

A latency is of an architecture and its input size, whatever weights it holds, so all tags of it share their records:
images a second, published of batches that fill a GPU. None of them is the latency of one image.
"""

from __future__ import annotations

import functools
import re
from collections import Counter

from gpunet.model.dataset_names import IMAGENET
from gpunet.model.entry import TIMM, Accuracy, Entry, LatencyRecord, Preprocessing
from gpunet.zoo.timm_zoo.tables import EXTRA_DATA, FOLDER, network_rows, read_about, throughput_rows

_BOARDS = {"rtx3090": "GeForce RTX 3090", "rtx4090": "GeForce RTX 4090", "rtx5090": "GeForce RTX 5090"}
# What a tag says of a teacher; ssld is semi-supervised label distillation.
_DISTILLED = re.compile(r"(?<![a-z])dist(illed)?(?![a-z])|ssld|miil_green")


@functools.cache
def timm_entries() -> tuple[Entry, ...]:
    """All of them, the most accurate first; named TAG, or TAG@PX where a tag has several input sizes."""
    about, rows = read_about(), network_rows()
    place = f"{about.repository.removeprefix('https://github.com/')}@{about.commit[:7]}"
    sizes = Counter(row["tag"] for row in rows)
    records = _records(place)
    steps: dict[tuple[str, ...], Preprocessing] = {}
    entries = []
    for row in rows:
        px = int(row["input_px"])
        name = row["tag"] if sizes[row["tag"]] == 1 else f"{row['tag']}@{px}"
        said = (row["input_px"], row["crop_pct"], row["interpolation"], row["mean"], row["std"])
        if said not in steps:
            mean, std = (tuple(map(float, row[key].split())) for key in ("mean", "std"))
            steps[said] = Preprocessing(px, float(row["crop_pct"]), row["interpolation"], mean, std)
        source = f"timm, results/{row['source']}, {place}"
        said_by = f"timm, results/{row['source'].partition(';')[0]}, {place}"
        accuracy = Accuracy(float(row["top1_percent"]), IMAGENET, said_by, float(row["top5_percent"]))
        entries.append(
            Entry(
                name=name,
                role=TIMM,
                architecture=row["tag"],
                accuracy=accuracy,
                preprocessing=steps[said],
                licence=row["licence"],
                sources=(source, f"licence and preprocessing: timm {about.timm_version}"),
                note=f"trained on {row['pretraining']}, as its tag says",
                parameters_millions=float(row["parameters_millions"]),
                multiply_adds_billions=float(row["multiply_adds_billions"]),
                activations_millions=float(row["activations_millions"]),
                distilled=True if _DISTILLED.search(row["tag"]) else None,
                extra_data=EXTRA_DATA[row["extra_data"]],
                records=records.get((row["tag"].partition(".")[0], row["input_px"]), ()),
                folder=FOLDER,
            )
        )
    return tuple(entries)


def _records(place: str) -> dict[tuple[str, str], tuple[LatencyRecord, ...]]:
    """Published throughputs by (architecture, input size in px)."""
    found: dict[tuple[str, str], tuple[LatencyRecord, ...]] = {}
    for row in throughput_rows():
        key = (row["architecture"], row["input_px"])
        batch_size, throughput_ips = int(row["batch_size"]), float(row["throughput_ips"])
        record = LatencyRecord(
            model="@".join(key),
            chip=row["chip"],
            board=_BOARDS.get(row["chip"], ""),
            batch_size=batch_size,
            precision="fp16",
            runtime=row["runtime"],
            runtime_version=row["runtime_version"],
            statistic="mean",
            latency_ms=round(1000 * batch_size / throughput_ips, 4),
            throughput_ips=throughput_ips,
            kind="throughput",
            source=f"timm, results/{row['source']}, {place}",
            conditions={"autocast": True, "layout": row["layout"]},
        )
        found[key] = (*found.get(key, ()), record)
    return found
