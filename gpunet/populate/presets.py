"""Plans that need no file: the whole path in small, on scikit-learn's digits and this machine's processor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from gpunet.populate.plan import DevicePlan, FineTunePlan, Plan, PublishPlan, SearchPlan, TablePlan, TiersPlan
from gpunet.populate.stages import PRESET_NAMES
from gpunet.search.spaces.conv_space import ConvSpace
from gpunet.search.spaces.stage_choices import StageChoices
from gpunet.search.study.definition import Pruning
from gpunet.search.study.search_data import SearchData
from gpunet.train.recipe import Augmentation, Optimization, Recipe, Schedule
from gpunet.train.recipes import recipe_named


def demo_space() -> ConvSpace:
    """The paper's stages in small: images of 28 to 64 px, fifteen hundred networks of 5,000 to 50,000 parameters."""
    return ConvSpace(
        resolutions_px=(28, 40, 64),
        stem_filters=(8,),
        stages=(
            StageChoices("conv", 1, None, (3,), (1,), ("relu",)),
            StageChoices("fused_irb", 2, (12, 20), (3,), (1,), ("relu",), (1, 3), (False,)),
            StageChoices("irb", 2, (24, 40), (3, 5), (1, 2), ("relu", "swish"), (2, 4), (False, True)),
            StageChoices("irb", 1, (48,), (3,), (0, 1), ("swish",), (2,), (False,)),
        ),
        head_filters=64,
    )


def demo_recipe(epochs: int = 2) -> Recipe:
    """Short enough that two processor cores rank a hundred networks in minutes, and that accuracies lie far apart."""
    return Recipe(
        "demo-rank",
        epochs=epochs,
        batch_size=16,
        optimization=Optimization("adamw", 8e-3, 16, weight_decay=0.02),
        schedule=Schedule("cosine", warmup_epochs=0, by_update=True),
        augmentation=Augmentation(enabled=False),
    )


def demo_data() -> SearchData:
    """A fifth of the training images is kept out to rank networks on, and a fifth of the rest is trained on."""
    return SearchData("digits", fraction=0.2, holdout=0.2)


def demo() -> Plan:
    """Three tiers, from nothing to published networks in ten minutes on two cores."""
    return Plan(
        "demo",
        demo_space(),
        SearchPlan(
            trials=24, random_trials=12, recipe=demo_recipe(), data=demo_data(), pruning=Pruning("median", 1, 6),
            workers=2, heartbeat_s=2.0, grace_s=30.0, device="cpu",
        ),
        FineTunePlan(dataclasses.replace(recipe_named("quick"), epochs=8), candidates=12),
        # In networks of 0.1 ms two threads wait for each other, never twice the same time.
        device=DevicePlan(threads=1),
        table=TablePlan(networks=12),
        tiers=TiersPlan(lowest=0.02, highest=0.98, count=100_000),
        publish=PublishPlan(licence="apache-2.0", note="A demonstration, on scikit-learn's digits: of no other use."),
    )  # fmt: skip


def demo_small() -> Plan:
    """The same still smaller, for a test: two tiers, a few trials, all of it trained and measured.

    The slower tier, which has no upper bound and a wide tolerance below, has a winner on a busy machine too.
    """
    plan = demo()
    return dataclasses.replace(
        plan,
        name="small",
        space=dataclasses.replace(demo_space(), resolutions_px=(28, 64), stem_filters=(8,)),
        search=dataclasses.replace(plan.search, trials=3, random_trials=2),
        fine_tune=dataclasses.replace(
            plan.fine_tune,
            recipe=dataclasses.replace(plan.fine_tune.recipe, epochs=4),
            candidates=1,
            tolerance_percent=75.0,
        ),
        table=TablePlan(fraction=0.2, networks=3),
        tiers=TiersPlan(quantiles=(0.5,), count=20_000),
    )


PRESETS: dict[str, Callable[[], Plan]] = dict(zip(PRESET_NAMES, (demo, demo_small), strict=True))
"""By name."""
