"""What a run reports: `metrics.jsonl`, a JSON object a line, and TensorBoard where it is asked for.

A resumed run writes again what lies behind its checkpoint: those lines are dropped first.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from gpunet.core.files import require, write_text
from gpunet.core.json_files import parsed_json
from gpunet.train.checkpoint import Position

_TAGS = ("loss", "learning_rate", "images_per_s", "train_loss", "top1_percent", "raw_top1_percent", "ap_percent",
         "raw_ap_percent")  # fmt: skip


class Metrics:
    """The metrics of one run.

    Args:
        out: the run's folder.
        position: where the run stands.
        updates: done until there.
        tensorboard: write for TensorBoard too.

    Raises:
        MissingDependencyError: (an ImportError) TensorBoard is asked for and is not installed.
    """

    def __init__(self, out: Path, position: Position, updates: int, *, tensorboard: bool) -> None:
        self._path = out / "metrics.jsonl"
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if _at(line) is not None and _at(line) <= position]  # type: ignore[operator]
            if kept != lines:
                write_text(self._path, "".join(kept))
        self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115
        self._board: Any = None
        if tensorboard:
            require("tensorboard", "train", purpose="for tensorboard=True")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=updates)

    def write(self, kind: str, position: Position, updates: int, values: dict[str, Any]) -> None:
        """A line: its kind ('step' or 'epoch'), what has been done, and the values (NaN as null, as JSON has none)."""
        place = {"kind": kind, "epoch": position.epoch, "step": position.step, "updates": updates}
        finite = {name: None if isinstance(value, float) and not math.isfinite(value) else value
                  for name, value in values.items()}  # fmt: skip
        self._file.write(json.dumps({**place, **finite}, allow_nan=False) + "\n")
        self._file.flush()
        if self._board is not None:
            for name in _TAGS:
                if values.get(name) is not None:
                    self._board.add_scalar(f"{kind}/{name}", values[name], updates)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _at(line: str) -> Position | None:
    """Where a line is of; None for one that was cut off."""
    try:
        read = parsed_json(line)
        return Position(int(read["epoch"]), int(read["step"]))
    except (ValueError, KeyError, TypeError):
        return None
