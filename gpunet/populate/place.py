"""The folder of state: where each stage keeps what it has done, and that only one process works in it.

plan.json             the plan that the folder belongs to
space.json            the search space
table.sqlite          the latency table
tiers.json            bounds, samples and candidates of the tiers
search.sqlite         the studies, one a tier (and one of random search beside it)
search/STUDY/         checkpoints of the trials
winners/tier-N/       candidates measured, the winner fine-tuned, exported and measured whole
zoo/NAME/             published entries: give this folder as `zoo=`
report.json, report.html, *.png
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gpunet.core.files import write_text
from gpunet.core.json_files import checked_json
from gpunet.core.placing import remove_parts
from gpunet.errors import FAILED_EXIT_CODE, InvalidArgumentError
from gpunet.populate.plan import Plan
from gpunet.search.study.search_data import without_place

PLAN = "plan.json"
_DAMAGED_HINT = "Delete it and run gpunet populate again: what it said is worked out anew."


class StateFolder:
    """A folder of state.

    Args:
        folder: made if it is not there.
        plan: what it is for.
    """

    def __init__(self, folder: str | Path, plan: Plan) -> None:
        self.folder, self.plan = Path(folder).expanduser().absolute(), plan
        self.table = self.folder / "table.sqlite"
        self.space = self.folder / "space.json"
        self.tiers = self.folder / "tiers.json"
        self.zoo = self.folder / "zoo"

    @property
    def storage(self) -> str:
        """URL of the studies."""
        return self.plan.search.storage or str(self.folder / "search.sqlite")

    def search_folder(self, study: str) -> Path:
        """Of a study's checkpoints."""
        return self.folder / "search" / study

    def winner_folder(self, tier: int) -> Path:
        """Of a tier's candidates and its winner."""
        return self.folder / "winners" / f"tier-{tier}"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other runs, and see that it is this plan's.

        Raises:
            InvalidArgumentError: another run is at work there, it is another plan's, or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise InvalidArgumentError(
                f"another process is at work in {self.folder}.", "Wait for it, or give another folder."
            ) from None
        except OSError as error:
            raise InvalidArgumentError(f"{self.folder} cannot be written: {error}", "Give another folder.") from None
        try:
            for folder in (self.folder, *self.folder.glob("winners/*"), *self.folder.glob("winners/*/*")):
                remove_parts(folder)
            self._claim()
            yield
        finally:
            lock.release()

    def _claim(self) -> None:
        now, path = json.loads(json.dumps(self.plan.to_dict())), self.folder / PLAN
        if path.exists():
            before = read_state(path)
            try:
                changed = first_difference(_fixed(before), _fixed(now))
            except (KeyError, TypeError, AttributeError):
                raise damaged(path) from None
            if changed:
                raise InvalidArgumentError(
                    f"{self.folder} was begun with another plan: {changed} has changed.",
                    "Give another folder. Budgets, workers, fine-tuning and publishing may change on the way.",
                )
        write_text(path, json.dumps(now, indent=1) + "\n")
        write_text(self.space, json.dumps(self.plan.space.to_dict()) + "\n")


def _fixed(plan: dict[str, Any]) -> dict[str, Any]:
    """What must not change on the way: what measured figures and studies depend on."""
    search = {key: plan["search"].get(key) for key in ("recipe", "optimizer", "pruning", "seed", "storage")}
    search["data"] = without_place(plan["search"]["data"])  # a disk may be mounted elsewhere
    kept = {key: plan.get(key) for key in ("name", "space", "device")}
    kept["tiers"] = {key: value for key, value in plan["tiers"].items() if key != "allow_narrow"}
    return {**kept, "table": {key: plan["table"].get(key) for key in ("fraction", "networks")}, "search": search}


def first_difference(before: Any, now: Any, path: str = "") -> str:
    """Path of the first value that differs; '' for none."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            found = first_difference(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
            if found:
                return found
        return ""
    return "" if before == now else path


def read_state(path: Path) -> Any:
    """What a JSON file of this folder's says; None if it is not there.

    Raises:
        InvalidArgumentError: it is damaged.
    """
    return checked_json(path, error=InvalidArgumentError, hint=_DAMAGED_HINT) if path.exists() else None


def damaged(path: Path) -> InvalidArgumentError:
    """The error for a file of this folder's that does not say what it should."""
    message = f"{path} is damaged: it is JSON, but not as gpunet writes it."
    return InvalidArgumentError(message, _DAMAGED_HINT, exit_code=FAILED_EXIT_CODE)


def write_json(path: Path, value: Any) -> None:
    """Write it atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")
