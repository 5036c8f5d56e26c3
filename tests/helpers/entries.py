"""A zoo folder of somebody's own."""

from __future__ import annotations

import csv
import json

SPEC = {"resolution_px": 64, "stem": {"filters": 8}, "stages": [{"type": "conv", "filters": 8}], "head": {"filters": 8}}
ENTRY = {"format": "gpunet-entry", "format_version": 1, "name": "tiny", "architecture": "gpunet", "spec": SPEC}
RECORD = {
    "model": "tiny", "chip": "l4", "board": "L4 24GB", "batch_size": "1", "precision": "fp16", "runtime": "tensorrt",
    "runtime_version": "10.4", "statistic": "median", "latency_ms": "0.4", "kind": "measured", "source": "me",
}  # fmt: skip


def write_zoo(folder, *, entry=ENTRY, records=(RECORD,), name="tiny.json"):
    """A user's zoo folder with one entry and its latency CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(entry if isinstance(entry, str) else json.dumps(entry))
    with open(folder / "latency.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, sorted({key for record in records for key in record}) or ["model"])
        writer.writeheader()
        writer.writerows(records)
    return folder
