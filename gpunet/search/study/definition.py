"""StudyDefinition: what a study searches, by what, and with which latencies; written once, read by every worker."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from gpunet.core.arguments import is_integer
from gpunet.core.fields import check_number, check_one_of, part_from_dict, part_to_dict
from gpunet.core.versions import body_of
from gpunet.errors import SpecError, StudyError
from gpunet.search.optimize.named import optimizer_names
from gpunet.search.spaces.space import SearchSpace, space_from_dict
from gpunet.search.study.search_data import without_place
from gpunet.search.tiers.tier import LatencyEstimates, Tier

DEFINITION_VERSION = 1
METRIC = "top1_percent"
PRUNERS = ("none", "median", "hyperband")
MOST_TRIALS = 1_000_000  # of a study: what a leader can read
MOST_CANDIDATES = 256  # of a tier, kept in the record
_PROBES = 16
_PACKAGES = ("gpunet", "torch", "timm", "optuna", "botorch", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Pruning:
    """Which trials are ended early, by Optuna's pruners.

    Args:
        pruner: 'none', 'median' (worse than the median of the others at the same epoch) or 'hyperband'.
        warmup_epochs: of a trial, before which it is not pruned.
        startup_trials: ended trials before any is pruned ('median').
        reduction_factor: of 'hyperband'.
    """

    pruner: str = "none"
    warmup_epochs: int = 1
    startup_trials: int = 8
    reduction_factor: int = 3

    def __post_init__(self) -> None:
        check_one_of("pruning.pruner", self.pruner, PRUNERS)
        check_number("pruning.warmup_epochs", self.warmup_epochs, 0, whole=True)
        check_number("pruning.startup_trials", self.startup_trials, 0, whole=True)
        check_number("pruning.reduction_factor", self.reduction_factor, 2, whole=True)


@dataclass(frozen=True)
class StudyDefinition:
    """What a study searches.

    Args:
        space: where.
        low_ms, high_ms: the tier: estimates of `low_ms` or more and less than `high_ms`, which may be `math.inf`.
        trainer: how a network is trained, as plain JSON; see `gpunet.search.study.training`. It says the epochs.
        epochs: the most that a trial takes: what pruners reckon with.
        max_trials: the budget; trials that were pruned or failed count.
        num_classes: that the networks, and the estimates, have.
        table: path of the latency table that the estimates come from; '' where they come from elsewhere.
        optimizer: 'lamcts', or 'gp', 'evolution', 'sobol', 'random' to compare with.
        seed: of the optimiser, and with a trial's number of its weights.
        pruning: which trials are ended early.
        max_failures: failures of one trial until it is failed for good.
        max_losses: workers that may be lost with one trial, none of which finished an epoch of it, until it is failed.
        candidates: networks of the tier to start from where it is rare; at most 256 are kept.
        probes: vectors, and their estimates in ms, by which a worker's estimates are told to be the study's.
        versions: of the software that made the study.

    Raises:
        SpecError: (a ValueError) naming the path of the fault.
    """

    space: SearchSpace
    low_ms: float
    high_ms: float
    trainer: Mapping[str, Any]
    epochs: int
    max_trials: int
    num_classes: int = 1000
    table: str = ""
    optimizer: str = "lamcts"
    seed: int = 0
    pruning: Pruning = field(default=Pruning())
    max_failures: int = 3
    max_losses: int = 10
    candidates: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    probes: tuple[tuple[tuple[int, ...], float], ...] = field(default=(), repr=False)
    versions: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.space, SearchSpace):
            raise SpecError(f"space: {self.space!r} is not a search space", "ConvSpace and VitSpace are.")
        check_number("low_ms", self.low_ms, 0)
        if self.high_ms != math.inf:
            check_number("high_ms", self.high_ms, 0, above=True)
        if not self.low_ms < self.high_ms:
            raise SpecError(f"low_ms: low < high must hold, but got {self.low_ms:g} and {self.high_ms:g}")
        if not isinstance(self.trainer, Mapping):
            raise SpecError(f"trainer: {self.trainer!r} is not an object")
        for name in ("epochs", "max_trials", "max_failures", "max_losses"):
            check_number(name, getattr(self, name), 1, MOST_TRIALS, whole=True)
        check_number("num_classes", self.num_classes, 2, whole=True)
        check_number("seed", self.seed, 0, 2**63 - 1, whole=True)
        check_one_of("optimizer", self.optimizer, optimizer_names())
        if not isinstance(self.table, str):
            raise SpecError(f"table: {self.table!r} is not a path")
        if not isinstance(self.pruning, Pruning):
            raise SpecError(f"pruning: {self.pruning!r} is not of Pruning")
        if not isinstance(self.versions, Mapping):
            raise SpecError(f"versions: {self.versions!r} is not an object")
        self._check_vectors("candidates", self.candidates)
        self._check_vectors("probes", [vector for vector, _ in self.probes])
        for number, (_, estimate_ms) in enumerate(self.probes):
            check_number(f"probes[{number}]", estimate_ms, 0, above=True)

    def _check_vectors(self, path: str, vectors: Sequence[Sequence[int]]) -> None:
        """Refuse what is no vector of the space."""
        sizes = [len(digit.values) for digit in self.space.digits]
        for number, vector in enumerate(vectors):
            indices = zip(vector, sizes, strict=False)
            if len(vector) != len(sizes) or not all(is_integer(each) and 0 <= each < size for each, size in indices):
                raise SpecError(f"{path}[{number}]: {vector!r:.80} is not a vector of the space")

    # ---------------------------------------------------------------- the tier

    def tier(self, estimator: LatencyEstimates) -> Tier:
        """The study's tier, a domain of the optimiser.

        Raises:
            StudyError: these are not the estimates that the study was made with.
        """
        probes = np.array([vector for vector, _ in self.probes], np.int64).reshape(-1, len(self.space.digits))
        tier = Tier(self.space, estimator, self.low_ms, self.high_ms)
        found = tier.latency_ms(probes)
        recorded = np.array([estimate_ms for _, estimate_ms in self.probes])
        if not np.allclose(found, recorded, rtol=1e-6, atol=0):
            worst = int(np.argmax(np.abs(found / recorded - 1)))
            raise StudyError(
                f"the latency table is not the study's: of one network it says {found[worst]:.6g} ms, where the study "
                f"has {recorded[worst]:.6g}.",
                "Give the table that the study was made with, and the file FILE.latencies.npz that lies beside it.",
            )
        return Tier(self.space, estimator, self.low_ms, self.high_ms, self.candidates)

    def seed_of(self, number: int) -> int:
        """The seed of a trial's weights and training: its own, and the same at every try."""
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0] >> 1)

    # -------------------------------------------------------------------- JSON

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        body = {each.name: getattr(self, each.name) for each in fields(self)}
        body.update(
            space=self.space.to_dict(),
            high_ms=None if self.high_ms == math.inf else self.high_ms,
            trainer=dict(self.trainer),
            pruning=part_to_dict(self.pruning),
            candidates=[list(each) for each in self.candidates],
            probes=[[list(vector), estimate_ms] for vector, estimate_ms in self.probes],
            versions=dict(self.versions),
        )
        return {"definition_version": DEFINITION_VERSION, **body}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], space: SearchSpace | None = None) -> StudyDefinition:
        """The definition that `to_dict` wrote.

        Args:
            data: the dict.
            space: in place of the one in `data`, where it is of a kind that `space_from_dict` does not know.

        Raises:
            SpecError: it is no definition, or not of this version; the message names the path.
        """
        body = body_of(data, "study", "definition_version", DEFINITION_VERSION)
        body["space"] = space_from_dict(body.get("space", {})) if space is None else space
        if body.get("high_ms", 0) is None:
            body["high_ms"] = math.inf
        body["pruning"] = part_from_dict(Pruning, body.get("pruning", {}), "pruning")
        try:
            body["candidates"] = tuple(tuple(each) for each in body.get("candidates", ()))
            body["probes"] = tuple((tuple(vector), float(value)) for vector, value in body.get("probes", ()))
        except (TypeError, ValueError):
            raise SpecError("candidates, probes: lists of vectors are expected, and estimates beside probes") from None
        return part_from_dict(cls, body, "")

    def described(self) -> dict[str, Any]:
        """The study in parts, by name, for who reads it with Optuna's own tools."""
        body = self.to_dict()
        data = self.trainer.get("data")
        given: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        split = given.get("train_split" if given.get("holdout") else "validation_split")
        part = given.get("holdout") or given.get("validation_fraction")
        return {
            "space": body["space"],
            "tier": {"low_ms": body["low_ms"], "high_ms": body["high_ms"]},
            "objective": {"metric": METRIC, "direction": "maximize", "data": given.get("data"), "split": split,
                          "part": part, "epochs": self.epochs},
            "recipe": self.trainer.get("recipe"), "seed": self.seed, "versions": body["versions"],
        }  # fmt: skip

    def compared(self) -> dict[str, Any]:
        """What tells studies apart: all but the budget, the versions, and where table and data lie."""
        body = self.to_dict()
        for name in ("max_trials", "versions", "table"):
            body.pop(name)
        data = body["trainer"].get("data")
        if isinstance(data, Mapping):
            body["trainer"]["data"] = without_place(data)
        return body

    @property
    def identity(self) -> str:
        """SHA-256 of `compared`: equal for studies whose trials can be mixed."""
        return hashlib.sha256(json.dumps(self.compared(), sort_keys=True).encode()).hexdigest()


def defined(
    space: SearchSpace,
    estimator: LatencyEstimates,
    low_ms: float,
    high_ms: float,
    *,
    candidates: Any = (),
    **others: Any,
) -> StudyDefinition:
    """A definition with what follows from the estimator: probes, and candidates that lie inside the tier.

    Args:
        space: where to search.
        estimator: of its latencies.
        low_ms, high_ms: the tier's bounds.
        candidates: `m x d` vectors of the tier, such as `Tier.candidates` of a stratification.
        others: the further fields of `StudyDefinition`.

    Raises:
        InvalidArgumentError: (a ValueError) the estimator is of another space, or a candidate lies outside.
        StudyError: (a ValueError) no network of the space lies in the tier.
        SpecError: (a ValueError) naming the path of a fault.
    """
    tier = Tier(space, estimator, low_ms, high_ms, candidates)
    generator = np.random.default_rng(0)
    try:
        inside = tier.draw(MOST_CANDIDATES, generator)
    except ValueError:
        raise StudyError(
            f"no network of the space has an estimate {tier.label}.",
            "'gpunet table estimate' says where those of known models lie; choose bounds about them.",
        ) from None
    kept = np.unique(np.concatenate([tier.candidates, inside]), axis=0)
    kept = kept[generator.permutation(len(kept))[:MOST_CANDIDATES]]
    probes = space.canonical(space.lattice().draw(_PROBES, generator))
    return StudyDefinition(
        space, low_ms, high_ms,
        candidates=tuple(tuple(row) for row in kept.tolist()),
        probes=tuple(zip(map(tuple, probes.tolist()), tier.latency_ms(probes).tolist(), strict=True)),
        versions=software_versions(), **others,
    )  # fmt: skip


def software_versions() -> dict[str, str]:
    """Versions of the packages that a search's outcome depends on."""
    found = {}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
