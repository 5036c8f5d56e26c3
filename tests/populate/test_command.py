from __future__ import annotations

import dataclasses

from gpunet.populate.command import _dataset_asked_for
from gpunet.populate.presets import PRESETS


def test_what_it_says_at_its_end_names_the_data_unless_it_is_imagenet():
    plan = PRESETS["demo"]()
    assert _dataset_asked_for(plan) == (" --dataset 'digits (validation)'", ", dataset='digits (validation)'")
    search = dataclasses.replace(plan.search, data=dataclasses.replace(plan.search.data, data="/data/imagenet"))
    assert _dataset_asked_for(dataclasses.replace(plan, search=search)) == ("", "")
