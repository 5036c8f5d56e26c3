#!/usr/bin/env python3
"""Cascade R-CNN against Faster R-CNN: the same backbone, pictures, steps and seeds, by AP at an overlap of 0.75.

Shapes on photographs (tools/make_shapes.py), a small untrained backbone, the recipe `detection-quick`. The paper of
Cascade R-CNN claims that stages of rising overlap find boxes that fit better: it holds here where the cascade's mean
AP75 is above the other's; ends with 1 where it is not. Both are scored once, by the averaged weights, on pictures with
other photographs behind them.

    python benchmarks/bench_detection.py -o detection.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

from make_shapes import make_shapes

from gpunet.core import console
from gpunet.core.files import write_text
from gpunet.detection import cascade_rcnn, faster_rcnn, open_coco, train_detector
from gpunet.detection.task import evaluated
from gpunet.train.recipes import changed_recipe, recipe_named

KINDS = {"cascade": cascade_rcnn, "faster": faster_rcnn}
SHOWN = ("AP", "AP50", "AP75")


def one(given: dict[str, Any], kind: str, seed: int) -> dict[str, Any]:
    """Train and score one detector; its metrics, with what that took.

    Args:
        given: the command line's own.
        kind: of `KINDS`.
        seed: of weights, order, flips and sampling.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    folder = Path(given["folder"])
    data, validation = open_coco(folder / "shapes", "train"), open_coco(folder / "shapes", "val")
    side = given["side_px"]
    model = KINDS[kind](
        given["backbone"], data.classes, False, short_px=side, long_px=side, anchor_strides=4, pyramid_channels=32,
        head_features=64, proposals=60, sampled_boxes=32,
    )  # fmt: skip
    recipe = changed_recipe(
        recipe_named("detection-quick"), [f"epochs={given['epochs']}", "optimization.learning_rate=2e-3"]
    )
    train_detector(model, recipe, data, folder / f"{kind}-{seed}", seed=seed)
    score, _ = evaluated(model, validation, device=torch.device("cpu"))
    return {
        "kind": kind, "seed": seed, "metrics": score.metrics, "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.perf_counter() - wall_s,
    }  # fmt: skip


def verdict(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean AP75 of both kinds, their differences by seed, and whether the cascade's mean is above."""
    by_seed: dict[int, dict[str, float]] = {}
    for each in found:
        by_seed.setdefault(each["seed"], {})[each["kind"]] = float(each["metrics"]["AP75"] or 0)
    gains = [pair["cascade"] - pair["faster"] for pair in by_seed.values()]
    means = {kind: statistics.mean(pair[kind] for pair in by_seed.values()) for kind in KINDS}
    return {
        "mean_ap75": means,
        "gains": gains,
        "mean_gain": statistics.mean(gains),
        "holds": statistics.mean(gains) > 0,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="of each (default: %(default)s)")
    parser.add_argument("--backbone", default="resnet10t", help="default: %(default)s")
    parser.add_argument("--train", type=int, default=600, help="pictures to learn from (default: %(default)s)")
    parser.add_argument("--validation", type=int, default=150, help="pictures to score on (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--side-px", type=int, default=96, help="of a picture (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="detectors at once, a thread each (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path, help="write the figures as JSON")
    given = vars(parser.parse_args(arguments))
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gpunet-detection-") as folder:
        given["folder"] = folder
        make_shapes(
            Path(folder, "shapes"), train=given["train"], validation=given["validation"], side_px=given["side_px"]
        )
        plain = {name: value for name, value in given.items() if name != "out"}
        asked = [(plain, kind, seed) for seed in range(given["seeds"]) for kind in KINDS]
        found = []
        with multiprocessing.get_context("spawn").Pool(given["jobs"]) as pool:
            for done in [pool.apply_async(one, each) for each in asked]:
                found.append(done.get())
                last = found[-1]
                console.note(f"{last['kind']}, seed {last['seed']}: AP75 {last['metrics']['AP75']:.2f} %")
    rows = [
        (each["kind"], each["seed"], *(console.percent2(each["metrics"][name]) for name in SHOWN),
         f"{each['cpu_s']:.0f}", f"{each['wall_s']:.0f}")
        for each in sorted(found, key=lambda each: (each["kind"], each["seed"]))
    ]  # fmt: skip
    says = verdict(found)
    print(console.table(("detector", "seed>", *(f"{name} %>" for name in SHOWN), "processor s>", "s>"), rows))
    means, gains = says["mean_ap75"], ", ".join(f"{gain:+.2f}" for gain in says["gains"])
    print(
        f"\nmean AP75: cascade {means['cascade']:.2f} %, faster {means['faster']:.2f} %; by seed {gains} points: the "
        f"claim {'holds' if says['holds'] else 'does NOT hold'} here. {time.perf_counter() - began_s:.0f} s in all."
    )
    if given["out"] is not None:
        write_text(given["out"], json.dumps({**says, "runs": found}, indent=2) + "\n")
    sys.exit(0 if says["holds"] else 1)


if __name__ == "__main__":
    main()
