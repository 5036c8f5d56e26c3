"""`gpunet publish`: upload a published entry to the Hugging Face hub, or say what would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console


@command(
    "publish", panel="Fill the zoo",
    examples=[
        "gpunet publish h100/zoo/h100_0 --push-to-hub me/h100_0 --dry-run",
        "gpunet publish h100/zoo/h100_0 --push-to-hub me/h100_0 --private",
    ],
)  # fmt: skip
def publish(
    folder: Annotated[
        Path, typer.Argument(metavar="ENTRY_DIR", show_default=False, help="an entry's folder, as populate writes it")
    ],
    push_to_hub: Annotated[str, opt("--push-to-hub", metavar="REPO", help="the repository: USER/NAME")],
    revision: Annotated[
        str | None, opt("--revision", metavar="BRANCH", help="a branch that is there (default: the main one)")
    ] = None,
    private: Annotated[bool, opt("--private", help="make the repository private, if it is made now")] = False,
    dry_run: Annotated[bool, opt("--dry-run", help="only print what would be uploaded; contact nobody")] = False,
    as_json: options.Json = False,
) -> None:
    """Upload a published entry to the Hugging Face hub.

    Its files (entry.json, latency.csv, config.json, model.safetensors, README.md, publication.json) go in one commit;
    nothing else of the folder is uploaded.
    """
    from gpunet.zoo.publishing.hub import push_to_hub as push

    plan = push(folder, push_to_hub, private=private, dry_run=dry_run, revision=revision)
    if as_json:
        console.print_json(plan.to_dict())
        return
    rows = [(each.path, f"{each.size_bytes:,}", each.sha256) for each in plan.files]
    print(console.table(("file", "bytes>", "SHA-256"), rows))
    total = f"{len(plan.files)} files, {plan.size_bytes:,} bytes"
    print(f"\n{total} would go to {plan.repo_id}" if plan.dry_run else f"\n{total}: {plan.commit_url}")
