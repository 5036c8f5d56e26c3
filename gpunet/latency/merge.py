"""Merge latency tables: the shards of a cluster's builders, and what can be read of a damaged file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.core.json_files import parsed_json
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, TableError
from gpunet.latency.layers.keys import key_from_text
from gpunet.latency.records import LayerLatency, NetworkLatency, TableConditions, lesser
from gpunet.latency.reference import ReferencePoint
from gpunet.latency.schema import check_identity, reading_uri
from gpunet.latency.table import LatencyTable, differences, faults_of, faults_of_look, faults_of_network
from gpunet.runtime.reference import Look

_LAYER = "key, latency_ms, context_ms, border_ms, lone_ms, spread_percent, repeats, measured_at"
_NETWORK = "keys, latency_ms, median_ms, repeats, measured_at"
_SINCE = {2: ", at_s, builder", 3: ", beside_ms"}  # columns, by the schema's version
_REFERENCE = "at_s, builder, small_ms, large_ms"
_LEAST_ROW_BYTES = 32


@dataclass(frozen=True)
class MergeReport:
    """What a merge did.

    Args:
        added: layers that the target did not have.
        improved: layers that it had, measured in a better moment by a source.
        kept: layers that it had as good.
        networks: networks measured whole that were taken over.
        damaged: sources of which only a part could be taken, with how many rows were left out.
    """

    added: int
    improved: int
    kept: int
    networks: int
    damaged: dict[str, int]


def merge(target: str | Path, sources: Sequence[str | Path]) -> MergeReport:
    """Take the figures of `sources` over into `target`, which is made if it is not there; sources are not changed.

    Of two measurements of one layer the least of each graph counts (`records.lesser`), and of two of a network the
    lesser: other programs only ever add time. All sources are read and checked before anything is written. A source
    that has lost its conditions takes those of the others, or of the target.

    Raises:
        TableError: (a RuntimeError) conditions differ or none can be read, or a source holds nothing that can be read.
    """
    read = [_Source(Path(each).expanduser()) for each in sources]
    if not read:
        raise TableError("merge needs at least one source, but got none.", "gpunet table merge TARGET SOURCE ...")
    conditions = _common_conditions(read, Path(target).expanduser())
    added = improved = kept = networks = 0
    with LatencyTable(target, conditions) as table:
        known = dict(table.rows())
        whole = {tuple(key.text for key in keys): figures for keys, figures in table.networks()}
        for each in read:
            rows = []
            for text, figures in each.layers:
                old = known.get(text)
                best = figures if old is None else lesser(old, figures)
                changed = old is None or (best.latency_ms, best.lone_ms) != (old.latency_ms, old.lone_ms)
                added, kept = added + (old is None), kept + (not changed)
                improved += changed and old is not None
                if changed:
                    known[text] = best
                    rows.append((text, best))
            table.add_rows(rows)
            table.add_reference(*each.points)
            for texts, network in each.networks:
                old_network = whole.get(texts)
                if old_network is None or network.latency_ms < old_network.latency_ms:
                    table.add_network([key_from_text(text) for text in texts], network)
                    whole[texts] = network
                    networks += 1
    return MergeReport(added, improved, kept, networks, {str(s.path): s.left_out for s in read if s.damaged})


def _common_conditions(read: Sequence[_Source], target: Path) -> TableConditions:
    known = [(each, each.conditions) for each in read if each.conditions is not None]
    if not known:
        if target.is_file():
            with LatencyTable(target) as table:
                return table.conditions
        raise TableError(
            f"{read[0].path}: it no longer says what its figures were measured under.",
            "Merge it into a table of the same machine and runtime, or together with another shard.",
            exit_code=FAILED_EXIT_CODE,
        )
    (first, conditions), *rest = known
    for each, others in rest:
        if others != conditions:
            raise TableError(
                f"{each.path} and {first.path} are of other conditions: {differences(others, conditions)}.",
                "Merge tables of the same machine, runtime, precision, batch and threads only.",
            )
    return conditions


class _Source:
    """What can be read of a file, row by row; a damaged page costs its own rows alone, a damaged row itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = False
        self.left_out = 0
        if not path.is_file():
            raise TableError(f"{path}: there is no such file.", "Name the tables to merge.", exit_code=ABSENT_EXIT_CODE)
        connection = sqlite3.connect(reading_uri(path), uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA writable_schema = ON")  # a file that is cut off is read as far as it goes
            check_identity(connection, path, readonly=True)
            self.conditions = self._conditions(connection)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            rest = "".join(columns for since, columns in _SINCE.items() if version >= since)
            layers = [(row[0], LayerLatency(*row[1:])) for row in self._rows(connection, "layers", _LAYER + rest)]
            networks = [
                (row[0], NetworkLatency(*row[1:])) for row in self._rows(connection, "networks", _NETWORK + rest)
            ]
            looks = list(self._rows(connection, "reference", _REFERENCE)) if version >= 2 else []
        except sqlite3.Error as error:
            raise TableError(
                f"{path}: nothing of a latency table can be read from it ({error}).",
                "Take a copy or another shard.",
                exit_code=FAILED_EXIT_CODE,
            ) from None
        finally:
            connection.close()
        self.layers = [(str(text), figures) for text, figures in layers if not faults_of(text, figures)]
        self.networks = [
            (tuple(str(keys).splitlines()), figures)
            for keys, figures in networks
            if not faults_of_network(keys, figures)
        ]
        self.points = [
            ReferencePoint(at_s, builder, Look(*look))
            for at_s, builder, *look in looks
            if not faults_of_look(at_s, look)
        ]
        self.left_out += len(looks) - len(self.points)
        self.left_out += len(layers) - len(self.layers) + len(networks) - len(self.networks)
        self.damaged = self.damaged or self.left_out > 0
        if self.damaged and not self.layers:
            raise TableError(
                f"{path}: it is damaged, and no layer of it can be read.", "Take a copy or another shard.",
                exit_code=FAILED_EXIT_CODE,
            )  # fmt: skip

    def _conditions(self, connection: sqlite3.Connection) -> TableConditions | None:
        try:
            row = connection.execute("SELECT value FROM meta WHERE name = 'conditions'").fetchone()
            return TableConditions.from_dict(parsed_json(row[0]))
        except (sqlite3.Error, TypeError, KeyError, ValueError):
            self.damaged = True
            return None

    def _rows(self, connection: sqlite3.Connection, name: str, columns: str) -> Iterator[tuple[Any, ...]]:
        """Rows one by one where SQLite gives up the whole at the first page that it cannot read."""
        try:
            yield from connection.execute(f"SELECT {columns} FROM {name}").fetchall()
            return
        except sqlite3.Error:
            self.damaged = True
        for number in range(1, self._most_rows(connection, name) + 1):
            try:
                row = connection.execute(f"SELECT {columns} FROM {name} WHERE rowid = ?", (number,)).fetchone()
            except sqlite3.Error:
                continue
            if row is not None:
                yield row

    def _most_rows(self, connection: sqlite3.Connection, name: str) -> int:
        """No row number is above this, as far as can be known: by the last row, else by the size of the file."""
        by_size = self.path.stat().st_size // _LEAST_ROW_BYTES
        try:
            return max(by_size, int(connection.execute(f"SELECT max(rowid) FROM {name}").fetchone()[0] or 0))
        except sqlite3.Error:
            return by_size
