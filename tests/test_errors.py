"""What a script reads of an error: its kind says the exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpunet import errors
from gpunet.errors import FAILED_EXIT_CODE, EntryError, GpunetError

CLASSES = [getattr(errors, name) for name in errors.__all__]
DOC = Path(__file__).parents[1] / "docs" / "command-line.md"
CODES = {code: GpunetError("", exit_code=code).kind for code in (2, 3, 4, 5, 6, 75, 130)}


def test_every_kind_has_one_exit_code():
    codes = {kind: code for code, kind in CODES.items()}
    for each in CLASSES:
        error = each("wrong", "mend it")
        assert codes.setdefault(error.kind, error.exit_code) == error.exit_code
    assert CODES == {2: "usage", 3: "nothing_fits", 4: "absent", 5: "missing", 6: "failed", 75: "preempted",
                     130: "interrupted"}  # fmt: skip


@pytest.mark.parametrize("error", CLASSES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("code", CODES)
def test_another_exit_code_is_another_kind(error: type[GpunetError], code: int):
    made = error("wrong", exit_code=code)
    assert made.kind == (error("wrong").kind if code == error.exit_code else CODES[code])


def test_an_error_as_json():
    error = EntryError("no JSON", "Mend it.", nearest=["a"], exit_code=FAILED_EXIT_CODE)
    assert error.to_dict() == {"error": "failed", "message": "no JSON", "hint": "Mend it.", "nearest": ["a"]}
    assert GpunetError("", exit_code=9).kind == "exit_9"


def test_the_guide_names_every_kind_with_its_exit_code():
    said = {
        kind: int(code)
        for code, kinds in re.findall(r"^\| (\d+) \|[^|]*\| ([^|]*)\|$", DOC.read_text("utf-8"), re.MULTILINE)
        for kind in re.findall("`([a-z_]+)`", kinds)
    }
    made = [each("wrong") for each in CLASSES if each is not GpunetError]
    assert said == {kind: code for code, kind in CODES.items()} | {each.kind: each.exit_code for each in made}
