"""What was measured earlier of the same networks, and how much of a difference is the machine's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet.core import console
from gpunet.core.json_files import parsed_json
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, RecordsError
from gpunet.runtime.beside import Change, change
from gpunet.runtime.measurement import MOVED_PERCENT, Measurement

if TYPE_CHECKING:
    from gpunet.cli.bench.subjects import Subject

_COMPARED = (
    "processor", "machine", "system", "threads", "runtime", "runtime_version", "precision", "batch_size", "input_shape",
)  # fmt: skip


@dataclass(frozen=True)
class Since:
    """A network's figure beside an earlier one.

    Args:
        name: the network's.
        now, then: its measurements.
    """

    name: str
    now: Measurement
    then: Measurement

    @property
    def change(self) -> Change:
        """By how much it changed, and what of that is the machine's."""
        return change(self.now, self.then)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"name": self.name, **self.change.to_dict(), "then": self.then.to_dict()}

    def __str__(self) -> str:
        found, date = self.change, str(self.then.conditions.get("date", "an unknown day"))[:16].replace("T", " ")
        total = _slower(found.total_percent, " than", "as fast as")
        now_ms, then_ms = console.milliseconds(self.now.p25_ms), console.milliseconds(self.then.p25_ms)
        text = f"{self.name}: {total} at {date} ({now_ms} ms, then {then_ms}). "
        if found.machine_percent is None or found.left_percent is None:
            text += "How much of it is the machine's is not known: no reference stands beside both."
        elif abs(found.left_percent) <= found.uncertain_percent:
            text += f"The machine itself is {_slower(found.machine_percent)}; beside it no difference can be told"
            moved = found.uncertain_percent > MOVED_PERCENT
            text += f": it moved by {found.uncertain_percent:.0f} % meanwhile." if moved else "."
        else:
            text += f"The machine itself is {_slower(found.machine_percent)}; beside it {_slower(found.left_percent)}."
        now, then = self.now.conditions, self.then.conditions
        differing = [f"{name} {now.get(name)}, then {then.get(name)}" for name in _COMPARED if _differ(now, then, name)]
        return text + (f" The conditions differ: {'; '.join(differing)}." if differing else "")


def _differ(now: Mapping[str, Any], then: Mapping[str, Any], name: str) -> bool:
    return bool(now.get(name) != then.get(name))


def _slower(percent: float, than: str = "", same: str = "as fast") -> str:
    rounded = f"{abs(percent):.0f}"
    return same if rounded == "0" else f"{rounded} % {'faster' if percent < 0 else 'slower'}{than}"


def since(
    chosen: Sequence[Subject], figures: Mapping[str, Measurement], against: Mapping[str, Measurement] | None
) -> list[Since]:
    """Each network beside its earlier figure, where there is one.

    Args:
        chosen: what was measured.
        figures: by name.
        against: earlier figures by name; None for those that this machine's own file holds.
    """
    found = []
    for each in chosen:
        now = figures[each.name]
        then = _kept(each, now) if against is None else against.get(each.name)
        if then is not None and then.p25_ms > 0 and now.p25_ms > 0:
            found.append(Since(each.name, now, then))
    return found


def _kept(subject: Subject, now: Measurement) -> Measurement | None:
    from gpunet.zoo.local import kept_measurement

    if subject.entry is None:
        return None
    try:
        return kept_measurement(subject.entry, now)
    except RecordsError:  # a folder that cannot be read holds nothing to compare with
        return None


def read_earlier(path: Path, names: Sequence[str]) -> dict[str, Measurement]:
    """The measurements in a file that `gpunet bench -o` wrote, by name.

    Raises:
        InvalidArgumentError: there is no such file, it is another, or it holds none of these names.
    """
    hint = "gpunet bench NAME -o FILE writes one."
    try:
        data = parsed_json(path.read_text(encoding="utf-8"))
        found = {str(name): Measurement.from_dict(each) for name, each in data["measurements"].items()}
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise InvalidArgumentError(message, hint, exit_code=ABSENT_EXIT_CODE) from None
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        AttributeError,
        InvalidArgumentError,
    ) as error:
        raise InvalidArgumentError(f"{path} holds no measurements of gpunet bench ({error}).", hint) from None
    if not found.keys() & set(names):
        raise InvalidArgumentError(
            f"{path} holds none of the networks to measure: it has {', '.join(sorted(found)) or 'none'}.",
            "Name one of them.",
        )
    return found
