from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpunet.core.json_files import checked_json, parsed_json
from gpunet.errors import ReportError

DAMAGED = [
    b"",
    b"{",
    b"\xff\xfe{",
    b"[" * 100_000,
    b"[" * 101 + b"]" * 101,
    b'{"a":' * 500 + b"1" + b"}" * 500,
    b"1" * 9999,
]


@pytest.mark.parametrize("text", DAMAGED)
def test_whatever_is_wrong_with_a_text_is_one_error(text: bytes, tmp_path: Path):
    with pytest.raises(json.JSONDecodeError):
        parsed_json(text)
    path = tmp_path / "file.json"
    path.write_bytes(text)
    with pytest.raises(ReportError, match=r"file\.json is damaged: it cannot be read as JSON") as error:
        checked_json(path, error=ReportError, hint="Make it anew.")
    assert (error.value.exit_code, error.value.hint) == (6, "Make it anew.")


def test_what_is_sound_is_read():
    assert parsed_json(b'{"a": [1, "\xc3\xa4"]}') == {"a": [1, "ä"]}
    assert parsed_json("[" * 100 + "]" * 100)


def test_a_file_that_is_not_there_has_another_exit_code(tmp_path: Path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ReportError, match="cannot be read") as error:
            checked_json(path, error=ReportError)
        assert error.value.exit_code == 4
