"""Upload a published entry to the Hugging Face hub: its own files, in one commit, and nothing else of its folder."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gpunet.core.files import sha256_of
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, EntryError, PublishError
from gpunet.model.entry import Entry
from gpunet.zoo.publishing.layout import ENTRY, LAYOUT, WEIGHTS
from gpunet.zoo.reading import read_entry


@dataclass(frozen=True)
class PushFile:
    """A file to upload: its name in the repository, its size in bytes and its SHA-256 in hex."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class PushPlan:
    """What is uploaded, or would be.

    Args:
        folder: the published entry's.
        repo_id: 'USER/NAME'.
        private: whether a repository that is made is private.
        revision: the branch; None for the main one.
        files: all of them, in the order of their names.
        dry_run: True where nothing was uploaded.
        commit_url: of the commit; None for a dry run.
    """

    folder: Path
    repo_id: str
    private: bool
    revision: str | None
    files: tuple[PushFile, ...]
    dry_run: bool
    commit_url: str | None = None

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(each.size_bytes for each in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "folder": str(self.folder), "files": [asdict(each) for each in self.files]}


def push_to_hub(
    folder: str | Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    revision: str | None = None,
) -> PushPlan:
    """Upload the files of a published entry, in one commit; the repository is made if it is not there.

    `HF_ENDPOINT` and `HF_TOKEN` count as ever. The same files again make no new commit.

    Args:
        folder: what `gpunet.zoo.publishing.publish.publish_entry` wrote.
        repo_id: 'USER/NAME' or 'ORGANISATION/NAME'.
        token: the hub's; None for the one of `hf auth login`.
        private: make the repository private, if it is made now.
        dry_run: only say what would be uploaded; nobody is contacted.
        revision: a branch that is there; None for the main one.

    Raises:
        PublishError: (a RuntimeError) the folder is no published entry, the name is none of a repository's, or the hub
            refused or could not be reached.
    """
    folder = Path(folder).expanduser()
    check_repo_id(repo_id)
    plan = PushPlan(folder, repo_id, private, revision, _files_of(folder), dry_run)
    return plan if dry_run else _uploaded(plan, token)


def check_repo_id(repo_id: str) -> None:
    """Raise PublishError unless the hub could have a repository of this name."""
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    reason = "" if str(repo_id).count("/") == 1 else ": it must be USER/NAME"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        reason = reason or f": {error}"
    if reason:
        raise PublishError(f"{repo_id!r} cannot be a repository{reason}.", "Name it as USER/NAME.")


def _files_of(folder: Path) -> tuple[PushFile, ...]:
    missing = [name for name in LAYOUT if not (folder / name).is_file()]
    if missing:
        raise PublishError(
            f"{folder} is no published entry: it has no {missing[0]}.",
            "gpunet populate writes one, and so does gpunet.zoo.publish_entry.",
            exit_code=ABSENT_EXIT_CODE,
        )
    files = tuple(PushFile(name, (folder / name).stat().st_size, sha256_of(folder / name)) for name in sorted(LAYOUT))
    try:
        entry: Entry | None = read_entry(folder / ENTRY)
    except EntryError as error:
        raise PublishError(error.message, error.hint, exit_code=error.exit_code) from None
    weights = None if entry is None else entry.weights
    found = next(each.sha256 for each in files if each.path == WEIGHTS)
    if weights is None or weights.sha256 != found:
        raise PublishError(
            f"{folder / WEIGHTS} is damaged, or is not this entry's: {ENTRY} records another SHA-256.",
            "Publish the entry again.",
            exit_code=FAILED_EXIT_CODE,
        )
    return files


def _uploaded(plan: PushPlan, token: str | None) -> PushPlan:
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="gpunet")
    files = [CommitOperationAdd(each.path, plan.folder / each.path) for each in plan.files]
    try:
        api.create_repo(plan.repo_id, private=plan.private, exist_ok=True)
        done = api.create_commit(
            plan.repo_id, files, commit_message=f"Publish {plan.folder.resolve().name}", revision=plan.revision
        )
    except Exception as error:  # its HTTP library's errors have no public name that covers all of the hub's releases
        raise PublishError(
            f"{plan.repo_id} could not be uploaded: {type(error).__name__}: {error}",
            _hint(plan, error),
            exit_code=ABSENT_EXIT_CODE,
        ) from error
    return replace(plan, commit_url=str(done.commit_url))


def _hint(plan: PushPlan, error: Exception) -> str:
    """What to do, by the status that the hub answered with."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"Log in with a token that may write to {plan.repo_id}: hf auth login, or HF_TOKEN."
    if status == 404:
        revision = "" if plan.revision is None else f", and that the branch {plan.revision} is there"
        return f"Check the name {plan.repo_id}{revision}; and log in: hf auth login."
    if status is None:
        return "Is the hub reachable from here, and HF_ENDPOINT right? To see what would be uploaded: dry_run=True."
    return "The hub is in trouble: try again later." if status >= 500 else "Its answer says what it does not take."
