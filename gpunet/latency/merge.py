"""Merge latency tables: the shards of a cluster's builders, and what can be read of a damaged file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.errors import TableError
from gpunet.latency.layers import key_from_text
from gpunet.latency.records import LayerLatency, NetworkLatency, TableConditions
from gpunet.latency.schema import reading_uri
from gpunet.latency.table import LatencyTable, differences


@dataclass(frozen=True)
class MergeReport:
    """What a merge did.

    Args:
        added: layers that the target did not have.
        replaced: layers that it had with a wider spread.
        kept: layers that it had with a narrower one.
        networks: networks measured whole that were taken over.
        unreadable: sources that were damaged, of which only a part was taken.
    """

    added: int
    replaced: int
    kept: int
    networks: int
    unreadable: tuple[str, ...]


def merge(target: str | Path, sources: Sequence[str | Path]) -> MergeReport:
    """Take the figures of `sources` over into `target`, which is made if it is not there; sources are not changed.

    Of two figures for one layer the one with the smaller spread is kept. All sources are checked before anything is
    written.

    Raises:
        TableError: (a RuntimeError) conditions differ, or a source holds nothing that can be read.
    """
    read = [_Source(Path(each).expanduser()) for each in sources]
    if not read:
        raise TableError("merge needs at least one source, but got none.", "gpunet table merge TARGET SOURCE ...")
    first = read[0]
    for each in read[1:]:
        if each.conditions != first.conditions:
            raise TableError(
                f"{each.path} and {first.path} are of other conditions: "
                f"{differences(each.conditions, first.conditions)}.",
                "Merge tables of the same machine, runtime, precision, batch and threads only.",
            )
    added = replaced = kept = networks = 0
    with LatencyTable(target, first.conditions) as table:
        known = dict(table.rows())
        known_networks = {tuple(keys) for keys, _ in table.networks()}
        for each in read:
            rows = []
            for text, figures in each.layers:
                old = known.get(text)
                if old is not None and old.spread_percent <= figures.spread_percent:
                    kept += 1
                    continue
                added, replaced = added + (old is None), replaced + (old is not None)
                known[text] = figures
                rows.append((text, figures))
            table.add_rows(rows)
            for keys, whole in each.networks:
                if tuple(keys) not in known_networks:
                    table.add_network(keys, whole)
                    known_networks.add(tuple(keys))
                    networks += 1
    return MergeReport(added, replaced, kept, networks, tuple(str(each.path) for each in read if each.damaged))


class _Source:
    """What can be read of a file, row by row; a damaged page costs its own rows alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise TableError(f"{path}: there is no such file.", "Name the tables to merge.")
        self.damaged = False
        connection = sqlite3.connect(reading_uri(path), uri=True, isolation_level=None)
        try:
            self.conditions = self._conditions(connection)
            self.layers = [(row[0], LayerLatency(*row[1:])) for row in self._rows(connection, "layers")]
            self.layers = [pair for pair in self.layers if self._sound(pair[0])]
            self.networks = [
                ([key_from_text(text) for text in row[0].splitlines()], NetworkLatency(*row[1:]))
                for row in self._rows(connection, "networks")
                if all(self._sound(text) for text in row[0].splitlines())
            ]
        finally:
            connection.close()

    def _sound(self, text: object) -> bool:
        try:
            key_from_text(str(text))
        except ValueError:
            self.damaged = True
            return False
        return True

    def _conditions(self, connection: sqlite3.Connection) -> TableConditions:
        try:
            row = connection.execute("SELECT value FROM meta WHERE name = 'conditions'").fetchone()
            return TableConditions.from_dict(json.loads(row[0]))
        except (sqlite3.Error, TypeError, KeyError, ValueError) as error:
            raise TableError(
                f"{self.path}: no latency table can be read from it ({error}).",
                "If it was one, its first page is lost; take a copy or another shard.",
            ) from None

    def _rows(self, connection: sqlite3.Connection, name: str) -> Iterator[tuple[Any, ...]]:
        """Rows by ranges of row numbers: SQLite gives up a query at the first page that it cannot read."""
        try:
            yield from connection.execute(f"SELECT * FROM {name}").fetchall()
            return
        except sqlite3.Error:
            self.damaged = True
        for number in range(1, self._most_rows(connection) + 1):
            try:
                row = connection.execute(f"SELECT * FROM {name} WHERE rowid = ?", (number,)).fetchone()
            except sqlite3.Error:
                continue
            if row is not None:
                yield row

    def _most_rows(self, connection: sqlite3.Connection) -> int:
        """No row number can be above this: every row takes some bytes of the file."""
        return self.path.stat().st_size // 32
