"""gpunet.search: its names, and how light it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpunet import search


@pytest.mark.parametrize("name", search.__all__)
def test_every_public_name_resolves(name: str):
    assert getattr(search, name) is not None
    assert name in dir(search)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'gpunet\.search' has no attribute 'nothing'"):
        _ = search.nothing


def test_domains_load_nothing_heavy():
    code = "import sys; from gpunet.search import Box; Box([0], [1]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "botorch", "sklearn", "optuna"} & set(done.stdout.split())
