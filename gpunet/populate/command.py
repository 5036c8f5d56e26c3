"""Fill the zoo for a device: table, tiers, search, fine-tuning, export, measurement, publication, one command.

    gpunet populate --preset demo -o demo-zoo     # all of it in small, on this machine's processor
    gpunet populate plan.toml -o h100             # a plan of your own; run it again after anything
    gpunet populate plan.toml -o h100 --until tiers
    gpunet populate plan.toml -o h100 --push-to-hub me/h100 --dry-run

Every stage skips what is done, so that the same command goes on after an end of any kind. SIGTERM leaves with exit code
75, trials requeued. docs/populating.md shows a plan for a GPU and ImageNet.
"""

from __future__ import annotations

import argparse
import json

from gpunet.core import console
from gpunet.core.signals import sigterm_asked
from gpunet.errors import InvalidArgumentError
from gpunet.populate.context import Context
from gpunet.populate.place import StateFolder
from gpunet.populate.plan import Plan
from gpunet.populate.plan_file import read_plan
from gpunet.populate.presets import PRESETS
from gpunet.populate.publish_stage import push
from gpunet.populate.run import populate
from gpunet.populate.stages import STAGES
from gpunet.search.study.quiet import quiet_optuna


def run(args: argparse.Namespace) -> None:
    """Run `gpunet populate`; its options are those of gpunet.cli.populate."""
    plan = _plan(args)
    if args.print_plan:
        print(json.dumps(plan.to_dict(), indent=2))
        return
    if args.cost:
        _print_costs(plan, args)
        return
    if args.out is None:
        raise InvalidArgumentError("the folder of state must be named.", "Pass -o DIR: what is done is kept there.")
    quiet_optuna()
    place = StateFolder(args.out, plan)

    def say(line: str) -> None:
        print(line, flush=True)

    with place.held(), sigterm_asked() as asked:
        context = Context(plan, place, say, asked)
        done = populate(context, args.until)
        if args.push_to_hub:
            push(context, done.entries, args.push_to_hub, dry_run=args.dry_run, private=args.private)
    if args.until == STAGES[-1]:
        print(f"\n{len(done.entries)} of {done.tiers} tiers have an entry. Use them:\n")
        print(f"    gpunet find --device {plan.device.chip} --zoo {place.zoo}")
        print(f"    gpunet.create({plan.device.chip!r}, max_ms=..., zoo={str(place.zoo)!r})")
        if len(done.entries) < done.tiers:
            raise SystemExit(console.FAILED_EXIT_CODE)


def _print_costs(plan: Plan, args: argparse.Namespace) -> None:
    from gpunet.populate.cost import LAYER_S, table_hours, table_of_costs

    if args.gpus < 1:
        raise InvalidArgumentError(f"--gpus must be 1 or more, but got {args.gpus}.")
    tiers, price = plan.tiers.tiers, args.gpu_hour
    rows = [
        (f"like {model}", gpu, f"{cost.trial_gpu_hours:.0f}", f"{cost.search_gpu_hours:,.0f}",
         f"{cost.fine_tune_gpu_hours:.0f}", f"{cost.days:.1f}",
         None if price is None else f"{cost.gpu_hours * price:,.0f}",
         f"{tiers * cost.days:.0f}", None if price is None else f"{tiers * cost.gpu_hours * price:,.0f}")
        for model, gpu, cost in table_of_costs(plan, args.gpus)
    ]  # fmt: skip
    columns = ["networks", "GPU", "a trial, GPU hours>", f"{plan.search.trials} trials>", "fine-tuning>",
               f"a tier: days on {args.gpus}>", "a tier: cost>", f"{tiers} tiers: days>",
               f"{tiers} tiers: cost>"]  # fmt: skip
    print(console.table(columns, rows))
    layers, measured, hours = table_hours(plan)
    seconds = [f"{each:.0f} s" for each in LAYER_S]
    print(
        f"\nThe latency table: {measured:,} of {layers:,} layers by {plan.table.jobs} builders, {hours[0]:,.0f} hours "
        f"at {seconds[0]} a layer, {hours[1]:,.0f} at {seconds[1]} (assumed: see gpunet/populate/cost.py)."
    )


def _plan(args: argparse.Namespace) -> Plan:
    if (args.plan is None) == (args.preset is None):
        raise InvalidArgumentError(
            "a plan or a preset must be given, and not both.", f"PLAN, or --preset {' | '.join(sorted(PRESETS))}"
        )
    for name in ("dry_run", "private"):
        if getattr(args, name) and not args.push_to_hub:
            raise InvalidArgumentError(f"--{name.replace('_', '-')} goes with --push-to-hub.", "Name a repository.")
    if args.push_to_hub and args.until not in ("publish", "report"):
        raise InvalidArgumentError(
            f"--push-to-hub needs the stage publish, but --until is {args.until}.", "Leave it out."
        )
    return PRESETS[args.preset]() if args.preset else read_plan(args.plan)
