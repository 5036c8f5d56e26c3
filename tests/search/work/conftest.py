"""Workers and their registry are tested in one storage: that all storages keep their promises is tests/search/storage.

What workers do together is tried in each of them all the same, by `every_place`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers.storages import STORAGES, place_in
from helpers.studies import Place


@pytest.fixture
def place(file_place: Place) -> Place:
    return file_place


@pytest.fixture
def database(file_place: Place) -> Place:
    return file_place


@pytest.fixture(params=STORAGES)
def every_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = place_in(request, request.param, tmp_path_factory.mktemp("place"))
    yield made
    made.close()
