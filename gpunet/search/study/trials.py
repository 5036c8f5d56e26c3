"""TrialRecord: what a study knows of one network, read from Optuna's trial; and which of them are the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gpunet.core.arguments import is_number

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ENDED = ("complete", "pruned", "failed")
_STATES = {"WAITING": "waiting", "RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}

# User attributes of a trial.
VECTOR, SPEC, ESTIMATED, SESSION, ASSIGNMENT = "vector", "spec", "estimated_ms", "session", "assignment"
TRIES, REASON = "tries", "reason"
TRAINED = "trained"  # one attribute, as each costs a call: "folder" of the checkpoints, "weights" file, "seconds"


@dataclass(frozen=True)
class TrialRecord:
    """One network of a study.

    Args:
        number: of the trial, from 0.
        state: 'waiting', 'running', 'complete', 'pruned' or 'failed'.
        vector: choice indices.
        spec: the architecture as JSON, where the space has one.
        estimated_ms: by the study's latency table.
        top1_percent: what it ended with; of a pruned trial, the last that it reported; None before.
        curve: top-1 in percent by epoch, from 1.
        measured: latency measured whole, with its conditions; None if it was not.
        folder: of its checkpoints, in the study's folder.
        weights: file in that folder; None before the end.
        tries: what became of each attempt that did not end it.
        reason: of a failure.
        session: of the worker that holds it, or ended it; None while it waits.
        seconds: that its training took, over all attempts that ended well.
    """

    number: int
    state: str
    vector: tuple[int, ...]
    spec: Mapping[str, Any] | None
    estimated_ms: float
    top1_percent: float | None
    curve: Mapping[int, float] = field(default_factory=dict)
    measured: Mapping[str, Any] | None = None
    folder: str = ""
    weights: str | None = None
    tries: tuple[Mapping[str, Any], ...] = ()
    reason: str = ""
    session: int | None = None
    seconds: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will be added but a measurement."""
        return self.state in ENDED

    @property
    def measured_ms(self) -> float | None:
        """Latency measured whole."""
        return None if self.measured is None else float(self.measured["latency_ms"])

    @property
    def least_ms(self) -> float | None:
        """Least of that measurement's repeats; None where it is not kept."""
        least: Any = ((self.measured or {}).get("conditions") or {}).get("min_ms")
        return float(least) if is_number(least) else None

    @property
    def epochs(self) -> int:
        """Epochs reported."""
        return max(self.curve, default=0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        body = asdict(self)
        body.update(vector=list(self.vector), curve={str(epoch): value for epoch, value in self.curve.items()})
        body.update(tries=[dict(each) for each in self.tries], measured_ms=self.measured_ms)
        return body


def folder_name(number: int) -> str:
    """The folder of a trial's checkpoints, in the study's folder."""
    return f"trial-{number:05d}"


def is_trial(frozen: FrozenTrial) -> bool:
    """Whether gpunet made the trial: others may have been added to the study by hand."""
    return VECTOR in frozen.user_attrs


def record_of(frozen: FrozenTrial) -> TrialRecord:
    """What Optuna's trial says."""
    attrs, state = frozen.user_attrs, _STATES[frozen.state.name]
    trained = attrs.get(TRAINED, {})
    curve = dict(sorted(frozen.intermediate_values.items()))
    reached = frozen.value if state == "complete" else None
    if state == "pruned" and curve:
        reached = curve[max(curve)]
    return TrialRecord(
        frozen.number, state, tuple(attrs[VECTOR]), attrs.get(SPEC), float(attrs[ESTIMATED]), reached, curve,
        folder=folder_name(frozen.number), weights=trained.get("weights"), tries=tuple(attrs.get(TRIES, ())),
        reason=attrs.get(REASON, ""), session=attrs.get(SESSION), seconds=trained.get("seconds"),
    )  # fmt: skip


def ranked(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Those that were trained to the end, the most accurate first, of equals the fastest."""
    done = [each for each in trials if each.state == "complete" and each.top1_percent is not None]
    return sorted(done, key=lambda each: (-_top1(each), latency_ms(each), each.number))


def pareto(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Those that no other one beats in both accuracy and latency, the fastest first."""
    front: list[TrialRecord] = []
    best = -math.inf
    for each in sorted(ranked(trials), key=lambda one: (latency_ms(one), -_top1(one))):
        if _top1(each) > best:
            front.append(each)
            best = _top1(each)
    return front


def latency_ms(trial: TrialRecord) -> float:
    """As measured, else as estimated."""
    return trial.estimated_ms if trial.measured_ms is None else trial.measured_ms


def _top1(trial: TrialRecord) -> float:
    return -math.inf if trial.top1_percent is None else trial.top1_percent
