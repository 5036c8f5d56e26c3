"""Train, distil and score networks: recipes as data, a loop that survives its process, one loader for every runtime.

Names load on first use: importing this package is light. Scoring is `gpunet.train.evaluation.evaluate.evaluate`.
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_MODULES = {
    "Augmentation": "gpunet.train.recipe",
    "Distillation": "gpunet.train.recipe",
    "EpochScore": "gpunet.train.score",
    "Evaluation": "gpunet.train.evaluation.evaluate",
    "ImageData": "gpunet.train.data.datasets",
    "Optimization": "gpunet.train.recipe",
    "Recipe": "gpunet.train.recipe",
    "Schedule": "gpunet.train.recipe",
    "Teacher": "gpunet.train.distillation.teacher",
    "TrainingResult": "gpunet.train.score",
    "open_data": "gpunet.train.data.datasets",
    "recipe_named": "gpunet.train.recipes",
    "train": "gpunet.train.engine",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazily(__name__, _MODULES)
