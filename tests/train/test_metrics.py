from __future__ import annotations

import json
from pathlib import Path

from gpunet.train.checkpoint import Position
from gpunet.train.metrics import Metrics


def test_a_resumed_run_drops_what_lies_behind_its_checkpoint(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, Position(0), 0, tensorboard=False)
    for epoch in range(2):
        for step in (1, 2):
            metrics.write("step", Position(epoch, step), 0, {"loss": epoch + step})
        metrics.write("epoch", Position(epoch + 1), 0, {"train_loss": epoch})
    metrics.close()
    with open(tmp_path / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"kind": "step", "epo')  # killed while it wrote
    Metrics(tmp_path, Position(1, 1), 0, tensorboard=False).close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["kind"], line["epoch"], line["step"]) for line in lines] == [
        ("step", 0, 1), ("step", 0, 2), ("epoch", 1, 0), ("step", 1, 1)
    ]  # fmt: skip
