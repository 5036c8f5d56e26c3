"""`gpunet publish`: upload a published entry to the Hugging Face hub, or say what would be."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gpunet.cli import options
from gpunet.core import console


def add_parser(commands: Any) -> None:
    """Add `publish` to the commands of `gpunet`."""
    parser = commands.add_parser(
        "publish",
        help="upload a published entry to the Hugging Face hub",
        description="Upload the files of a published entry (entry.json, latency.csv, config.json, model.safetensors, "
        "README.md, publication.json) in one commit. Nothing else of the folder is uploaded.",
    )
    parser.add_argument("folder", metavar="ENTRY_DIR", type=Path, help="what publish_entry wrote")
    parser.add_argument("--push-to-hub", metavar="REPO", required=True, help="the repository: USER/NAME")
    parser.add_argument("--revision", metavar="BRANCH", help="a branch that is there (default: the main one)")
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is made now")
    parser.add_argument("--dry-run", action="store_true", help="only print what would be uploaded; contact nobody")
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Upload, and print the files."""
    from gpunet.zoo.publishing.hub import push_to_hub

    plan = push_to_hub(
        args.folder, args.push_to_hub, private=args.private, dry_run=args.dry_run, revision=args.revision
    )
    if args.json:
        console.print_json(plan.to_dict())
        return
    rows = [(each.path, f"{each.size_bytes:,}", each.sha256) for each in plan.files]
    print(console.table(("file", "bytes>", "SHA-256"), rows))
    total = f"{len(plan.files)} files, {plan.size_bytes:,} bytes"
    print(f"\n{total} would go to {plan.repo_id}" if plan.dry_run else f"\n{total}: {plan.commit_url}")
