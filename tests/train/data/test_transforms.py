from __future__ import annotations

import pytest
from helpers.runs import network

from gpunet.errors import SpecError
from gpunet.model.preprocessing import image_config
from gpunet.train.data.transforms import training_transform
from gpunet.train.recipe import Augmentation


def test_a_policy_that_timm_has_not_is_said() -> None:
    with pytest.raises(SpecError, match=r"augmentation.policy: timm cannot make 'foo-m9': .*\nIt has rand-m9"):
        training_transform(image_config(network()), Augmentation("foo-m9"))
