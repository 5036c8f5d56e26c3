"""What all commands share: the error boundary, plain tables, JSON, number formats.

Tables are plain text. On a terminal too narrow for one its widest columns are shortened, or, where that does not do,
each row is a few lines; in a pipe or file it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, TextIO

from gpunet.core.signals import INTERRUPTED, PLAIN, heed_interrupt, json_asked
from gpunet.core.text import is_plain, printable, told_apart
from gpunet.errors import ABSENT_EXIT_CODE, INTERRUPTED_EXIT_CODE, GpunetError

_LINE = "\n"
_LEAST_WIDTH, _LEAST_TEXT = 4, 5  # of a column that is shortened: of numbers, of words
# A full disk, a folder that may not be written: the machine's refusals, not our bugs.
_REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}


def run(command: Callable[[], None]) -> NoReturn:
    """Run a command: known errors become a message, a hint and the exit code of their class; bugs keep their traceback.

    With --json on the command line a known error is one JSON object on standard output. A full disk and a folder that
    may not be written are known errors too.
    gpunet's own warnings become one line on standard error, without the place in the code that gave them.
    """
    show_others = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if category.__module__.partition(".")[0] == "gpunet":
            note(f"warning: {message}")
        else:
            show_others(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    before = signal.getsignal(signal.SIGINT)
    plain = threading.current_thread() is threading.main_thread() and before in PLAIN
    if plain:
        signal.signal(signal.SIGINT, heed_interrupt)
    try:
        command()
        sys.stdout.flush()
    except GpunetError as error:
        _print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        if json_asked():
            print_json(INTERRUPTED)
        else:
            print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:
        # The reader of our output (head, less) has what it wanted. Closing stdout here keeps the interpreter from
        # flushing it once more at exit, and from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        own = "GPUNET_HOME chooses the folder where gpunet keeps its own files."
        hint = f"Make room or choose another place. {own}" if error.filename else "Make room where it writes."
        _print_error(GpunetError(str(error), hint, exit_code=ABSENT_EXIT_CODE))
        sys.exit(ABSENT_EXIT_CODE)
    finally:
        if plain:
            signal.signal(signal.SIGINT, before)
    sys.exit(0)


def _print_error(error: GpunetError) -> None:
    if json_asked():
        with contextlib.suppress(OSError):  # where standard output itself is what cannot be written
            print_json(error.to_dict())
            sys.stdout.flush()
            return
    print(f"error: {printable(error.message, keep=_LINE)}", file=sys.stderr)
    if error.hint:
        print(f"hint: {printable(error.hint, keep=_LINE)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output, keeping letters of any language as they are."""
    print(json_text(value))


def json_text(value: Any) -> str:
    """`value` as JSON, as `print_json` prints it; what a terminal would obey is escaped, and reads the same."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"[^\n -~]", lambda found: found[0] if is_plain(found[0]) else json.dumps(found[0])[1:-1], text)


def note(text: str) -> None:
    """Say something beside the result, on standard error."""
    print(printable(text, keep=_LINE), file=sys.stderr)


@contextlib.contextmanager
def resumable(*, told: bool = True) -> Iterator[None]:
    """Say, where Ctrl-C ends the block, that nothing is lost; `told` False says nothing."""
    try:
        yield
    except KeyboardInterrupt:
        if told:
            note("what is done is kept: the same command goes on from here")
        raise


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, indent: str = "") -> str:
    """Rows under underlined column names, as text.

    Args:
        columns: names; one that ends in '>' is set flush right, without the '>'.
        rows: cells; None is shown as '-', and what a terminal would obey as an escape.
        indent: what every line begins with.
    """
    right = [name.endswith(">") for name in columns]
    header = [name.rstrip(">") for name in columns]
    cells = [["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(line[index]) for line in (header, *cells)) for index in range(len(header))]
    if sys.stdout.isatty():
        columns_there = shutil.get_terminal_size().columns - len(indent)
        # A name that is cut can still be known; a number could not.
        least = [
            max([_LEAST_WIDTH, *(len(row[index]) for row in cells)] if flush or not index else [_LEAST_TEXT])
            for index, flush in enumerate(right)
        ]
        _shorten(widths, least, columns_there)
        if sum(widths) + 2 * (len(widths) - 1) > columns_there:
            return _as_blocks(header, cells, columns_there, indent)

    def line(parts: Sequence[str]) -> str:
        shown = (
            part if len(part) <= width else f"{part[: width - 1]}…" for part, width in zip(parts, widths, strict=True)
        )
        placed = (
            part.rjust(width) if flush else part.ljust(width)
            for part, width, flush in zip(shown, widths, right, strict=True)
        )
        return (indent + "  ".join(placed)).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, cells)])


def _as_blocks(header: Sequence[str], cells: Sequence[Sequence[str]], columns: int, indent: str) -> str:
    """Each row as lines 'column  cell' under its first cell, for a terminal that is too narrow for a table."""
    width = max(map(len, header[1:]), default=0)
    lines = []
    for row in cells:
        lines += textwrap.wrap(row[0], max(columns, 1)) or [""]
        for name, cell in zip(header[1:], row[1:], strict=True):
            start = f"  {name:{width}}  " if name else "  "
            hanging = " " * (len(start) if 2 * len(start) < columns else 4)
            lines.append(textwrap.fill(f"{start}{cell}", max(columns, len(start) + 1), subsequent_indent=hanging))
    return textwrap.indent("\n".join(line for line in lines if line.strip()), indent)


def _shorten(widths: list[int], least: Sequence[int], columns: int) -> None:
    """Take from the widest column that can give, a letter at a time, until all fit or none can give more."""
    while sum(widths) + 2 * (len(widths) - 1) > columns:
        spare = [(width, index) for index, width in enumerate(widths) if width > least[index]]
        if not spare:
            return
        widths[max(spare)[1]] -= 1


def wrapped(text: str, *, hanging: int = 0) -> str:
    """A line, on a terminal too narrow for it several, the further ones indented."""
    if not sys.stdout.isatty():
        return text
    columns = max(20, shutil.get_terminal_size().columns)
    indent = " " * (hanging if hanging < columns // 2 else 4)
    return textwrap.fill(text, columns, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


class Footnotes:
    """Numbers for long texts that a table refers to, such as the sources of its figures."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> str:
        """The mark of `text`, e.g. '[1]'; the same text has the same mark."""
        return f"[{self._numbers.setdefault(text, len(self._numbers) + 1)}]"

    def __str__(self) -> str:
        lines = [f"[{number}] {printable(text)}" for text, number in self._numbers.items()]
        return "\n".join(wrapped(line, hanging=4) for line in lines)


def millions(count: int | None) -> str | None:
    """12704472 -> '12.70'."""
    return None if count is None else f"{count / 1e6:.2f}"


def billions(count: int | None) -> str | None:
    """3310000000 -> '3.31'."""
    return None if count is None else f"{count / 1e9:.2f}"


def percent(value: float | None) -> str | None:
    """80.5 -> '80.5'."""
    return None if value is None else f"{value:.1f}"


def percent2(value: float | None) -> str | None:
    """97.2222 -> '97.22': for what was counted, not published."""
    return None if value is None else f"{value:.2f}"


def percent_each(values: Iterable[float | None]) -> list[str | None]:
    """As `percent`; of those that would read alike, two digits: 80.52, 80.54."""
    return told_apart(values, percent, percent2)


def percent2_each(values: Iterable[float | None]) -> list[str | None]:
    """As `percent2`; of those that would read alike, three digits: 97.2222, 97.2243 -> '97.222', '97.224'."""
    return told_apart(values, percent2, lambda value: f"{value:.3f}")


def milliseconds_each(values: Iterable[float | None]) -> list[str | None]:
    """As `milliseconds`; of those that would read alike, four figures."""
    return told_apart(values, milliseconds, lambda value: f"{value:.4g}")


def milliseconds(value: float | None) -> str | None:
    """12.345 -> '12.3', 0.63 -> '0.63', 0.01234 -> '0.0123'."""
    if value is None:
        return None
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"
