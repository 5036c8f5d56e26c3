"""What training costs beside a bare loop, what it learns beside a plain loop on timm's parts, what a teacher is worth.

    python benchmarks/bench_train.py                              # all parts: a quarter of an hour
    python benchmarks/bench_train.py --parts step --rounds 9
    python benchmarks/bench_train.py --parts distillation --seeds 5 --json distillation.json

step: an epoch of gpunet.train beside an epoch of a bare loop over the same model, loader and optimiser (forward,
cross-entropy, backward, update), in turn; the median of the ratios of step times, of epochs that follow each other.
learning: the same network from the same weights by gpunet.train and by a plain loop on timm's public parts (loader,
optimiser, scheduler, average), with mixed precision and clipped gradients, five seeds: top-1, and images a second.
distillation: students on scikit-learn's digits with a part of the labels, each with and without a teacher that was
trained on all training images; the same seeds, recipe and images for both.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from training_benchmark.learning import learning

from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.errors import FAILED_EXIT_CODE
from gpunet.model.network import GPUNet
from gpunet.model.preprocessing import image_config
from gpunet.model.small import SMALL
from gpunet.train import Distillation, Recipe, Teacher, open_data, recipe_named, train
from gpunet.train.data.loader import TrainingLoader
from gpunet.train.data.transforms import training_transform
from gpunet.train.optimization import optimizer_from_recipe

STUDENT = dataclasses.replace(
    SMALL,
    resolution_px=16,
    stem=dataclasses.replace(SMALL.stem, filters=8),
    stages=tuple(dataclasses.replace(stage, filters=stage.filters // 2, layers=1) for stage in SMALL.stages),
    head=dataclasses.replace(SMALL.head, filters=48),
)
MOST_OVERHEAD_PERCENT = 3.0
LEAST_RATE_RATIO = 1.0  # of the plain loop's images a second
PARTS = ("step", "learning", "distillation")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=12, help="epochs of each, in turn (default: 12)")
    parser.add_argument("--seeds", type=int, default=5, help="networks of each kind (default: 5)")
    parser.add_argument("--labels", type=float, default=0.1, help="part of the labels (default: 0.1)")
    parser.add_argument("--epochs", type=int, default=60, help="of a student (default: 60)")
    parser.add_argument("--learning-epochs", type=int, default=12, help="of each network of 'learning' (default: 12)")
    parser.add_argument("--workers", type=int, default=1, help="that prepare its images (default: 1)")
    parser.add_argument("--teacher-epochs", type=int, default=20, help="of the teacher (default: 20)")
    parser.add_argument("--images", type=int, default=1437, help="of an epoch of the first part (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into FILE")
    parser.add_argument("--check", action="store_true", help="exit 1 where a limit is missed")
    args = parser.parse_args(arguments)
    if args.rounds < 4 or args.seeds < 2:
        parser.error(f"--rounds must be 4 or more and --seeds 2 or more, but got {args.rounds} and {args.seeds}")
    found: dict[str, Any] = {}
    held = True
    if "step" in args.parts:
        found["step"] = step_times(args.rounds, args.images)
        held &= found["step"]["overhead_percent"] < MOST_OVERHEAD_PERCENT
    if "learning" in args.parts:
        found["learning"] = learning(args.seeds, args.learning_epochs, args.workers)
        low, high = found["learning"]["interval_percent"]
        held &= low <= 0 <= high and found["learning"]["rate_ratio"] >= LEAST_RATE_RATIO
    if "distillation" in args.parts:
        found["distillation"] = distillation(args.seeds, args.labels, args.epochs, args.teacher_epochs)
        held &= found["distillation"]["gain_percent"] > 0
    if args.json:
        write_text(args.json, json.dumps(found, indent=2) + "\n")
    if args.check and not held:
        raise SystemExit(FAILED_EXIT_CODE)


# ----------------------------------------------------------------------- steps


def step_times(rounds: int, images: int) -> dict[str, Any]:
    """Step times in ms of both loops, epoch by epoch in turn, and what gpunet's costs more."""
    recipe = dataclasses.replace(recipe_named("quick"), name="bench", epochs=rounds + 1, ema_decay=None)
    data = dataclasses.replace(open_data("digits"), rows=tuple(range(images)))
    torch.manual_seed(0)
    ours, bare = GPUNet(SMALL, num_classes=10), GPUNet(SMALL, num_classes=10)
    bare.load_state_dict(ours.state_dict())
    bare_loop = _bare_epochs(bare, recipe, data)
    times: dict[str, list[float]] = {"gpunet": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:

        def on_epoch(score: Any) -> None:
            steps = len(data) // recipe.batch_size
            times["gpunet"].append(1e3 * score.train_s / steps)
            times["bare"].append(1e3 * next(bare_loop))

        train(ours, recipe, data, folder, on_epoch=on_epoch)
    medians = {name: statistics.median(own[1:]) for name, own in times.items()}  # the first warms up
    low = {name: statistics.quantiles(own[1:], n=4)[0] for name, own in times.items()}
    # A pair of epochs has the same neighbours: what disturbs the machine for longer leaves their ratio as it is.
    ratios = [ours / bare for ours, bare in zip(times["gpunet"][1:], times["bare"][1:], strict=True)]
    overhead = 100 * (statistics.median(ratios) - 1)
    rows = [(name, f"{low[name]:.2f}", f"{medians[name]:.2f}", f"{min(own[1:]):.2f}") for name, own in times.items()]
    print(console.table(["loop", "step ms (lower quartile)>", "median>", "least>"], rows))
    print(f"\ngpunet.train takes {overhead:+.1f} % of a bare loop's step (limit: {MOST_OVERHEAD_PERCENT:g} %)\n")
    return {"step_ms": times, "overhead_percent": overhead}


def _bare_epochs(model: nn.Module, recipe: Recipe, data: Any) -> Iterator[float]:
    """Seconds of a step, epoch by epoch, of the least that trains."""
    loader = TrainingLoader(
        data, training_transform(image_config(model), recipe.augmentation), 10, recipe.batch_size, seed=0
    )
    optimizer = optimizer_from_recipe(model, recipe)
    model.to(memory_format=torch.channels_last).train()
    for epoch in range(recipe.epochs):
        started_s, steps = time.perf_counter(), 0
        for batch in loader.epoch(epoch):
            images = batch.images.contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(model(images), batch.targets, label_smoothing=recipe.label_smoothing)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            steps += 1
        yield (time.perf_counter() - started_s) / steps


# ---------------------------------------------------------------- distillation


def distillation(seeds: int, labels: float, epochs: int, teacher_epochs: int) -> dict[str, Any]:
    """Top-1 in percent of students with and without a teacher, by seed."""
    data, validation = open_data("digits"), open_data("digits", split="validation")
    quick = recipe_named("quick")
    alone = dataclasses.replace(
        quick, name="student", epochs=epochs, batch_size=16, ema_decay=0.99,
        optimization=dataclasses.replace(quick.optimization, batch_of_learning_rate=None, learning_rate=3e-3),
    )  # fmt: skip
    taught = dataclasses.replace(alone, name="taught", distillation=Distillation(temperature=4.0, weight=0.9))
    rows: list[tuple[int, float, float]] = []
    with tempfile.TemporaryDirectory() as folder, _quiet():
        torch.manual_seed(1000)
        network = GPUNet(SMALL, num_classes=10)
        reached = train(
            network,
            dataclasses.replace(quick, epochs=teacher_epochs),
            data,
            Path(folder, "teacher"),
            validation=validation,
        ).best.top1_percent
        print(f"the teacher, trained on all {len(data)} images: {reached:.2f} %")
        for seed in range(seeds):
            part = data.fraction(labels, seed=seed)
            top1: list[float] = []
            for recipe in (alone, taught):
                torch.manual_seed(seed)
                student = GPUNet(STUDENT, num_classes=10)
                teacher = None if recipe.distillation is None else Teacher(network)
                result = train(
                    student, recipe, part, Path(folder, f"{recipe.name}-{seed}"), validation=validation,
                    teacher=teacher, seed=seed,
                )  # fmt: skip
                top1.append(result.scores[-1].top1_percent or 0.0)  # the last: the best would be chosen on these images
            rows.append((seed, top1[0], top1[1]))
    mean = [statistics.mean(row[k] for row in rows) for k in (1, 2)]
    spread = [statistics.stdev(row[k] for row in rows) for k in (1, 2)]
    shown: list[tuple[object, ...]] = [
        (seed, f"{without:.2f}", f"{with_one:.2f}", f"{with_one - without:+.2f}") for seed, without, with_one in rows
    ]
    shown.append(("mean", f"{mean[0]:.2f}", f"{mean[1]:.2f}", f"{mean[1] - mean[0]:+.2f}"))
    shown.append(("deviation", f"{spread[0]:.2f}", f"{spread[1]:.2f}", ""))
    print(f"students on {labels:.0%} of the labels ({len(part)} images), top-1 % on {len(validation)} others\n")
    print(console.table(["seed", "without a teacher>", "with>", "gain>"], shown))
    return {"teacher_percent": reached, "rows": rows, "gain_percent": mean[1] - mean[0]}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small are slower on more
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
