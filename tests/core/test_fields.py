from __future__ import annotations

import pytest

from gpunet.core.fields import check_number, in_file
from gpunet.errors import SpecError


def test_a_fault_in_a_file_names_the_file_before_the_field() -> None:
    with pytest.raises(SpecError) as caught, in_file("net.json"):
        check_number("stem.filters", -1, 1, rule="filters are 1 or more")
    assert caught.value.message.startswith("net.json: stem.filters: -1")


def test_what_it_was_found_by_stays() -> None:
    with pytest.raises(SpecError) as caught, in_file("net.json"):
        raise SpecError("spec: not JSON", "Mend it.", nearest=["a"], exit_code=6)
    assert (caught.value.message, caught.value.hint) == ("net.json: spec: not JSON", "Mend it.")
    assert (caught.value.nearest, caught.value.exit_code) == (("a",), 6)
