"""A plan for a GPU that is not here: table and tiers by public records, and no winners."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gpunet.errors import InvalidArgumentError, SpecError
from gpunet.populate import table_stage, tier_stage
from gpunet.populate.context import Context
from gpunet.populate.place import StateFolder
from gpunet.populate.plan import DevicePlan, TablePlan, TiersPlan
from gpunet.populate.presets import PRESETS
from gpunet.populate.run import populate


def test_tiers_of_a_gpu_that_is_not_here(tmp_path: Path):
    plan = PRESETS["demo-small"]()
    plan = dataclasses.replace(
        plan, device=DevicePlan("gv100", "tensorrt", "fp16"), table=TablePlan(from_records=True),
        tiers=TiersPlan(quantiles=(0.5,), count=2000),
    )  # fmt: skip
    place = StateFolder(tmp_path, plan)
    context = Context(plan, place, print)
    with pytest.raises(SpecError, match="winners are measured on the device, and nothing here is a V100"):
        populate(context)
    large = dataclasses.replace(plan, device=dataclasses.replace(plan.device, batch_size=300))
    with pytest.raises(InvalidArgumentError, match=r"device\.batch_size: the layer records are of batches of 1 to 128"):
        populate(Context(large, place, print), "tiers")
    assert list(tmp_path.iterdir()) == []
    with place.held():
        populate(context, "tiers")
    tiers = tier_stage.tiers_of(context)
    assert sum(each.count for each in tiers) == 2000
    assert tiers[0].high_ms is not None
    assert 0.05 < tiers[0].high_ms < 0.5  # of some ten layers, each of which takes microseconds to start
    assert context.worth.margin_factor is not None
    assert table_stage.is_done(context)
