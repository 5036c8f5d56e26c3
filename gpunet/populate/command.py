"""Fill the zoo for a device: table, tiers, search, fine-tuning, export, measurement, publication, one command.

    gpunet populate --preset demo -o demo-zoo     # all of it in small, on this machine's processor
    gpunet populate plan.toml -o h100             # a plan of your own; run it again after anything
    gpunet populate plan.toml -o h100 --until tiers
    gpunet populate plan.toml -o h100 --push-to-hub me/h100 --dry-run

Every stage skips what is done, so that the same command goes on after an end of any kind. SIGTERM leaves with exit code
75, trials requeued. docs/populating.md shows a plan for a GPU and ImageNet.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path

from gpunet.core import console
from gpunet.core.arguments import checked_choice, checked_number
from gpunet.core.device import LOCAL
from gpunet.core.signals import sigterm_asked
from gpunet.errors import FAILED_EXIT_CODE, UsageError
from gpunet.model.dataset_names import IMAGENET, canonical_dataset
from gpunet.populate.context import Context
from gpunet.populate.place import StateFolder
from gpunet.populate.plan import Plan
from gpunet.populate.plan_file import read_plan
from gpunet.populate.presets import PRESETS
from gpunet.populate.publish_stage import push
from gpunet.populate.run import populate
from gpunet.populate.stages import PARTS, STAGES
from gpunet.search.study.quiet import quiet_optuna
from gpunet.zoo.publishing.hub import check_repo_id


def check(
    plan: Path | None, *, preset: str | None, until: str, push_to_hub: str | None, dry_run: bool, private: bool,
    cost: bool, gpus: int | None, gpu_hour: float | None,
) -> None:  # fmt: skip
    """Raise InvalidArgumentError where options of `gpunet populate` are of no effect, or do not go together.

    A name that no repository can have is a PublishError.
    """
    if (plan is None) == (preset is None):
        raise UsageError(
            "a plan or a preset must be given, and not both.", f"PLAN, or --preset {' | '.join(sorted(PRESETS))}"
        )
    checked_choice("--until", until, (*STAGES, *PARTS))
    for name, given in (("--dry-run", dry_run), ("--private", private)):
        if given and not push_to_hub:
            raise UsageError(f"{name} goes with --push-to-hub.", "Name a repository.")
    for name, number in (("--gpus", gpus), ("--gpu-hour", gpu_hour)):
        if number is not None and not cost:
            raise UsageError(f"{name} goes with --cost.", "A plan says its own workers: search.workers.")
    if push_to_hub and until not in ("publish", "report"):
        raise UsageError(f"--push-to-hub needs the stage publish, but --until is {until}.", "Leave it out.")
    if push_to_hub:  # before days of search
        check_repo_id(push_to_hub)


def plan_given(plan: Path | None, preset: str | None, timeout_s: float | None = None) -> Plan:
    """The plan in a file, or of a preset.

    Args:
        plan, preset: which.
        timeout_s: for the download of its teacher, in place of what it says.

    Raises:
        SpecError: the file cannot be read as a plan.
        InvalidArgumentError: there is no such preset, or timeout_s is none or of no effect.
    """
    given = read_plan(plan) if plan is not None else PRESETS[checked_choice("--preset", str(preset), PRESETS)]()
    if timeout_s is None:
        return given
    checked_number("--timeout", timeout_s, 0, above=True)
    if given.fine_tune.teacher is None or given.fine_tune.teacher_weights is not None:
        raise UsageError("--timeout is given, but the plan has no teacher to download.", "Leave it out.")
    return replace(given, fine_tune=replace(given.fine_tune, teacher_timeout_s=timeout_s))


def run(
    plan: Plan, out: Path | None, *, until: str, push_to_hub: str | None, dry_run: bool, private: bool, as_json: bool
) -> None:
    """Run the stages of a plan; exit 6 where a tier has no entry in the end."""
    if out is None:
        raise UsageError("the folder of state must be named.", "Add -o DIR: what is done is kept there.")
    quiet_optuna()
    place = StateFolder(out, plan)

    def say(line: str) -> None:
        if as_json:
            console.note(line)
        else:
            print(line, flush=True)

    with console.resumable(), place.held(), sigterm_asked() as asked:
        context = Context(plan, place, say, asked)
        done = populate(context, until)
        if push_to_hub:
            push(context, done.entries, push_to_hub, dry_run=dry_run, private=private)
    if as_json:
        page = None if done.page is None else str(done.page)
        console.print_json({"tiers": done.tiers, "entries": [str(each) for each in done.entries], "report": page})
    if until != STAGES[-1]:
        return
    if not as_json:
        print(f"\n{len(done.entries)} of {done.tiers} tiers have an entry. Use them:\n")
        option, argument = _dataset_asked_for(plan)
        if plan.device.chip == LOCAL and plan.device.threads is not None:
            option, argument = f"{option} --threads {plan.device.threads}", f"{argument}, threads={plan.device.threads}"
        print(f"    gpunet find --device {plan.device.chip}{option} --zoo {place.zoo}")
        print(f"    gpunet.create({plan.device.chip!r}, max_ms=...{argument}, zoo={str(place.zoo)!r})")
    if len(done.entries) < done.tiers:
        raise SystemExit(FAILED_EXIT_CODE)


def _dataset_asked_for(plan: Plan) -> tuple[str, str]:
    """How a query names the data that the plan's networks are scored on, as option and as argument; '' for ImageNet."""
    data = plan.search.data
    dataset = canonical_dataset(f"{data.data} ({data.validation_split})")
    return ("", "") if dataset == IMAGENET else (f" --dataset {shlex.quote(dataset)}", f", dataset={dataset!r}")


def print_plan(plan: Plan) -> None:
    """Print a plan, whole, as JSON."""
    console.print_json(plan.to_dict())


def print_costs(plan: Plan, *, gpus: int, gpu_hour: float | None, as_json: bool) -> None:
    """Print what a plan takes on ImageNet.

    Args:
        plan: to reckon with.
        gpus: that search side by side.
        gpu_hour: price of a GPU for an hour.
        as_json: as JSON.
    """
    from gpunet.populate.cost import LAYER_S, table_hours, table_of_costs

    tiers, price = plan.tiers.tiers, gpu_hour
    costs = table_of_costs(plan, gpus)
    layers, measured, hours = table_hours(plan)
    if as_json:
        console.print_json({
            "gpus": gpus, "gpu_hour": price, "tiers": tiers,
            "a_tier": [
                {"like": model, **asdict(cost), "gpu_hours": cost.gpu_hours,
                 "price": None if price is None else cost.gpu_hours * price} for model, _, cost in costs
            ],
            "table": {"layers": layers, "measured": measured, "builders": plan.table.jobs,
                      "hours": dict(zip(map(str, LAYER_S), hours, strict=True))},
        })  # fmt: skip
        return
    rows = [
        (f"like {model}", gpu, f"{cost.trial_gpu_hours:.0f}", f"{cost.search_gpu_hours:,.0f}",
         f"{cost.fine_tune_gpu_hours:.0f}", f"{cost.days:.1f}",
         None if price is None else f"{cost.gpu_hours * price:,.0f}",
         f"{tiers * cost.days:.0f}", None if price is None else f"{tiers * cost.gpu_hours * price:,.0f}")
        for model, gpu, cost in costs
    ]  # fmt: skip
    columns = ["networks", "GPU", "a trial, GPU hours>", f"{plan.search.trials} trials>", "fine-tuning>",
               f"a tier: days on {gpus}>", "a tier: cost>", f"{tiers} tiers: days>",
               f"{tiers} tiers: cost>"]  # fmt: skip
    print(console.table(columns, rows))
    seconds = [f"{each:.0f} s" for each in LAYER_S]
    print(
        f"\nThe latency table: {measured:,} of {layers:,} layers by {plan.table.jobs} builders, {hours[0]:,.0f} hours "
        f"at {seconds[0]} a layer, {hours[1]:,.0f} at {seconds[1]} (assumed: see gpunet/populate/cost.py)."
    )
