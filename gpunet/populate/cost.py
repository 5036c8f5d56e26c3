"""Time and cost to expect on ImageNet, from published training throughputs.

Source: NVIDIA DeepLearningExamples, PyTorch/Classification/GPUNet, README, "Training performance results": mixed
precision, images a second of eight GPUs together. A network of another size is taken to train as many multiply-adds a
second as the nearest of these.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpunet.errors import InvalidArgumentError
from gpunet.latency.sampling import choose_keys
from gpunet.model.classes import IMAGENET_CLASSES
from gpunet.populate.plan import Plan

IMAGENET_IMAGES = 1_281_167
LAYER_S = (10.0, 120.0)
"""To build and time a layer's engine, assumed: a few builds of seconds each; and the paper's "weeks" (section 3.2.2)
for some 10,000 layers on one GPU, taken as two."""
GPUS_MEASURED = 8


@dataclass(frozen=True)
class Throughput:
    """A published training throughput.

    Args:
        model: that was trained.
        images_per_s: of eight GPUs.
        multiply_adds: for one image, counted by gpunet.
    """

    model: str
    images_per_s: float
    multiply_adds: float


PUBLISHED = {
    "V100": (
        Throughput("gpunet_0", 3518, 3.25e9),
        Throughput("gpunet_1", 3774, 3.31e9),
        Throughput("gpunet_2", 1957, 8.39e9),
    ),
    "A100": (Throughput("gpunet_2", 2690, 8.39e9), Throughput("gpunet_d1", 844, 4.29e9)),
}
"""By GPU: 8 x V100 32 GB, 8 x A100 80 GB. gpunet_d1 was distilled: its teacher's work is in the figure."""
PLAIN = {"V100": PUBLISHED["V100"], "A100": PUBLISHED["A100"][:1]}
"""Those without a teacher: networks are ranked without."""


@dataclass(frozen=True)
class Cost:
    """What a tier takes.

    Args:
        gpu: its name.
        trial_gpu_hours: of one trial.
        search_gpu_hours: of all of them.
        fine_tune_gpu_hours: of the winner.
        days: with so many GPUs at once.
    """

    gpu: str
    trial_gpu_hours: float
    search_gpu_hours: float
    fine_tune_gpu_hours: float
    days: float

    @property
    def gpu_hours(self) -> float:
        """Of all."""
        return self.search_gpu_hours + self.fine_tune_gpu_hours


def gpu_hours(gpu: str, multiply_adds: float, epochs: float, images: int = IMAGENET_IMAGES) -> float:
    """GPU hours of training one network.

    Args:
        gpu: 'V100' or 'A100'.
        multiply_adds: of the network, for one image.
        epochs: over the images.
        images: of the training data.

    Raises:
        InvalidArgumentError: nothing is published for the GPU.
    """
    if gpu not in PLAIN:
        raise InvalidArgumentError(f"no training throughput is published for {gpu!r}.", f"Known: {', '.join(PLAIN)}.")
    nearest = min(PLAIN[gpu], key=lambda each: abs(each.multiply_adds - multiply_adds))
    images_per_s = nearest.images_per_s * nearest.multiply_adds / multiply_adds / GPUS_MEASURED
    return epochs * images / images_per_s / 3600


def tier_cost(gpu: str, multiply_adds: float, *, trials: int, epochs: int, fine_tune_epochs: int, gpus: int) -> Cost:
    """What a tier of networks of about this size takes on ImageNet, no trial being pruned.

    Trials run side by side, one a GPU; the winner is fine-tuned on eight.
    """
    trial = gpu_hours(gpu, multiply_adds, epochs)
    fine_tune = gpu_hours(gpu, multiply_adds, fine_tune_epochs)
    rounds = -(-trials // min(gpus, trials))
    days = (rounds * trial + fine_tune / min(gpus, GPUS_MEASURED)) / 24
    return Cost(gpu, trial, trials * trial, fine_tune, days)


def table_hours(plan: Plan) -> tuple[int, int, tuple[float, float]]:
    """What a plan's latency table takes on ImageNet's classes: layers of the space, those measured, hours from and to.

    Without the whole networks that it is calibrated on, which are few.
    """
    lookup = plan.space.lookup_plan(num_classes=IMAGENET_CLASSES)
    measured = len(choose_keys(lookup, plan.table.fraction))
    least, most = (measured * seconds / plan.table.jobs / 3600 for seconds in LAYER_S)
    return len(lookup.keys()), measured, (least, most)


def table_of_costs(plan: Plan, gpus: int) -> list[tuple[str, str, Cost]]:
    """For each published network's size, what a tier of a plan would take: model, GPU, cost."""
    rows = []
    for gpu, known in PLAIN.items():
        for each in known:
            cost = tier_cost(
                gpu, each.multiply_adds, trials=plan.search.trials, epochs=plan.search.recipe.epochs,
                fine_tune_epochs=plan.fine_tune.recipe.epochs, gpus=gpus,
            )  # fmt: skip
            rows.append((each.model, gpu, cost))
    return rows
