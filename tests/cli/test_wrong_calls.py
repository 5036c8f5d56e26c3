"""Wrong calls of every command: one error with a hint, the exit code that is documented, and never a traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.commands import LEAVES, options

from gpunet.cli.main import main
from gpunet.core import console

USAGE, NOTHING, ABSENT, MISSING, FAILED = 2, 3, 4, 5, 6
Ended = Callable[..., tuple[int, str]]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ended:
    """Runs `gpunet` with some arguments: its exit code, and what it said on standard error."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["gpunet", *arguments])
        with pytest.raises(SystemExit) as left:
            console.run(main)
        return int(left.value.code or 0), capsys.readouterr().err

    return run


def _named(case: object) -> str | None:
    return " ".join(case) if isinstance(case, tuple) else None


_NUMERIC = ("<class 'int'>", "<class 'float'>")
TAKING = [(words, name) for words in LEAVES for name in options(words)]
NUMBERS = [(words, name) for words in LEAVES for name, kind in options(words).items() if kind in _NUMERIC]


@pytest.mark.parametrize(("words", "name"), TAKING, ids=_named)
def test_an_option_without_its_value(words: tuple[str, ...], name: str, ended: Ended):
    code, said = ended(*words, name)
    assert code == USAGE
    assert f"gpunet {' '.join(words)}" in said
    assert "hint: " in said


@pytest.mark.parametrize(("words", "name"), NUMBERS, ids=_named)
def test_a_number_that_is_none(words: tuple[str, ...], name: str, ended: Ended):
    code, said = ended(*words, name, "twelve")
    assert code == USAGE
    assert f"'{name}'" in said
    assert "hint: " in said


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
@pytest.mark.parametrize("wrong", ["--nothing", "-Q", "--jsn"])
def test_an_option_that_there_is_not(words: tuple[str, ...], wrong: str, ended: Ended):
    code, said = ended(*words, wrong)
    assert code == USAGE
    assert "No such option" in said
    assert "hint: " in said
