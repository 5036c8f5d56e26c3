"""Train, distil and score networks: recipes as data, a loop that survives its process, one loader for every runtime.

Every public name loads its module on first use (PEP 562).
"""

from __future__ import annotations

from gpunet.core.lazy import lazily

_LAZY = {
    "Augmentation": "gpunet.train.recipe",
    "Distillation": "gpunet.train.recipe",
    "EpochScore": "gpunet.train.score",
    "Evaluation": "gpunet.train.evaluation.evaluate",
    "ImageData": "gpunet.train.data.datasets",
    "Optimization": "gpunet.train.recipe",
    "Recipe": "gpunet.train.recipe",
    "Schedule": "gpunet.train.recipe",
    "Standing": "gpunet.train.folder",
    "Teacher": "gpunet.train.distillation.teacher",
    "TrainingResult": "gpunet.train.score",
    "evaluate": "gpunet.train.evaluation.evaluate",
    "runner_from_model": "gpunet.train.evaluation.evaluate",
    "open_data": "gpunet.train.data.datasets",
    "recipe_named": "gpunet.train.recipes",
    "train": "gpunet.train.engine",
}

__all__ = list(_LAZY)
__getattr__, __dir__ = lazily(__name__, _LAZY)
