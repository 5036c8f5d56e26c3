"""What every search space promises, on gpunet's own and on one that is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.spaces import SMALL_SPACE
from helpers.tower_space import TowerSpace

from gpunet.search import SearchSpace, VitSpace
from gpunet.search.spaces.space import register_space, unregister_space
from gpunet.testing.spaces import SpaceContract

OWN = {"conv": SMALL_SPACE, "vit": VitSpace((32, 48), (4, 8), (24, 48), (1, 2, 4), (2, 3, 6), (2, 4))}


class TestOurs(SpaceContract):
    @pytest.fixture(params=OWN)
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        return OWN[request.param]


class TestARegisteredOne(SpaceContract):
    @pytest.fixture
    def space(self) -> Iterator[SearchSpace]:
        register_space("tower", TowerSpace)
        yield TowerSpace((32, 48), (1, 2, 3), (8, 16))
        unregister_space("tower")
