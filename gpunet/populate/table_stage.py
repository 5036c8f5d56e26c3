"""Stage 1, the latency table: the layers of the space measured on this machine, as far as they are missing."""

from __future__ import annotations

from gpunet.core.gpu import visible_gpus
from gpunet.errors import FAILED_EXIT_CODE, TableError
from gpunet.latency.sampling import choose_keys
from gpunet.latency.table import LatencyTable
from gpunet.launch.child import Job
from gpunet.launch.processes import gpunet_command
from gpunet.populate.context import Context
from gpunet.populate.cores import wait_until_nothing_trains

_FAILED_PART = 0.1  # of the layers, that may be left to be learned


def is_done(context: Context) -> bool:
    """Whether nothing is missing but layers that could not be measured, which are learned from the others."""
    plan, path = context.plan, context.place.table
    if not path.exists():
        return False
    fraction = 1.0 if plan.table.from_records else plan.table.fraction
    keys = choose_keys(plan.space.lookup_plan(num_classes=context.num_classes), fraction)
    with LatencyTable(path) as table:
        missing, failed = table.missing(keys), table.failures()
        if plan.table.from_records:
            return not missing
        if len(table.networks()) < plan.table.networks or len(missing) > _FAILED_PART * len(keys):
            return False
        return all(key.text in failed for key in missing)


def run(context: Context) -> None:
    """Measure, by the command that users have."""
    plan, device, table = context.plan, context.plan.device, context.plan.table
    options = ["--space", str(context.place.space), "--classes", str(context.num_classes)]
    if table.from_records:
        options += ["--from-records", "--batch-size", str(device.batch_size)]
        command = gpunet_command("table", "build", str(context.place.table), *options, "--until-eof")
        context.run_jobs("table", [Job("table", command)])
        return
    wait_until_nothing_trains(context)
    options += ["--layers-fraction", repr(table.fraction), "--networks", str(table.networks)]
    options += ["--precision", device.precision, "--batch-size", str(device.batch_size)]
    if device.runtime is not None:
        options += ["--runtime", device.runtime]
    if device.threads is not None:
        options += ["--threads", str(device.threads)]
    many = plan.table.jobs
    if many > 1 and len(visible_gpus()) > 1:
        command = gpunet_command("table", "shards", str(context.place.table), "--shards", str(many), *options)
    else:
        command = gpunet_command("table", "build", str(context.place.table), *options, "--processes", str(many))
    # Where some layers could not be measured, the builder says so by its exit code.
    job = Job("table", [*command, "--until-eof"], done_codes=(0, FAILED_EXIT_CODE))
    context.run_jobs("table", [job])
    if not is_done(context):
        raise TableError(
            f"{context.place.table} is not complete, and its builder has ended.",
            f"gpunet table show {context.place.table} --failures says why; then run the same command again.",
        )
