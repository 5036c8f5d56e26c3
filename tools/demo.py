"""The main job from end to end: ask the zoo, measure this machine, pick, export, verify on a photograph, print a table.

    make demo
    python tools/demo.py --max-ms 25

Needs no network: where the weights cannot be reached, it says so and goes on with untrained ones.
"""

from __future__ import annotations

import argparse
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import gpunet
from gpunet.core import console
from gpunet.errors import WeightsError

if TYPE_CHECKING:
    from gpunet.model.network import GPUNet

PUBLISHED_QUERIES = (("gv100", 0.8), ("gv100", 1.8), ("a100", 0.5), ("a100", 1.0))
COLUMNS = ("device", "budget ms>", "network", "published top-1 %>", "latency ms>", "figure", "weights", "ONNX file")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demo with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description="Query, measure, pick, export, verify: gpunet's main job.")
    parser.add_argument("--max-ms", type=float, help="budget for this machine (default: twice its fastest network's)")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the ONNX file")
    args = parser.parse_args(arguments)
    started_s = time.perf_counter()

    print("1. Ask the zoo for a device and a budget (published figures)")
    rows = []
    for device, max_ms in PUBLISHED_QUERIES:
        match = gpunet.find(device, max_ms=max_ms)[0]
        print(f"   find({device!r}, max_ms={max_ms:g}): {match}")
        rows.append(_row(device, max_ms, match, weights="not loaded", file=None))

    print("\n2. Measure this machine (kept: the next run finds the figures again)")
    measured = sorted(gpunet.find("local"), key=lambda match: match.latency_ms)
    for match in measured:
        print(f"   {match.name:10} {match.latency_ms:8.1f} ms   top-1 {match.top1_percent} %")
    record = measured[0].record
    print(
        f"   on {record.board}, {record.threads} threads, {record.runtime} {record.runtime_version}, {record.precision}"
    )

    max_ms = args.max_ms or 2 * measured[0].latency_ms
    print(f"\n3. Pick the most accurate network within {max_ms:.1f} ms here")
    model, weights = _create(max_ms)
    match = cast(gpunet.Match, model.match)
    print(f"   create('local', max_ms={max_ms:.1f}): {match.name}, {weights} weights")

    path = args.output / f"{match.name}.onnx"
    print(f"\n4. Export to {path} and compare with PyTorch")
    print(textwrap.indent(str(gpunet.export(model, path)), "   "))

    print("\n5. Verify the file on a photograph")
    said = _verify_on_photograph(model, path, trained=weights != "UNTRAINED")
    rows.append(_row("local", max_ms, match, weights=weights, file=said))

    print(f"\n{console.table(COLUMNS, rows)}")
    print(f"\n{time.perf_counter() - started_s:.0f} s in all. The sources of published figures: gpunet info NAME.")


def _row(device: str, max_ms: float, match: gpunet.Match, *, weights: str, file: str | None) -> tuple[object, ...]:
    record = match.record
    return (
        device,
        f"{max_ms:.4g}",
        match.name,
        console.percent(match.top1_percent),
        console.milliseconds(match.latency_ms),
        f"{record.kind}, {record.runtime} {record.runtime_version} {record.precision}",
        weights,
        file,
    )


def _create(max_ms: float) -> tuple[GPUNet, str]:
    """The network chosen for this machine, trained if its weights can be had, and what the table calls them."""
    try:
        return gpunet.create("local", max_ms=max_ms), "trained"
    except WeightsError as error:
        print(f"   weights cannot be reached from here, going on UNTRAINED: {error.message}")
        return gpunet.create("local", max_ms=max_ms, pretrained=False), "UNTRAINED"


def _verify_on_photograph(model: GPUNet, path: Path, *, trained: bool) -> str:
    """Run the ONNX file and PyTorch on scikit-image's photograph of a cat; says what came out."""
    import torch
    from PIL import Image
    from skimage.data import chelsea
    from timm.data import ImageNetInfo

    from gpunet import runtime

    image = model.transforms()(Image.fromarray(chelsea())).unsqueeze(0)
    with torch.inference_mode():
        expected = model(image)
    logits = torch.from_numpy(runtime.get("onnxruntime").load(path).run(image.numpy()))
    difference = float((logits - expected).abs().max())
    chosen, same = int(logits.argmax()), bool(logits.argmax() == expected.argmax())
    name = f"'{ImageNetInfo().index_to_description(chosen)}'" if trained else "no meaning: the weights are untrained"
    print(f"   a cat (scikit-image's chelsea.png): class {chosen}, {name}")
    print(f"   largest difference of a logit to PyTorch {difference:.1e}; same top-1: {'yes' if same else 'NO'}")
    return f"{'agrees' if same else 'DISAGREES'} with PyTorch, {difference:.1e}"


if __name__ == "__main__":
    console.run(main)
