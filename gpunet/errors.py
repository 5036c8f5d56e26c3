"""The errors of gpunet: one tree, each class also a builtin, each instance with a hint.

`except ValueError` or `except LookupError` works without knowing this module; the command line
prints `message` and `hint` of any `GpunetError` and ends with its `exit_code`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = [
    "CheckpointError",
    "ChecksumError",
    "DataError",
    "DownloadError",
    "EntryError",
    "ExhaustedError",
    "ExportError",
    "FolderInUseError",
    "GpunetError",
    "InvalidArgumentError",
    "MissingDependencyError",
    "MissingLatencyError",
    "NothingFitsError",
    "PreemptedError",
    "PublishError",
    "RecordsError",
    "ReportError",
    "RuntimeUnavailableError",
    "SpecError",
    "StudyError",
    "StudyUnavailableError",
    "TableError",
    "TrainingError",
    "TrialLostError",
    "UnknownDeviceError",
    "UnknownModelError",
    "UsageError",
    "VerificationError",
    "WeightsError",
    "WorkerError",
]

# What a script can tell apart; 1 is a defect of gpunet, with its traceback.
USAGE_EXIT_CODE = 2
NOTHING_FITS_EXIT_CODE = 3
ABSENT_EXIT_CODE = 4  # the network, or a file that is not there
MISSING_EXIT_CODE = 5  # a package or a device
FAILED_EXIT_CODE = 6  # what was asked for was done and failed its proof, or a file is damaged
PREEMPTED_EXIT_CODE = 75  # sysexits' EX_TEMPFAIL: the run left when asked to; the same command goes on
INTERRUPTED_EXIT_CODE = 130
# The kind of an error that ends a command otherwise than its class says.
_KINDS = {
    USAGE_EXIT_CODE: "usage", NOTHING_FITS_EXIT_CODE: "nothing_fits", ABSENT_EXIT_CODE: "absent",
    MISSING_EXIT_CODE: "missing", FAILED_EXIT_CODE: "failed", PREEMPTED_EXIT_CODE: "preempted",
    INTERRUPTED_EXIT_CODE: "interrupted",
}  # fmt: skip


class GpunetError(Exception):
    """A known error: what was wrong with the value received, and what to do next.

    Args:
        message: the rule and the value that broke it, in one sentence.
        hint: what the user can do next; may be empty where the message already says it.
        nearest: names near to what was asked for.
        exit_code: of a command that ends with it; that of the class unless given.
    """

    exit_code = USAGE_EXIT_CODE

    def __init__(
        self, message: str, hint: str = "", *, nearest: Sequence[str] = (), exit_code: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        self.nearest = tuple(nearest)
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    @property
    def kind(self) -> str:
        """What a script reads as "error": the class in words; of one with another exit code, the word for that.

        Every kind has one exit code: `unknown_model` is 2, and an EntryError of a file that is not there is `absent`.
        """
        if self.exit_code != type(self).exit_code or type(self) is GpunetError:
            return _KINDS.get(self.exit_code, f"exit_{self.exit_code}")
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__.removesuffix("Error")).lower()

    def to_dict(self) -> dict[str, object]:
        """As commands print it with --json."""
        return {"error": self.kind, "message": self.message, "hint": self.hint, "nearest": list(self.nearest)}


class InvalidArgumentError(GpunetError, ValueError):
    """An argument of a public function breaks its rule."""


class UsageError(InvalidArgumentError):
    """A command line is none that the command takes."""


class SpecError(GpunetError, ValueError):
    """A specification (network, space, recipe) breaks a rule; the message begins with the path of the fault."""


class EntryError(GpunetError, ValueError):
    """A zoo entry or a latency file cannot be read as one; the message names file and field."""


class ReportError(GpunetError, ValueError):
    """A report's folder cannot be read as one; the message names file and field."""


class DataError(GpunetError, ValueError):
    """Training or validation images cannot be had, cannot be read, or are not of the model's classes."""


class UnknownDeviceError(GpunetError, LookupError):
    """No chip, board or alias has this name, or the zoo holds no figure for it."""


class UnknownModelError(GpunetError, LookupError):
    """No entry of the zoo has this name."""


class NothingFitsError(GpunetError, LookupError):
    """No entry satisfies the query; the message names the nearest ones and their figures."""

    exit_code = NOTHING_FITS_EXIT_CODE


class ExhaustedError(GpunetError, LookupError):
    """Every point of a search domain has been proposed."""

    exit_code = NOTHING_FITS_EXIT_CODE


class WeightsError(GpunetError, RuntimeError):
    """Weights cannot be found, fetched, verified or loaded."""


class ChecksumError(WeightsError):
    """A file's SHA-256 is not the one recorded beside it."""

    exit_code = FAILED_EXIT_CODE


class DownloadError(WeightsError):
    """A download failed or ended early.

    Attributes:
        status: of the server's answer, where that was an HTTP error: 404, ...
    """

    exit_code = ABSENT_EXIT_CODE
    status: int | None = None


class CheckpointError(WeightsError):
    """A checkpoint file is not what its name promises: damaged, hostile or of another network."""

    exit_code = FAILED_EXIT_CODE


class RecordsError(GpunetError, RuntimeError):
    """Latency records of this machine cannot be read or kept."""


class PublishError(GpunetError, RuntimeError):
    """An entry cannot be uploaded: its folder is not whole, or the hub refused."""


class TrainingError(GpunetError, RuntimeError):
    """A training run cannot start, go on or be resumed."""


class FolderInUseError(TrainingError):
    """Another process is training in the folder."""


class PreemptedError(TrainingError):
    """A run was asked to leave, and did, with a checkpoint: the same call goes on from there."""

    exit_code = PREEMPTED_EXIT_CODE


class StudyError(GpunetError, ValueError):
    """A study is not what was asked for: not there, of another definition, of a newer version, or without trials."""


class StudyUnavailableError(GpunetError, RuntimeError):
    """A study's storage does not answer, or cannot be written; what was recorded before is kept."""

    exit_code = ABSENT_EXIT_CODE


class TrialLostError(GpunetError, RuntimeError):
    """A trial is no longer held by the worker that trains it: another has taken it up."""


class WorkerError(GpunetError, RuntimeError):
    """A worker of a search ended without having done its part."""


class ExportError(GpunetError, RuntimeError):
    """A model could not be exported."""


class VerificationError(ExportError):
    """An exported file does not compute what the model computes."""

    exit_code = FAILED_EXIT_CODE


class MissingDependencyError(GpunetError, ImportError):
    """An optional package is needed; the hint names the extra that installs it."""

    exit_code = MISSING_EXIT_CODE


class RuntimeUnavailableError(GpunetError, RuntimeError):
    """An inference runtime cannot run here: not installed, no device, or not at this precision."""

    exit_code = MISSING_EXIT_CODE


class TableError(GpunetError, RuntimeError):
    """A latency table cannot be used: damaged, of a newer version, of other conditions, or its disk is full."""


class MissingLatencyError(GpunetError, LookupError):
    """A latency table holds no figure for a layer, and nothing may be put in its place."""
