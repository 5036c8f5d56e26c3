"""`gpunet table verify`: whether latency tables are sound, to the last row."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.core import console
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, TableError

_SHOWN = 20


@command("verify", examples=["gpunet table verify here.sqlite shard-*.sqlite"])
def verify(
    tables: Annotated[list[Path], typer.Argument(metavar="TABLE", show_default=False, help="latency tables")],
    as_json: options.Json = False,
) -> None:
    """Read every page and every row of tables.

    Tables of an older version are brought up to this gpunet's. Where one is damaged, the exit code is 6.
    """
    code = 0
    hints: dict[str, None] = {}
    told = []
    for path in tables:
        layers, faults, hint, found = _verified(path)
        told.append({"table": str(path), "sound": not faults, "layers": layers, "faults": faults})
        code = max(code, found)
        if hint:
            hints[hint] = None
        if not as_json:
            print(f"{path}: NOT SOUND" if faults else f"{path}: sound, {layers} layers")
            for fault in faults[:_SHOWN]:
                print(f"  {fault}")
    if as_json:
        wrong = [each["table"] for each in told if not each["sound"]]
        error = TableError(f"not sound: {', '.join(map(str, wrong))}", " ".join(hints), exit_code=code)
        console.print_json({**error.to_dict(), "tables": told} if wrong else told)
    else:
        for hint in hints:
            console.note(f"hint: {hint}")
    if code:
        raise SystemExit(code)


def _verified(path: Path) -> tuple[int, list[str], str, int]:
    """A table's layers, what is wrong with it, what to do about that, and the exit code for it."""
    from gpunet.latency.schema import DAMAGED_HINT
    from gpunet.latency.table import LatencyTable

    try:
        with LatencyTable(path) as table:
            faults = table.check()
            return (0, faults, DAMAGED_HINT, FAILED_EXIT_CODE) if faults else (len(table), [], "", 0)
    except TableError as error:
        absent = error.exit_code == ABSENT_EXIT_CODE
        return 0, [error.message], error.hint, ABSENT_EXIT_CODE if absent else FAILED_EXIT_CODE
