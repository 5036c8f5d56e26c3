"""What a search found, as frozen data: the conditions, the tiers with their trials, and the networks that won.

`report.json` in a report's folder holds it; `gpunet report` draws it. Every fault is a SpecError that begins with its
path: ``tiers[1].trials[4].state: ...``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpunet.core.fields import check_name, check_number, part_from_dict, part_to_dict
from gpunet.core.files import write_text
from gpunet.core.json_files import checked_json
from gpunet.core.versions import body_of
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, ReportError, SpecError
from gpunet.report.parts import (
    NetworkReport,
    Sample,
    TierReport,
    TrialPoint,
    WholePoint,
    check_parts,
    check_unique,
    parts_from_list,
)

__all__ = ["NetworkReport", "Report", "Sample", "TierReport", "TrialPoint", "WholePoint", "read_report", "write_report"]

FORMAT, FORMAT_VERSION = "gpunet-report", 1
FILE_NAME = "report.json"
_HINT = "Move it away: gpunet populate writes it anew at its end."


@dataclass(frozen=True)
class Report:
    """All that a search's report shows.

    Args:
        title: heading of the page.
        chip, board: what the latencies were measured on, as `gpunet.core.device` names them.
        runtime, runtime_version, precision, batch_size: the other conditions of the latencies.
        data: what the networks were trained and scored on, in words.
        created: when, as ISO 8601 writes it.
        tiers: of the search.
        networks: the winners.
        versions: of the packages that took part, by name.
        missing: what is not there yet, in sentences; nothing of a search that is finished.
        doubts: what is there and is not as it should be, in sentences: it stands at the top.
        whole: networks measured whole for the latency table.
        worth: what the table's estimates are worth, in words; '' where nobody says.
        dataset: the images that accuracies are of, such as 'digits (validation)'; '' where nobody says.

    Raises:
        SpecError: (a ValueError) naming the path of the fault.
    """

    title: str
    chip: str
    board: str
    runtime: str
    runtime_version: str
    precision: str
    batch_size: int
    data: str
    created: str
    tiers: tuple[TierReport, ...]
    networks: tuple[NetworkReport, ...]
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    missing: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    whole: tuple[WholePoint, ...] = ()
    worth: str = ""
    dataset: str = ""

    def __post_init__(self) -> None:
        for name in ("title", "chip", "board", "runtime", "precision", "data", "created"):
            check_name(name, getattr(self, name))
        if not isinstance(self.runtime_version, str):
            raise SpecError(f"runtime_version: {self.runtime_version!r} is not a text", "Give '' if it is not known.")
        for name in ("dataset", "worth"):
            if not isinstance(getattr(self, name), str):
                raise SpecError(f"{name}: {getattr(self, name)!r} is not a text", "Give '' if it is not known.")
        check_number("batch_size", self.batch_size, 1, whole=True)
        check_parts("tiers", self.tiers, TierReport)
        check_parts("networks", self.networks, NetworkReport)
        check_parts("whole", self.whole, WholePoint)
        names = [tier.name for tier in self.tiers]
        check_unique("tiers", "name", names)
        check_unique("networks", "name", [network.name for network in self.networks])
        for index, network in enumerate(self.networks):
            if network.tier not in names:
                raise SpecError(
                    f"networks[{index}].tier: no tier is called {network.tier!r}", f"Tiers: {', '.join(names)}."
                )
        for name in ("missing", "doubts"):
            sentences = getattr(self, name)
            if not isinstance(sentences, tuple):
                raise SpecError(f"{name}: {sentences!r:.60} is not a list")
            for each in sentences:
                check_name(name, each)
        if not isinstance(self.versions, Mapping):
            raise SpecError(f"versions: {self.versions!r} is not an object")
        for package, version in self.versions.items():
            check_name("versions", package)
            if not isinstance(version, str):
                raise SpecError(f"versions.{package}: {version!r} is not a text")

    @classmethod
    def from_dict(cls, data: Any) -> Report:
        """The report that `to_dict` wrote.

        Raises:
            SpecError: it is no report, of another version, or a field breaks its rule.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise SpecError(f"format: this is no {FORMAT}", "gpunet populate keeps one in its folder of state.")
        body = body_of(data, "report", "format_version", FORMAT_VERSION)
        del body["format"]
        for name, part_type in (("tiers", TierReport), ("networks", NetworkReport), ("whole", WholePoint)):
            if name in body:
                body[name] = parts_from_list(body[name], part_type, name)
        body.setdefault("versions", {})
        for name in ("missing", "doubts"):
            if isinstance(body.get(name), list):
                body[name] = tuple(body[name])
        return part_from_dict(cls, body, "")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        body = part_to_dict(self)
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **body, "versions": dict(self.versions)}


def read_report(folder: str | Path) -> Report:
    """The report in a folder's `report.json`.

    Raises:
        ReportError: (a ValueError) there is none, or it cannot be read as one; the message names file and field.
    """
    path = Path(folder) / FILE_NAME
    if not path.exists():
        raise ReportError(
            f"{folder} holds no {FILE_NAME}.", "Give the folder of a search: gpunet populate or gpunet search make "
            "one.", exit_code=ABSENT_EXIT_CODE,
        )  # fmt: skip
    data = checked_json(path, error=ReportError, hint=_HINT)
    try:
        return Report.from_dict(data)
    except SpecError as error:
        raise ReportError(f"{path}: {error.message}", error.hint or _HINT, exit_code=FAILED_EXIT_CODE) from None


def write_report(report: Report, folder: str | Path) -> Path:
    """Write `report.json` into a folder, atomically; the folder is made. Returns the file's path."""
    path = Path(folder) / FILE_NAME
    write_text(path, json.dumps(report.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path
