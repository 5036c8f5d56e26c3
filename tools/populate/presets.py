"""Plans that need no file: the whole path in small, on scikit-learn's digits and this machine's processor."""

from __future__ import annotations

import dataclasses

from gpunet.search.conv_space import ConvSpace, StageChoices
from gpunet.search.search_data import SearchData
from gpunet.train.recipe import Augmentation, Optimization, Recipe, Schedule

from populate.plan import DevicePlan, FineTunePlan, Plan, PublishPlan, SearchPlan, TablePlan, TiersPlan


def demo_space() -> ConvSpace:
    """The paper's stages in small: images of 28 to 64 px, six thousand networks of 5,000 to 60,000 parameters."""
    return ConvSpace(
        resolutions_px=(28, 40, 64),
        stem_filters=(8, 12),
        stages=(
            StageChoices("conv", 1, None, (3,), (1,), ("relu",)),
            StageChoices("fused_irb", 2, (12, 20), (3, 5), (1,), ("relu",), (1, 3), (False,)),
            StageChoices("irb", 2, (24, 40), (3, 5), (1, 2), ("relu", "swish"), (2, 4), (False, True)),
            StageChoices("irb", 1, (48,), (3,), (0, 1), ("swish",), (2,), (False,)),
        ),
        head_filters=64,
    )


def demo_recipe(epochs: int = 3) -> Recipe:
    """Short enough that two processor cores rank a hundred networks in minutes, and that accuracies lie far apart."""
    return Recipe(
        "demo-rank",
        epochs=epochs,
        batch_size=16,
        optimization=Optimization("adamw", 3e-3, 16, weight_decay=0.02),
        schedule=Schedule("cosine", warmup_epochs=0, by_update=True),
        augmentation=Augmentation(enabled=False),
    )


def demo_data() -> SearchData:
    """A quarter of the training images to train on, a quarter kept out to rank on."""
    return SearchData("digits", fraction=0.2, holdout=0.25)
