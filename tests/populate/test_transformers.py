"""gpunet populate on a space that is not GPUNet's, from its layers to a published, reloaded network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import timm
import torch

import gpunet
from gpunet.populate import PRESETS, Context, StateFolder, populate
from gpunet.search import VitSpace


@pytest.mark.slow
def test_a_space_of_transformers_goes_the_whole_way(tmp_path: Path):
    """A space that shares nothing with GPUNet's: its winners are published, and built again from their entries."""
    plan = PRESETS["demo-small"]()
    recipe = dataclasses.replace(plan.search.recipe, epochs=1)
    plan = dataclasses.replace(
        plan, name="vit", space=VitSpace((32,), (8,), (24, 48), (1, 2), (2,), (2.0,)),
        search=dataclasses.replace(plan.search, trials=2, random_trials=0, recipe=recipe, workers=1),
        fine_tune=dataclasses.replace(
            plan.fine_tune, recipe=dataclasses.replace(plan.fine_tune.recipe, epochs=1), tolerance_percent=99.0,
        ),
        table=dataclasses.replace(plan.table, fraction=1.0, networks=0),
        tiers=dataclasses.replace(plan.tiers, count=2000, lowest=0.0, highest=1.0),
    )  # fmt: skip
    said: list[str] = []
    place = StateFolder(tmp_path / "state", plan)
    with place.held():
        done = populate(Context(plan, place, said.append), "report")
    assert done.entries, said  # of the slower tier at least, which has no upper bound
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for folder in done.entries:
        ours = gpunet.load(folder.name, zoo=folder.parent)
        theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        with torch.inference_mode():
            torch.testing.assert_close(theirs(images), ours(images))
        assert ours.entry.model_args["embed_dim"] in (24, 48)
    assert done.page is not None
    assert "mlp_ratio" in done.page.read_text(encoding="utf-8")
