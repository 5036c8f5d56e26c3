"""What every implementation of a protocol promises, as test classes: for runtimes, domains, search spaces and storages.

A class is taken over by a test file of one's own, which says what is tested; pytest then runs every promise on it:

    from gpunet.testing.domains import DomainContract

    class TestMyDomain(DomainContract):
        @pytest.fixture
        def domain(self) -> MyDomain:
            return MyDomain()

gpunet's own tests hold its own implementations to the same classes. It needs pytest.
"""

from __future__ import annotations

import pytest

_ASSERTING = ("domains", "runtimes", "spaces", "storages")

pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _ASSERTING))
