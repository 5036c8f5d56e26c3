"""A teacher's answers on disk, image by image, for augmentation that is the same in every epoch.

    FILE        n x classes float16, row by row, NaN where nothing is known yet
    FILE.json   what they are of; answers of anything else are refused

A row is whole or not there: a killed run leaves a cache that the next one goes on filling.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gpunet.core.files import atomic_path, write_text
from gpunet.core.json_files import parsed_json
from gpunet.errors import FAILED_EXIT_CODE, TrainingError
from gpunet.train.checkpoint import told


class TeacherCache:
    """The answers of one teacher to the images of one dataset.

    Args:
        path: the file.
        images: rows.
        num_classes: columns.
        identity: what the answers depend on: the teacher's weights, its resolution, the augmentation.
        answer: the teacher: `n x C x H x W` -> `n x classes` logits, asked for what is not known yet.

    Raises:
        TrainingError: the file is of other images, another teacher or another augmentation.
    """

    def __init__(
        self, path: Path, images: int, num_classes: int, identity: dict[str, Any], answer: Callable[[Tensor], Tensor]
    ) -> None:
        self._answer = answer
        wanted = json.loads(json.dumps({"images": images, "classes": num_classes, **identity}))
        about = path.with_name(path.name + ".json")
        if path.exists() and about.exists():
            try:
                found = parsed_json(about.read_bytes())
            except ValueError as error:
                raise TrainingError(
                    f"{about} cannot be read: {error}",
                    f"Delete it and {path}: the teacher is asked again.",
                    exit_code=FAILED_EXIT_CODE,
                ) from None
            differing = [name for name in wanted if found.get(name) != wanted[name]]
            if differing or path.stat().st_size != 2 * images * num_classes:
                raise TrainingError(
                    f"{path} holds a teacher's answers of another {', '.join(differing) or 'size'}.",
                    "Delete it, or name another file.",
                )
        else:
            with told(path):
                with atomic_path(path) as part:
                    np.full((images, num_classes), np.nan, np.float16).tofile(part)
                write_text(about, json.dumps(wanted, indent=2) + "\n")
        self._rows = np.memmap(path, dtype=np.float16, mode="r+", shape=(images, num_classes))

    def logits(self, images: Tensor, indices: Tensor) -> Tensor:
        """`n x classes` float32: those known, and those asked for now, which are rounded to half alike."""
        places = indices.cpu().numpy()
        known = torch.from_numpy(np.array(self._rows[places])).float()
        missing = torch.isnan(known).any(dim=1)
        if missing.any():
            answers = self._answer(images[missing.to(images.device)]).cpu().half()
            self._rows[places[missing.numpy()]] = answers.numpy()
            known[missing] = answers.float()
        return known.to(images.device)


def weights_sha256(network: nn.Module) -> str:
    """SHA-256 (hex) of a network's weights and buffers, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if value.ndim else
                      str(value.item()).encode())  # fmt: skip
    return digest.hexdigest()
