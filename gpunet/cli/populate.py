"""`gpunet populate`: fill the zoo for a device, by one command that goes on after an end of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.populate.stages import PARTS, PRESET_NAMES, STAGES

_COST, _HUB = "What it takes", "To the Hugging Face hub"
_UNTIL_HELP = f"stop after this one of {', '.join(STAGES)} (default: the last); {', '.join(PARTS)} are parts of winners"
_COST_HELP = "print what a tier of the plan takes on ImageNet, by published training throughputs, and do nothing"
_PUSH_HELP = "upload what was published; of several entries, to REPO-0, REPO-1, ..."
_HIGHEST_PRICE = 1e9


def _complete_preset(incomplete: str) -> list[str]:
    return [name for name in PRESET_NAMES if name.startswith(incomplete)]


def _complete_stage(incomplete: str) -> list[str]:
    return [name for name in (*STAGES, *PARTS) if name.startswith(incomplete)]


@command(
    "populate", panel="Fill the zoo",
    examples=[
        "gpunet populate --preset demo -o demo-zoo",
        "gpunet populate plan.toml -o h100",
        "gpunet populate plan.toml --cost --gpus 100 --gpu-hour 2",
        "gpunet populate plan.toml -o h100 --push-to-hub me/h100 --dry-run",
    ],
)  # fmt: skip
def populate(
    plan: Annotated[
        Path | None, typer.Argument(metavar="PLAN", show_default=False, help="a TOML, YAML or JSON file")
    ] = None,
    preset: Annotated[
        str | None,
        opt("--preset", metavar="NAME", complete=_complete_preset,
            help=f"in place of a plan: {', '.join(PRESET_NAMES)}"),
    ] = None,
    out: Annotated[Path | None, opt("--out", "-o", metavar="DIR", help="the folder of state")] = None,
    until: Annotated[
        str, opt("--until", metavar="STAGE", complete=_complete_stage, help=_UNTIL_HELP)
    ] = STAGES[-1],
    timeout_s: Annotated[
        float | None,
        opt("--timeout", metavar="SECONDS",
            help="the most that downloading the teacher may take (default: as the plan says, else 3600)"),
    ] = None,
    print_plan: Annotated[
        bool, opt("--print-plan", help="print the plan as JSON, whole, and do nothing")
    ] = False,
    cost: Annotated[bool, opt("--cost", panel=_COST, help=_COST_HELP)] = False,
    gpus: Annotated[
        int | None,
        opt("--gpus", metavar="N", min=1, panel=_COST, help="with --cost: that search side by side (default: 64)"),
    ] = None,
    gpu_hour: Annotated[
        float | None,
        opt("--gpu-hour", metavar="PRICE", min=0, max=_HIGHEST_PRICE, panel=_COST,
            help="with --cost: price of a GPU for an hour"),
    ] = None,
    push_to_hub: Annotated[str | None, opt("--push-to-hub", metavar="REPO", panel=_HUB, help=_PUSH_HELP)] = None,
    dry_run: Annotated[
        bool, opt("--dry-run", panel=_HUB, help="with --push-to-hub: only show what would be uploaded")
    ] = False,
    private: Annotated[
        bool, opt("--private", panel=_HUB, help="with --push-to-hub: make the repositories private")
    ] = False,
    as_json: options.Json = False,
) -> None:  # fmt: skip
    """Fill the zoo for a device: table, tiers, search, winners, entries.

    Latency table, tiers, search, fine-tuning, export, measurement, publication. Every stage skips what is done, so that
    the same command goes on after an end of any kind; SIGTERM leaves with exit code 75. docs/populating.md says what a
    plan holds. Where a tier has no entry in the end, the exit code is 6.
    """
    from gpunet.populate import command as populate_command

    populate_command.check(
        plan, preset=preset, until=until, push_to_hub=push_to_hub, dry_run=dry_run, private=private, cost=cost,
        gpus=gpus, gpu_hour=gpu_hour,
    )  # fmt: skip
    given = populate_command.plan_given(plan, preset, timeout_s)
    if print_plan:
        populate_command.print_plan(given)
    elif cost:
        populate_command.print_costs(given, gpus=64 if gpus is None else gpus, gpu_hour=gpu_hour, as_json=as_json)
    else:
        populate_command.run(
            given, out, until=until, push_to_hub=push_to_hub, dry_run=dry_run, private=private, as_json=as_json
        )
