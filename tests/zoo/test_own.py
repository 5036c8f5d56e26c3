from __future__ import annotations

from pathlib import Path

import pytest
from helpers.entries import ENTRY, write_zoo

from gpunet.errors import EntryError
from gpunet.zoo.own import check_new_name


def test_a_name_that_another_entry_has_is_refused(tmp_path: Path) -> None:
    name = ENTRY["name"]
    check_new_name("mine", tmp_path / "out")
    folder = write_zoo(tmp_path / "zoo" / "mine", name="entry.json")
    check_new_name(name, folder, tmp_path / "zoo")  # its own
    for taken, zoo in ((name, tmp_path / "zoo"), ("gpunet_p0", None), ("resnet50", None)):
        with pytest.raises(EntryError, match=rf"has a network '{taken}' already: .*\nGive another: --name NAME"):
            check_new_name(taken, tmp_path / "out", zoo)


@pytest.mark.parametrize("name", ["../../evil", "a b", "a\nb"])
def test_a_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(EntryError, match=r"is no name for a network\.\nA name is a word .* Give another: --name NAME"):
        check_new_name(name, tmp_path)
