from __future__ import annotations

import pytest

from gpunet.core.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é, 猫, 🏳️‍🌈", "plain, é, 猫, 🏳️‍🌈"),
        ("می‌خواهم", "می‌خواهم"),
        ("10\u00a0ms", "10\u00a0ms"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\x00", "a\\nb\\tc\\x00"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("\u2028\ud800", "\\u2028\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_stands_as_an_escape(text: str, shown: str):
    assert printable(text) == shown


def test_letters_may_be_kept():
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
