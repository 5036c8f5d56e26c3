"""What makes a network slow on this machine: Fig. 3 of the paper, EfficientNet-B0 with one factor changed at a time.

    python benchmarks/latency_factors.py                     # the best runtime installed, one thread
    python benchmarks/latency_factors.py --runtime openvino --factors activation se

    activation   of every layer (B0: swish)
    resolution   of the image (B0: 224 px)
    expansion    of every inverted residual but the first stage's, which has none (B0: 6)
    kernel       of every depthwise convolution (B0: 3 and 5, by stage)
    se           squeeze-excitation in every block or in none (B0: in every)

All variants are measured in turn and compared by their lower quartile with B0 itself, so a ratio holds although the
machine is shared. Written to --out: factors.json and factors.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.core import console
from gpunet.core.files import require, write_text
from gpunet.core.pictures import picture
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.timing import Measurement, interleave, noise

if TYPE_CHECKING:
    from torch import nn

ACTIVATIONS = ("relu", "swish", "prelu", "leaky_relu", "hard_swish", "sigmoid", "tanh", "gelu")
RESOLUTIONS_PX = (160, 192, 224, 256, 288, 320, 384)
EXPANSIONS = (1, 2, 3, 4, 5, 6)
KERNELS = (3, 5, 7)


@dataclass(frozen=True)
class Variant:
    """EfficientNet-B0, or B0 with one factor changed.

    Args:
        factor: 'activation', ...; 'B0' for B0 itself.
        value: of the factor, as it is printed.
        activation: of every layer.
        px: side of the image.
        expansion: of the inverted residuals.
        kernel_size: of all depthwise convolutions; None for B0's own.
        squeeze_excitation: in every block or in none.
    """

    factor: str
    value: str
    activation: str = "swish"
    px: int = 224
    expansion: float = 6.0
    kernel_size: int | None = None
    squeeze_excitation: bool = True


B0 = Variant("B0", "as published")
FACTORS: dict[str, tuple[Variant, ...]] = {
    "activation": tuple(Variant("activation", name, activation=name) for name in ACTIVATIONS),
    "resolution": tuple(Variant("resolution", f"{px} px", px=px) for px in RESOLUTIONS_PX),
    "expansion": tuple(Variant("expansion", str(e), expansion=float(e)) for e in EXPANSIONS),
    "kernel": tuple(Variant("kernel", f"{k} x {k}", kernel_size=k) for k in KERNELS),
    "se": tuple(Variant("se", name, squeeze_excitation=on) for name, on in (("without", False), ("with", True))),
}
_AXES = {
    "activation": "activation of every layer",
    "resolution": "side of the image",
    "expansion": "expansion of the inverted residuals",
    "kernel": "kernel of the depthwise convolutions",
    "se": "squeeze-excitation",
}

# EfficientNet-B0's stages (Tan and Le, 2019, Table 1): kernel, stride, expansion (None: depthwise-separable), channels,
# layers.
_STAGES = (
    (3, 1, None, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=Path("latency-factors"), metavar="DIR",
        help="for factors.json and factors.png (default: latency-factors)",
    )  # fmt: skip
    parser.add_argument("--factors", nargs="+", choices=list(FACTORS), default=list(FACTORS))
    parser.add_argument("--runtime", metavar="NAME", help="tensorrt, openvino, ... (default: the best installed)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads that compute (default: 1)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="turns of each variant (default: 15)")
    args = parser.parse_args(arguments)
    require("matplotlib", "plots", purpose="to draw the picture")
    if args.rounds < 1:
        raise InvalidArgumentError(f"--rounds must be 1 or more, but got {args.rounds}.")

    runtime = runtimes.get(args.runtime) if args.runtime else runtimes.best()
    variants = [B0, *(variant for factor in args.factors for variant in FACTORS[factor])]
    sessions: dict[str, Any] = {}
    images: dict[str, Any] = {}
    for variant in variants:
        name = f"{variant.factor}: {variant.value}"
        console.note(f"loading {name} into {runtime.name}")
        graph = onnx_of(variant)
        sessions[name] = runtime.load(graph, threads=args.threads)
        images[name] = noise((1, 3, variant.px, variant.px))
    console.note(f"measuring {len(variants)} variants in {args.rounds} rounds")
    found = interleave(sessions, images, rounds=args.rounds, runs_per_round=2)
    base = found["B0: as published"].p25_ms
    ratios = {name: measured.p25_ms / base for name, measured in found.items()}
    print(console.table(["factor", "value", "p25 ms>", "times B0>"], [
        (variant.factor, variant.value, f"{found[name].p25_ms:.2f}", f"{ratios[name]:.2f}")
        for variant, name in zip(variants, found, strict=True)
    ]))  # fmt: skip
    said = found["B0: as published"].conditions
    where = f"{said['runtime']} {said['runtime_version']}, {said['processor']}, {said['threads']} thread(s)"
    title = f"EfficientNet-B0, {where}"
    _write(args.out, found, ratios, variants, title)


def onnx_of(variant: Variant) -> Any:
    """A variant as ONNX, exported as gpunet exports every network."""
    from gpunet.exporters.onnx import onnx_from_network

    return onnx_from_network(network(variant).eval(), input_px=(variant.px, variant.px))


def network(variant: Variant) -> nn.Module:
    """A variant as a module of timm's; `B0` is timm's efficientnet_b0."""
    from timm.layers import get_act_layer
    from timm.models import EfficientNet
    from torch import nn

    blocks = [
        [_block(variant, stage, index) for index in range(stage[4])]
        for stage in _STAGES
    ]  # fmt: skip
    return EfficientNet(
        blocks,
        num_features=1280,
        stem_size=32,
        act_layer=get_act_layer(variant.activation),
        norm_layer=partial(nn.BatchNorm2d, eps=1e-5),
    )


def _block(variant: Variant, stage: tuple[int, int, int | None, int, int], index: int) -> dict[str, Any]:
    """A layer in the form that timm's EfficientNet takes."""
    kernel_size, stride, expansion, channels, _ = stage
    block: dict[str, Any] = {
        "block_type": "ds" if expansion is None else "ir",
        "dw_kernel_size": variant.kernel_size or kernel_size,
        "pw_kernel_size": 1,
        "out_chs": channels,
        "stride": stride if index == 0 else 1,
        "act_layer": None,
        "se_ratio": 0.25 if variant.squeeze_excitation else 0.0,
        "noskip": False,
        "s2d": 0,
    }
    if expansion is None:
        return {**block, "pw_act": False}
    return {**block, "exp_ratio": variant.expansion, "exp_kernel_size": 1}


def _write(
    folder: Path,
    found: Mapping[str, Measurement],
    ratios: Mapping[str, float],
    variants: Sequence[Variant],
    title: str,
) -> None:
    results = [
        {"factor": variant.factor, "value": variant.value, "ratio": ratios[name], "measurement": found[name].to_dict()}
        for variant, name in zip(variants, found, strict=True)
    ]
    write_text(folder / "factors.json", json.dumps({"title": title, "results": results}, indent=2) + "\n")
    _draw(folder / "factors.png", results, title)


def _draw(path: Path, results: Sequence[Mapping[str, Any]], title: str) -> None:
    factors = list(dict.fromkeys(each["factor"] for each in results if each["factor"] != "B0"))
    with picture(path, (3.2 * len(factors) + 1, 4.2)) as figure:
        all_axes = figure.subplots(1, len(factors), squeeze=False)[0]
        for letter, axes, factor in zip("ABCDE", all_axes, factors, strict=False):
            own = [each for each in results if each["factor"] == factor]
            bars = axes.bar([each["value"] for each in own], [each["ratio"] for each in own], color="#0072b2")
            axes.bar_label(bars, fmt="%.2f", fontsize=7)
            axes.axhline(1.0, color="#d55e00", linewidth=1)
            axes.tick_params(axis="x", labelrotation=60, labelsize=8)
            axes.set_title(f"{letter}. {factor}", fontsize=10)
            axes.set_xlabel(_AXES.get(factor, factor), fontsize=9)
            axes.set_ylabel("latency over B0's (line: 1)", fontsize=9)
            axes.margins(y=0.15)
        figure.suptitle(title, fontsize=9)


if __name__ == "__main__":
    console.run(main)
