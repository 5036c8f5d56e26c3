"""The same processes as tasks of a Ray cluster: started where there is room, and again elsewhere when a node goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from gpunet.core.files import require
from gpunet.core.signals import heed_interrupts, sigterm_asked
from gpunet.errors import WorkerError
from gpunet.launch.child import KILL_AFTER_S, LAST_WORDS_S, LEFT, Child, Job

_LOOK_S = 0.2
_KEPT_CHARACTERS = 2000


def run_job(command: Sequence[str], environment: dict[str, str], stop_s: float = KILL_AFTER_S) -> tuple[int, str]:
    """A job's process, in a task: its exit code and the end of what it said. It ends when the task does.

    Args:
        command, environment: see `gpunet.launch.child.Job`.
        stop_s: between asking the process to leave and killing it, when the task is cancelled.
    """
    heed_interrupts()
    child = Child(Job("task", command, environment), lambda line: print(line, flush=True))
    try:
        # Ray cancels a task by an exception between two instructions of Python: one that waits in the system, for a
        # line or for the process, would never see it.
        while child.exit_code() is None:
            time.sleep(_LOOK_S)
    finally:  # the task is cancelled, if the process has not ended
        child.ask_to_leave()
        code = child.finish(stop_s)
    return code, "\n".join(child.lines)[-_KEPT_CHARACTERS:]


def run_on_ray(
    jobs: Sequence[Job],
    *,
    address: str = "auto",
    gpus: float | None = None,
    cpus: float = 1,
    stop_s: float = KILL_AFTER_S,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run jobs as tasks of a cluster that is there, until all have ended.

    A task whose node or process goes is started again by Ray, on another node, as often as need be.

    Args:
        jobs: their commands must run on every node: gpunet installed, paths that all reach.
        address: of the cluster; 'auto' for the one that this machine belongs to.
        gpus, cpus: that a task needs; of GPUs, None for one where the cluster has any.
        stop_s: to let tasks lay their trials back when this process is asked to leave.
        say: told how tasks end.
        should_stop: asked often; True leaves as SIGTERM does.

    Returns:
        Whether it was asked to leave before their end.

    Raises:
        WorkerError: (a RuntimeError) there is no cluster, or a job ended with an error.
        MissingDependencyError: (an ImportError) Ray is not installed.
    """
    ray: Any = require("ray", "cluster", purpose="to run on a Ray cluster")
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address=address, log_to_driver=True, logging_level="warning")
        except ConnectionError as error:
            raise WorkerError(
                f"there is no Ray cluster at {address}: {error}", "Start one (ray start --head), or give its address."
            ) from None
    try:
        if gpus is None:
            gpus = float(ray.cluster_resources().get("GPU", 0) > 0)
        if not has_room(ray.nodes(), gpus, cpus):
            say(f"no node of the cluster has {gpus:g} GPUs and {cpus:g} processors: waiting for one that joins it")
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=-1)(run_job)

        def begin(job: Job) -> Any:
            return task.options(name=job.name).remote(list(job.command), dict(job.environment), stop_s)

        waiting = {begin(job): job for job in jobs}
        faults: list[str] = []
        with sigterm_asked() as sigterm:
            asked = False
            while waiting:
                if sigterm() or should_stop():
                    asked = True
                    _cancel(ray, list(waiting), stop_s)
                    break
                done, _ = ray.wait(list(waiting), num_returns=1, timeout=_LOOK_S)
                for each in done:
                    job = waiting.pop(each)
                    code, fault = _end(ray, each, job)
                    if code == LEFT:  # its node is drained
                        say(f"{job.name}: was asked to leave; it is started again")
                        waiting[begin(job)] = job
                        continue
                    say(f"{job.name}: {fault or 'has ended'}")
                    faults += [fault] if fault else []
    finally:
        if ours:
            ray.shutdown()
    if faults:
        raise WorkerError("\n".join(faults), "Mend it and run the same command again: it goes on.")
    return asked


def has_room(nodes: Sequence[dict[str, Any]], gpus: float, cpus: float) -> bool:
    """Whether a node could ever run a task."""
    own = [each["Resources"] for each in nodes if each["Alive"]]
    return any(each.get("GPU", 0) >= gpus and each.get("CPU", 0) >= cpus for each in own)


def _end(ray: Any, task: Any, job: Job) -> tuple[int | None, str]:
    """A task's exit code, and what was wrong; '' for nothing."""
    try:
        code, said = ray.get(task)
    except ray.exceptions.RayError as error:
        return None, f"{job.name} could not be run: {str(error).strip().splitlines()[-1]}"
    if code in (*job.done_codes, LEFT):
        return code, ""
    return code, f"{job.name} ended with exit code {code}: {said.strip()[-500:]}"


def _cancel(ray: Any, tasks: Sequence[Any], stop_s: float) -> None:
    for each in tasks:
        ray.cancel(each, force=False)
    until_s = time.monotonic() + stop_s + LAST_WORDS_S
    left = list(tasks)
    while left and time.monotonic() < until_s:
        _, left = ray.wait(left, num_returns=len(left), timeout=min(1.0, max(0.0, until_s - time.monotonic())))
    for each in left:
        ray.cancel(each, force=True)
