"""A search by measurements: carried out until nothing is left or the time is up, shown while it runs, and told after.

What to measure next is said by `gpunet.zoo.timm_zoo.budget` or `gpunet.zoo.timm_zoo.front`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpunet.core.console import note
from gpunet.core.progress import ProgressBar
from gpunet.zoo.timm_zoo.budget import MostAccurate
from gpunet.zoo.timm_zoo.front import Front

NETWORK_S = 4.0  # to build, export and time one, before any has been
_SAID = 3  # names of networks that are passed over


@dataclass(frozen=True)
class Searched:
    """What a search did.

    Args:
        measured: names of what was measured now, in order.
        kept: how many figures were there before.
        passed_over: what could not be built, exported or run, with the reason.
        too_large: how many were left out beforehand, since their weights are more than an ONNX file holds.
        ended: 'done', where nothing is left that could change the answer; 'time' or 'count' where something is.
        ruled_out: how many, more accurate than the answer or beside the front, are too slow by estimate.
        floor: the least share of its predicted time that one of those was held to.
        may_fit: how many are not ruled out, and not measured.
        sureness: how likely the answer is the best of all, by the errors of predictions yet; None for a front.
        seconds: that it took.
    """

    measured: tuple[str, ...]
    kept: int
    passed_over: Mapping[str, str]
    too_large: int
    ended: Literal["done", "time", "count"]
    ruled_out: int
    floor: float
    may_fit: int
    sureness: float | None
    seconds: float = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "measured": list(self.measured), "passed_over": dict(self.passed_over)}

    def __str__(self) -> str:
        said = [f"Measured {len(self.measured)} in {_time(self.seconds)}, beside {self.kept} figures that were kept."]
        if self.passed_over:
            shown = "; ".join(f"{name} ({why})" for name, why in list(self.passed_over.items())[:_SAID])
            more = len(self.passed_over) - _SAID
            said.append(f"Passed over: {shown}" + (f"; and {more} more." if more > 0 else "."))
        if self.too_large:
            said.append(f"{self.too_large} left out, whose weights are more than the 2 GiB of an ONNX file.")
        front = self.sureness is None
        if self.ruled_out:
            said.append(
                f"{self.ruled_out:,} {'others' if front else 'more accurate'} ruled out by estimate, not measured: too "
                f"slow even at {self.floor:.2f} times what is predicted, or more."
            )
        if self.ended != "done":
            ended = "The time is up" if self.ended == "time" else "As many as are measured at most have been"
            which = "may be on the front" if front else "more accurate may fit"
            said.append(f"{ended}: {self.may_fit:,} {which} and are not measured.")
            if self.sureness is not None:
                share = f"{100 * self.sureness:.0f} %"
                said.append(
                    f"With a chance of at least {share} the answer is the best of all, as predictions were off."
                )
        return " ".join(said)


def carry_out(
    search: MostAccurate | Front,
    measure: Callable[[str], float | None],
    *,
    kept: int = 0,
    passed_over: Mapping[str, str] | None = None,
    too_large: int = 0,
    budget_minutes: float | None = None,
    shown: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Searched:
    """Measure what a search asks for until it asks for nothing more, or the time is up.

    Args:
        search: says what to measure, and is told.
        measure: the latency of a network in ms, None where it does not run.
        kept, too_large: for what is returned.
        passed_over: of what did not run, why; `measure` adds to it.
        budget_minutes: the most that it may take; the last measurement may take it some seconds beyond.
        shown: say an estimate of the time before, and show a bar with the best yet.
        clock: seconds, monotonic; tests pass their own.
    """
    started_s, most_s = clock(), math.inf if budget_minutes is None else 60 * budget_minutes
    measured: list[str] = []
    asked = search.ask()
    if asked is not None and shown:
        note(_estimate(search, most_s))
    ended: Literal["done", "time", "count"] = "done"
    with ProgressBar("measuring", shown=shown and asked is not None, line_every_s=0) as bar:
        while asked is not None:
            gone_s = clock() - started_s
            if gone_s + (gone_s / len(measured) if measured else 0.0) >= most_s:
                ended = "time"
                break
            bar.update(len(measured), description=f"measuring {asked}", said=search.standing())
            search.tell(asked, measure(asked))
            measured.append(asked)
            asked = search.ask()
    may_fit = search.may_fit()
    if ended == "done" and may_fit:
        ended = "count"
    over = dict(passed_over or {})
    searched = Searched(
        measured=tuple(name for name in measured if name not in over), kept=kept, passed_over=over,
        too_large=too_large, ended=ended, ruled_out=search.left() - may_fit, floor=search.lowest_floor(),
        may_fit=may_fit, sureness=search.sureness(), seconds=clock() - started_s,
    )  # fmt: skip
    if shown and (measured or ended != "done"):
        note(str(searched))
    return searched


def _estimate(search: MostAccurate | Front, most_s: float) -> str:
    usual, most = search.expected()
    said = f"Some {usual} networks are to be measured, at most {most}, about {_time(NETWORK_S * usual)}"
    limit = f", and no longer than {_time(most_s)}" if most_s < math.inf else ""
    return f"{said}{limit}. Each figure is kept at once: stopped, the same call goes on."


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
