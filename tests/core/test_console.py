from __future__ import annotations

import io
import json
import subprocess
import sys
import warnings

import pytest

from gpunet.core import console
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.timing import NoisyMachineWarning


@pytest.fixture(autouse=True)
def _showwarning_restored():
    """`console.run` is the end of a process; in a test it is not."""
    shown = warnings.showwarning
    yield
    warnings.showwarning = shown


def test_a_known_error_prints_message_and_hint_and_exits_2(capsys):
    def command() -> None:
        raise InvalidArgumentError("low <= high must hold, but got low=3, high=1.", "Swap them.")

    with pytest.raises(SystemExit) as stopped:
        console.run(command)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.err == "error: low <= high must hold, but got low=3, high=1.\nhint: Swap them.\n"
    assert said.out == ""


def test_an_error_without_a_hint_prints_no_hint(capsys):
    def command() -> None:
        raise InvalidArgumentError("wrong.")

    with pytest.raises(SystemExit):
        console.run(command)
    assert capsys.readouterr().err == "error: wrong.\n"


def test_a_bug_keeps_its_traceback():
    def command() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        console.run(command)


def test_a_refusal_of_the_machine_is_a_known_error(tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")

    with pytest.raises(SystemExit) as stopped:
        console.run(lambda: (tmp_path / "file" / "inside").mkdir())
    assert stopped.value.code == 4
    message, hint = capsys.readouterr().err.splitlines()
    assert message.startswith("error: ")
    assert str(tmp_path / "file" / "inside") in message
    assert "GPUNET_HOME" in hint


def test_another_oserror_is_a_bug_and_keeps_its_traceback(tmp_path):
    with pytest.raises(FileNotFoundError):
        console.run(lambda: (tmp_path / "nothing").rmdir())


def test_success_exits_0():
    with pytest.raises(SystemExit) as stopped:
        console.run(lambda: None)
    assert stopped.value.code == 0


def test_an_interrupt_exits_130_without_a_traceback(capsys):
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        console.run(command)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_warnings_of_gpunet_are_one_line_and_others_keep_their_form(capsys):
    def command() -> None:
        warnings.warn("the machine was not quiet", NoisyMachineWarning, stacklevel=1)
        warnings.warn("another library's", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="another library's"), pytest.raises(SystemExit):
        console.run(command)
    assert capsys.readouterr().err == "warning: the machine was not quiet\n"


def test_a_reader_that_stops_reading_is_no_error():
    code = "from gpunet.core import console; console.run(lambda: print('line\\n' * 100_000))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(30) == 0
    assert said == b""


def test_table_aligns_names_left_and_numbers_right_and_is_never_cut():
    text = console.table(["model", "ms>", "note"], [("a" * 200, 1.5, None), ("b", "10.25", "x")])
    lines = text.splitlines()
    assert lines[0] == f"{'model':200}     ms  note"
    assert lines[1] == f"{'-' * 200}  -----  ----"
    assert lines[2] == f"{'a' * 200}    1.5  -"
    assert lines[3] == f"{'b':200}  10.25  x"


def test_table_without_rows_is_its_head():
    assert console.table(["a", "b>"], []) == "a  b\n-  -"


def test_a_row_of_another_length_is_a_bug_and_is_not_hidden():
    with pytest.raises((ValueError, IndexError)):
        console.table(["a", "b"], [("only one",)])


def test_footnotes_give_equal_texts_one_number():
    notes = console.Footnotes()
    assert [notes.number(text) for text in ("paper", "README", "paper")] == ["[1]", "[2]", "[1]"]
    assert str(notes) == "[1] paper\n[2] README"


@pytest.mark.parametrize(("value", "text"), [(12.345, "12.3"), (0.63, "0.63"), (0.01234, "0.0123"), (None, None)])
def test_milliseconds(value, text):
    assert console.milliseconds(value) == text


def test_numbers_of_unknown_things_stay_unknown():
    assert console.millions(None) is console.billions(None) is console.percent(None) is None
    assert (console.millions(12_704_192), console.billions(3_308_369_280)) == ("12.70", "3.31")


def test_json_keeps_letters_and_refuses_what_is_not_json(capsys):
    console.print_json({"name": "Zürich"})
    assert "Zürich" in capsys.readouterr().out
    with pytest.raises(ValueError, match="not JSON compliant"):
        console.print_json(float("nan"))


def test_figures_that_would_read_alike_get_a_digit_more():
    assert console.percent2_each([97.2222, 97.2243, 98.0, None, 97.2222]) == [
        "97.222",
        "97.224",
        "98.00",
        None,
        "97.222",
    ]
    assert console.percent2_each([97.2222, 97.2222]) == ["97.22", "97.22"]
    assert console.milliseconds_each([0.631, 0.634, 12.34]) == ["0.631", "0.634", "12.3"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 30, 45])
def test_a_table_is_shortened_on_a_narrow_terminal_and_whole_in_a_pipe(columns: int, monkeypatch: pytest.MonkeyPatch):
    rows = [("a network of a long name", "12.5", "a place that is far away"), ("short", "3", "near")]
    whole = console.table(("model", "ms>", "where"), rows)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert console.table(("model", "ms>", "where"), rows) == whole
    monkeypatch.setattr("sys.stdout", _Terminal())
    shown = console.table(("model", "ms>", "where"), rows)
    assert max(map(len, shown.splitlines())) <= columns
    assert "12.5" in shown
    assert ("…" in shown) == (columns == 45)


def test_a_row_is_a_few_lines_where_no_table_fits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "20")
    shown = console.table(("model", "ms>", "where"), [("net", "1234567.5", "a place far away")], indent="  ")
    assert shown.splitlines() == ["  net", "    ms     1234567.5", "    where  a place", "      far away"]


def test_a_number_is_never_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "24")
    shown = console.table(("model", "parameters>", "where"), [("net", "12345678", "far away")])
    assert shown.splitlines()[2].split() == ["net", "12345678", "far", "aw…"]


def test_a_line_is_wrapped_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch):
    text = "source  " + "word " * 8 + "https://a.place/of-a-long-name-that-stays-whole"
    assert console.wrapped(text, hanging=8) == text
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "30")
    lines = console.wrapped(text, hanging=8).splitlines()
    assert lines[1].startswith(" " * 8 + "word")
    assert lines[-1].strip() == "https://a.place/of-a-long-name-that-stays-whole"


def test_with_json_an_interrupt_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def command() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["gpunet", "list", "--json"])
    with pytest.raises(SystemExit) as stopped:
        console.run(command)
    assert stopped.value.code == 130
    assert json.loads(capsys.readouterr().out)["error"] == "interrupted"


def test_what_a_terminal_would_obey_is_not_printed(capsys: pytest.CaptureFixture[str]):
    def fail() -> None:
        raise InvalidArgumentError("a name \x1b[31mred\x1b[0m", "one line\nand another")

    with pytest.raises(SystemExit):
        console.run(fail)
    assert capsys.readouterr().err == "error: a name \\x1b[31mred\\x1b[0m\nhint: one line\nand another\n"


def test_nor_are_cells_notes_footnotes_and_json(capsys: pytest.CaptureFixture[str]):
    hostile = "\x1b[31m\u202e\x9b\ud800"
    notes = console.Footnotes()
    notes.number(hostile)
    print(console.table(("a", "b"), [(hostile, 1)]))
    print(notes)
    console.note(hostile)
    console.print_json({"a": hostile})
    said = capsys.readouterr()
    assert (said.out + said.err).replace("\n", "").isprintable()
    assert json.loads(console.json_text({"a": hostile})) == {"a": hostile}
