"""Networks that this machine's runtime could not be given, or did not run: kept beside its records, with the reason.

A network that ended the process twice while it was measured (for its memory, say) counts as one. With other versions of
torch, timm or gpunet all are tried again.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gpunet.core import files
from gpunet.core.json_files import parsed_json
from gpunet.zoo.local_file import accessible

FORMAT, FORMAT_VERSION = "gpunet-failures", 1
_MOST_ENDS = 2
_ENDED = "the process was ended twice while it was measured, as a system does that is out of memory"


class Failures:
    """The failures of one fingerprint's networks, by the key of a measurement; each change is written at once.

    Args:
        records: the file that its measurements are kept in.
    """

    def __init__(self, records: Path) -> None:
        self._path = records.with_name(f"{records.stem}.failures.json")

    def reasons(self) -> dict[str, str]:
        """Why networks are not to be tried, by key."""
        known = self._read().items()
        return {key: said.get("reason", _ENDED) for key, said in known if said.get("ends", _MOST_ENDS) >= _MOST_ENDS}

    def add(self, key: str, reason: str) -> None:
        """Keep a failure."""
        self._write({**self._read(), key: {"reason": reason}})

    def forget(self, keys: Iterable[str]) -> None:
        """Let networks be tried again."""
        known = self._read()
        if kept := known.keys() & set(keys):
            self._write({key: said for key, said in known.items() if key not in kept})

    @contextlib.contextmanager
    def trying(self, key: str) -> Iterator[None]:
        """Count an end of the process within the block; what is raised is none."""
        before = self._read()
        self._write({**before, key: {"ends": before.get(key, {}).get("ends", 0) + 1}})
        try:
            yield
        finally:
            now = self._read()
            if "reason" not in now.get(key, {}):
                self._write({other: said for other, said in now.items() if other != key})

    def _read(self) -> dict[str, dict[str, Any]]:
        """Those of the installed versions; none where the file is not there or damaged: they fail again."""
        try:
            data = parsed_json(self._path.read_text(encoding="utf-8"))
            if (data["format"], data["format_version"]) != (FORMAT, FORMAT_VERSION) or data["versions"] != _versions():
                return {}
            return {str(key): dict(said) for key, said in data["failures"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def _write(self, failures: dict[str, dict[str, Any]]) -> None:
        body = {"format": FORMAT, "format_version": FORMAT_VERSION, "versions": _versions(), "failures": failures}
        with accessible(self._path):
            files.write_text(self._path, json.dumps(body, indent=1) + "\n")


def _versions() -> dict[str, str]:
    found = {}
    for package in ("gpunet", "timm", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
