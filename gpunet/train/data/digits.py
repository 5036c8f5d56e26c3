"""scikit-learn's handwritten digits as an image dataset: real data that needs no download (1,797 images of 8 x 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.core.files import require
from gpunet.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

CLASSES = tuple("0123456789")
SPLITS = ("train", "validation")
VALIDATION_IMAGES = 360
_SEED = 0


class Digits:
    """One split; an item is a picture (RGB) and its class. The split is the same everywhere.

    Raises:
        DataError: (a ValueError) there is no such split.
        MissingDependencyError: (an ImportError) scikit-learn is not installed.
    """

    classes = CLASSES

    def __init__(self, split: str) -> None:
        if split not in SPLITS:
            raise DataError(f"digits has the splits {' and '.join(SPLITS)}, but got {split!r}.")
        loaded: Any = require("sklearn.datasets", "train", purpose="for the dataset 'digits'").load_digits()
        order = np.random.default_rng(_SEED).permutation(len(loaded.target))
        rows = order[:VALIDATION_IMAGES] if split == "validation" else order[VALIDATION_IMAGES:]
        self.images = np.rint(loaded.images[rows] * (255 / 16)).astype(np.uint8)
        self.targets = loaded.target[rows].astype(int)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Image, int]:
        from PIL import Image

        return Image.fromarray(self.images[index]).convert("RGB"), int(self.targets[index])
