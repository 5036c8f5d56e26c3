"""What a tier's winner is chosen with: this machine, which measures, fine-tunes and exports networks."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.launch.child import Job
from gpunet.launch.processes import places
from gpunet.populate.context import Context
from gpunet.populate.cores import wait_until_nothing_trains
from gpunet.populate.fine_tune import run_folder
from gpunet.populate.search_stage import study_name, study_of
from gpunet.populate.tier_stage import TierFound, tiers_of
from gpunet.runtime.measurement import Measurement
from gpunet.runtime.timing import NoisyMachineWarning
from gpunet.search.study.study import Study
from gpunet.search.study.trials import TrialRecord
from gpunet.zoo.benchmark import benchmark

if TYPE_CHECKING:
    from torch import nn

_TRIES = 3  # of a measurement while the machine is not quiet


class Workbench:
    """Works for a run of the tool.

    Args:
        context: of the run.
        reading: only look at what there is; nothing is written.
    """

    def __init__(self, context: Context, *, reading: bool = False) -> None:
        self.context, self._reading = context, reading

    def tiers(self) -> list[TierFound]:
        """Those that a winner is looked for in."""
        return tiers_of(self.context)

    def study(self, tier: TierFound) -> Study:
        """A tier's study."""
        return study_of(self.context, tier.number, reading=self._reading)

    def check_machine(self) -> None:
        """See that this machine is the one that the table, and so the tiers, are of.

        Raises:
            TableError: it is another, or its runtime is.
        """
        from gpunet.latency.meter import LayerMeter
        from gpunet.latency.table import LatencyTable

        device = self.context.plan.device
        runtime = runtimes.get(device.runtime) if device.runtime else runtimes.best()
        meter = LayerMeter(runtime, precision=device.precision, batch_size=device.batch_size, threads=device.threads)
        with LatencyTable(self.context.place.table, meter.conditions):
            pass

    def measured(self, record: TrialRecord) -> Measurement:
        """A trial's network whole, untrained: its latency does not depend on weights."""
        return self._measured(network_of(self.context, record.vector))

    def fine_tune(self, tier: TierFound, record: TrialRecord) -> None:
        """In a process of its own, or several that train together."""
        from gpunet.populate import fine_tune

        study, folder = study_name(self.context, tier.number), str(self.context.place.folder)
        command = ["-m", fine_tune.__name__, folder, study, str(tier.number), str(record.number)]
        processes = self.context.plan.fine_tune.processes
        if processes > 1:
            together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
            command = [*together, *command]
        on_cpu = self.context.plan.search.device == "cpu"
        environment = {} if processes > 1 else places(1, gpus=0 if on_cpu else None)[0]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        self.context.run_jobs("fine-tune", [Job(f"tier {tier.number}", [sys.executable, *command], environment)])

    def exported(self, tier: TierFound, record: TrialRecord) -> dict[str, Any]:
        """Export the fine-tuned network, proved; measure the file, and score the network."""
        from gpunet.exporters.deployment import deploy
        from gpunet.model.preprocessing import image_config
        from gpunet.train.evaluation.evaluate import evaluate, runner_from_model
        from gpunet.zoo.weights.loading import load_weights

        device, folder = self.context.plan.device, run_folder(self.context.place, tier.number, record.number)
        model, weights = network_of(self.context, record.vector), folder / "model.safetensors"
        load_weights(model, weights)
        written = runtimes.file_formats()[runtimes.available(device.runtime).name]
        artefact = folder / f"model{written.suffixes[0]}"
        deploy(model.eval(), artefact, target=written.name, precision=device.precision, batch_size=device.batch_size)
        measurement = self._measured(artefact)
        data = self.context.plan.search.data
        _, scored, num_classes = data.whole(self.context.plan.fine_tune.recipe.batch_size)
        score = evaluate(runner_from_model(model), scored, image_config(model), num_classes)
        home = self.context.place.folder
        return {
            "trial": record.number, "vector": list(record.vector), "weights": str(weights.relative_to(home)),
            "artefact": str(artefact.relative_to(home)), "measurement": measurement.to_dict(),
            "estimated_ms": record.estimated_ms, "top1_percent": score.top1_percent, "top5_percent": score.top5_percent,
            "images": score.images, "data": scored.name,
        }  # fmt: skip

    def _measured(self, model: nn.Module | Path) -> Measurement:
        """Latency here; of a machine that is not quiet, the least of several measurements."""
        device = self.context.plan.device
        found: list[Measurement] = []
        wait_until_nothing_trains(self.context)
        for _ in range(_TRIES):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoisyMachineWarning)
                how: dict[str, Any] = {"batch_size": device.batch_size, "threads": device.threads}
                if not isinstance(model, Path):
                    how |= {"runtime": device.runtime, "precision": device.precision}
                elif model.suffix == ".onnx":  # several runtimes run it
                    how["runtime"] = device.runtime
                found.append(benchmark(model, **how))
            if not found[-1].noisy:
                return found[-1]
        best = min(found, key=lambda each: each.latency_ms)
        self.context.say(f"[winner] the machine is not quiet: {best}")
        return best


def network_of(context: Context, vector: tuple[int, ...]) -> nn.Module:
    """A vector's network, untrained, in evaluation mode."""
    return context.plan.space.build(list(vector), num_classes=context.num_classes).eval()
