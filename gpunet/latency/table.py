"""LatencyTable: measured layers of one machine, runtime, precision, batch and number of threads, in one SQLite file.

A table is made for its conditions and takes figures of no others. Every figure is committed when it is measured: a
process that is killed loses the layer that it was measuring, no more. Several builders may fill one table: a claim
keeps two of them from measuring one layer.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from types import TracebackType

from gpunet.core.json_files import parsed_json
from gpunet.errors import FAILED_EXIT_CODE, MissingLatencyError, TableError
from gpunet.latency.layers.keys import LayerKey, key_from_text
from gpunet.latency.records import LEAST_MS, LayerLatency, NetworkLatency, TableConditions
from gpunet.latency.reference import Course, ReferencePoint
from gpunet.latency.schema import DAMAGED_HINT, connect, speaking
from gpunet.runtime.reference import Look
from gpunet.runtime.sidecar import now_utc

LEASE_S = 300.0  # after which a claim of a builder that went silent is void
_LAYER_FIELDS = (
    "latency_ms, context_ms, border_ms, lone_ms, spread_percent, repeats, measured_at, at_s, builder, beside_ms"
)
# Not INSERT OR REPLACE: a row keeps its number, by which what is left of a damaged file is found.
_PUT_LAYER = (
    f"INSERT INTO layers (key, {_LAYER_FIELDS}) VALUES ({', '.join('?' * 11)}) ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _LAYER_FIELDS.split(", "))
)
_NETWORK_FIELDS = "latency_ms, median_ms, repeats, measured_at, at_s, builder, beside_ms"


class LatencyTable:
    """See the module. A context manager; `close` it else.

    Args:
        path: the file.
        conditions: to write: what its figures are measured under; a file that is not there is made for them, one that
            is there must have the same. None to read.
        clock: seconds since the epoch, for claims; tests pass their own.

    Raises:
        TableError: (a RuntimeError) it cannot be opened, is damaged, or is of other conditions.
    """

    def __init__(
        self, path: str | Path, conditions: TableConditions | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path).expanduser()
        self._clock = clock
        self._db = connect(self.path, readonly=conditions is None)
        try:
            self.conditions = self._agree_on(conditions)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> LatencyTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _agree_on(self, wanted: TableConditions | None) -> TableConditions:
        """The table's conditions; a new table takes those wanted."""
        with speaking(self.path):
            if wanted is not None:
                self._db.execute(
                    "INSERT OR IGNORE INTO meta VALUES ('conditions', ?), ('created', ?)",
                    (json.dumps(wanted.to_dict(), sort_keys=True), now_utc()),
                )
            row = self._db.execute("SELECT value FROM meta WHERE name = 'conditions'").fetchone()
        try:
            found = TableConditions.from_dict(parsed_json(row[0]))
        except (TypeError, KeyError, ValueError) as error:
            raise TableError(
                f"{self.path}: it does not say what its figures were measured under ({error}).",
                "The file is damaged, or another program has written to it.",
                exit_code=FAILED_EXIT_CODE,
            ) from None
        if wanted is not None and wanted != found:
            raise TableError(
                f"{self.path}: its figures are of other conditions: {differences(found, wanted)}.",
                "Name another file for these: figures of different conditions are never mixed.",
            )
        return found

    # ------------------------------------------------------------------ reading

    def layer(self, key: LayerKey) -> LayerLatency:
        """The figures of one layer.

        Raises:
            MissingLatencyError: (a LookupError) it has not been measured.
        """
        with speaking(self.path):
            row = self._db.execute(f"SELECT {_LAYER_FIELDS} FROM layers WHERE key = ?", (key.text,)).fetchone()
        if row is None:
            raise MissingLatencyError(
                f"{self.path}: the layer {key.text!r} has not been measured.",
                "gpunet table build measures what is missing.",
            )
        return LayerLatency(*row)

    def layers(self) -> dict[LayerKey, LayerLatency]:
        """Every layer with its figures."""
        try:
            return {key_from_text(text): figures for text, figures in self.rows()}
        except ValueError as error:
            raise TableError(f"{self.path}: {error}", DAMAGED_HINT, exit_code=FAILED_EXIT_CODE) from None

    def rows(self) -> Iterator[tuple[str, LayerLatency]]:
        """Every layer's key text with its figures, in the order of measuring."""
        with speaking(self.path):
            for text, *row in self._db.execute(f"SELECT key, {_LAYER_FIELDS} FROM layers ORDER BY rowid"):
                yield text, LayerLatency(*row)

    def networks(self) -> list[tuple[list[LayerKey], NetworkLatency]]:
        """Networks measured whole: their keys in network order, and the figures."""
        with speaking(self.path):
            rows = self._db.execute(f"SELECT keys, {_NETWORK_FIELDS} FROM networks ORDER BY rowid").fetchall()
        try:
            return [(list(map(key_from_text, keys.splitlines())), NetworkLatency(*row)) for keys, *row in rows]
        except ValueError as error:
            raise TableError(f"{self.path}: {error}", DAMAGED_HINT, exit_code=FAILED_EXIT_CODE) from None

    def course(self) -> Course:
        """The reference over the time of all builders."""
        with speaking(self.path):
            rows = self._db.execute("SELECT at_s, builder, small_ms, large_ms FROM reference").fetchall()
            beside = self._db.execute(
                "SELECT beside_ms FROM layers WHERE beside_ms IS NOT NULL UNION ALL "
                "SELECT beside_ms FROM networks WHERE beside_ms IS NOT NULL"
            ).fetchall()
        points = (ReferencePoint(at_s, builder, Look(*look)) for at_s, builder, *look in rows)
        return Course(points, beside_ms=[each for (each,) in beside])

    def failures(self) -> dict[str, tuple[str, int]]:
        """Layers that could not be measured: by key text the reason of the last attempt, and how many there were."""
        with speaking(self.path):
            rows = self._db.execute("SELECT key, reason, attempts FROM failures ORDER BY key").fetchall()
        return {key: (reason, attempts) for key, reason, attempts in rows}

    def __len__(self) -> int:
        with speaking(self.path):
            return int(self._db.execute("SELECT count(*) FROM layers").fetchone()[0])

    def missing(self, keys: Iterable[LayerKey], *, lone: bool = False) -> list[LayerKey]:
        """Those of these keys that have not been measured, in their order; `lone`: or not by themselves."""
        with speaking(self.path):
            rows = self._db.execute("SELECT key FROM layers WHERE lone_ms IS NOT NULL OR NOT ?", (lone,))
            known = {row[0] for row in rows}
        return [key for key in keys if key.text not in known]

    # ------------------------------------------------------------------ writing

    def add(self, key: LayerKey, figures: LayerLatency) -> None:
        """Keep a layer's figures, in place of older ones; its claim and its failures are done with."""
        self.add_rows([(key.text, figures)])

    def add_rows(self, rows: Iterable[tuple[str, LayerLatency]]) -> None:
        """Keep the figures of several layers, all or none."""
        with speaking(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for text, figures in rows:
                self._db.execute(_PUT_LAYER, (text, *astuple(figures)))
                self._db.execute("DELETE FROM claims WHERE key = ?", (text,))
                self._db.execute("DELETE FROM failures WHERE key = ?", (text,))

    def add_network(self, keys: Sequence[LayerKey], figures: NetworkLatency) -> None:
        """Keep the figures of a network measured whole, in place of older ones."""
        text = "\n".join(key.text for key in keys)
        with speaking(self.path):
            self._db.execute(
                "INSERT OR REPLACE INTO networks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (text, *astuple(figures))
            )

    def add_reference(self, *points: ReferencePoint) -> None:
        """Keep looks at the reference."""
        rows = [(each.at_s, each.builder, each.look.small_ms, each.look.large_ms) for each in points]
        with speaking(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO reference VALUES (?, ?, ?, ?)", rows)

    def now_s(self) -> float:
        """Seconds since the epoch, by the table's clock."""
        return self._clock()

    def add_failure(self, key: LayerKey, reason: str) -> int:
        """Note that a layer could not be measured; returns how often that has been so."""
        with speaking(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO failures VALUES (?, ?, 1, ?) ON CONFLICT (key) DO UPDATE SET "
                "reason = excluded.reason, attempts = attempts + 1, at = excluded.at",
                (key.text, reason, now_utc()),
            )
            self._db.execute("DELETE FROM claims WHERE key = ?", (key.text,))
            row = self._db.execute("SELECT attempts FROM failures WHERE key = ?", (key.text,)).fetchone()
        return int(row[0])

    def note(self, name: str, value: str) -> None:
        """Keep a word about the table, in place of an older one of this name."""
        with speaking(self.path):
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"note {name}", value))

    def noted(self, name: str) -> str | None:
        """What `note` kept; None for nothing."""
        with speaking(self.path):
            row = self._db.execute("SELECT value FROM meta WHERE name = ?", (f"note {name}",)).fetchone()
        return None if row is None else str(row[0])

    # ------------------------------------------------------------------- claims

    def claim(
        self, keys: Sequence[LayerKey], owner: str, count: int, *, lone: bool = False, lease_s: float = LEASE_S
    ) -> list[LayerKey]:
        """Take up to `count` of these keys for `owner`: none that is measured, and none that another holds.

        Args:
            keys: to choose from, in the order of choice.
            owner: a name of its own for each builder.
            count: most to take.
            lone: one that is not measured by itself is not measured.
            lease_s: seconds after which others may take them: their builder is held to be dead.
        """
        taken: list[LayerKey] = []
        now_s = self._clock()
        with speaking(self.path), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for key in keys:
                if len(taken) == count:
                    break
                measured = "SELECT 1 FROM layers WHERE key = ? AND (lone_ms IS NOT NULL OR NOT ?)"
                if self._db.execute(measured, (key.text, lone)).fetchone():
                    continue
                changed = self._db.execute(
                    "INSERT INTO claims VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, "
                    "expires_s = excluded.expires_s WHERE owner = excluded.owner OR expires_s < ?",
                    (key.text, owner, now_s + lease_s, now_s),
                ).rowcount
                if changed:
                    taken.append(key)
        return taken

    def renew(self, owner: str, *, lease_s: float = LEASE_S) -> None:
        """Let the claims of `owner` run anew from now."""
        with speaking(self.path):
            self._db.execute("UPDATE claims SET expires_s = ? WHERE owner = ?", (self._clock() + lease_s, owner))

    def claimants(self) -> list[str]:
        """Who holds claims."""
        with speaking(self.path):
            return [row[0] for row in self._db.execute("SELECT DISTINCT owner FROM claims ORDER BY owner")]

    def release(self, owner: str) -> None:
        """Give back what `owner` has claimed and not measured."""
        with speaking(self.path):
            self._db.execute("DELETE FROM claims WHERE owner = ?", (owner,))

    def check(self) -> list[str]:
        """What is wrong with the file, in sentences; nothing for a sound one.

        Every page is read, and every row of layers and networks.
        """
        faults: list[str] = []
        try:
            for (said,) in self._db.execute("PRAGMA integrity_check"):
                if said != "ok":
                    faults.append(f"SQLite: {said}")
            for text, figures in self.rows():
                faults += faults_of(text, figures)
            for keys, *row in self._db.execute(f"SELECT keys, {_NETWORK_FIELDS} FROM networks"):
                faults += faults_of_network(keys, NetworkLatency(*row))
            for at_s, *look in self._db.execute("SELECT at_s, small_ms, large_ms FROM reference"):
                faults += faults_of_look(at_s, look)
        except (sqlite3.Error, TableError) as error:
            faults.append(f"unreadable: {error}")
        return faults


def faults_of(text: object, figures: LayerLatency) -> list[str]:
    """What is wrong with a layer's row, in sentences.

    A latency is the difference of two other figures of its row: no bit of the three can change unseen.
    """
    try:
        key = key_from_text(str(text))
    except ValueError as error:
        return [str(error)]
    numbers = (figures.latency_ms, figures.context_ms, figures.border_ms, figures.spread_percent)
    if not all(isinstance(each, float) and 0 <= each < 1e9 for each in numbers):
        return [f"{key.text}: {figures.latency_ms!r} ms, or what it was found from, is no latency."]
    if figures.lone_ms is not None and not (isinstance(figures.lone_ms, float) and 0 < figures.lone_ms < 1e9):
        return [f"{key.text}: {figures.lone_ms!r} ms by itself is no latency."]
    if not _is_beside(figures.beside_ms):
        return [f"{key.text}: {figures.beside_ms!r} ms of the reference beside it is no latency."]
    expected = max(LEAST_MS, figures.context_ms - figures.border_ms)
    if abs(figures.latency_ms - expected) > 1e-9 * max(figures.context_ms, 1.0):
        return [f"{key.text}: {figures.latency_ms!r} ms is not its context less its border, {expected!r} ms."]
    if not isinstance(figures.repeats, int) or figures.repeats < 1:
        return [f"{key.text}: {figures.repeats!r} is no number of repeats."]
    return []


def _is_beside(value: object) -> bool:
    return value is None or (isinstance(value, float) and 0 < value < 1e9)


def faults_of_network(keys: object, figures: NetworkLatency) -> list[str]:
    """What is wrong with the row of a network measured whole, in sentences."""
    try:
        for text in str(keys).splitlines():
            key_from_text(text)
    except ValueError as error:
        return [f"a network: {error}"]
    if not all(isinstance(each, float) and 0 < each < 1e9 for each in (figures.latency_ms, figures.median_ms)):
        return [f"a network: {figures.latency_ms!r} ms is no latency."]
    if not _is_beside(figures.beside_ms):
        return [f"a network: {figures.beside_ms!r} ms of the reference beside it is no latency."]
    return []


def faults_of_look(at_s: object, look: Sequence[object]) -> list[str]:
    """What is wrong with a look at the reference, in sentences."""
    if not all(isinstance(each, float) and 0 < each < 1e12 for each in (at_s, *look)):
        return [f"the reference at {at_s!r}: {', '.join(map(repr, look))} ms are no latencies."]
    return []


def differences(found: TableConditions, wanted: TableConditions) -> str:
    """What two conditions differ in, in words: 'threads 1, not 2'."""
    ours, theirs = found.to_dict(), wanted.to_dict()
    return ", ".join(f"{name} {ours[name]}, not {theirs[name]}" for name in ours if ours[name] != theirs[name])
