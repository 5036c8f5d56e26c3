"""The documentation's site: a link or an anchor that leads nowhere fails `make docs`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a guide](other.md#there)", ""),
        ("[nothing](nowhere.md)", "nowhere.md"),
        ("[no such place](other.md#nowhere)", "nowhere"),
    ],
    ids=["whole", "link", "anchor"],
)
def test_a_broken_link_is_an_error(text: str, said: str, tmp_path: Path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(f"# One\n\n{text}\n", encoding="utf-8")
    (docs / "other.md").write_text("# Other\n\n## There\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nhooks: []\nplugins: []\nnav: [index.md, other.md]\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build"], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert (done.returncode != 0) == bool(said), done.stderr
    assert said in done.stderr
