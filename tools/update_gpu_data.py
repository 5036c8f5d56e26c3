"""Write what the estimates of GPU latency rest on, from a folder of gathered public figures.

`tools/update_gpu_data.py FOLDER` reads gpus.csv, records.csv.gz and v100_conv_table.csv.gz there, and writes into
gpunet/latency/gpu/data: the sheets, the records that are used, the kernels of the known networks, the trees that have
learned the V100's convolutions, and the calibration. `--only` writes a part; kernels that are there already are kept
unless `--anew`. All of it takes an hour on a processor, most of it for the kernels.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
from torch import nn

from gpunet.core import console
from gpunet.core.files import require, write_text
from gpunet.errors import EntryError, GpunetError
from gpunet.latency.gpu.boosted import BoostedTrees, write_trees
from gpunet.latency.gpu.calibration import Problem, fitted
from gpunet.latency.gpu.errors_left_out import write_calibration
from gpunet.latency.gpu.holdouts import architecture, calibrated, chip, held_out, with_layers_kind
from gpunet.latency.gpu.kernels import KernelTable
from gpunet.latency.gpu.known import NETWORKS, KnownNetworks, read_known, write_known
from gpunet.latency.gpu.layer_records import features, table_of_records, write_recorded_of_known
from gpunet.latency.gpu.networks import kernels_of_module
from gpunet.latency.gpu.public_records import PublicRecord, family_of, public_records, records_of_file, write_records
from gpunet.latency.gpu.sheets import known_sheets, read_sheets
from gpunet.model.entry import TIMM
from gpunet.model.reparameterized import reparameterized
from gpunet.zoo.catalog import catalog
from gpunet.zoo.models import model_from_entry

FOLDER = NETWORKS.parent
PARTS = ("sheets", "networks", "records", "layers", "calibration")
# EfficientNet-X of the paper's Table 3: timm builds it by width and depth, and has no name for these.
_EFFICIENTNET_X = {"efficientnetx_b0_gpu": (1.0, 1.0, 224), "efficientnetx_b2_gpu": (1.1, 1.2, 260),
                   "efficientnetx_b3_gpu": (1.2, 1.4, 300)}  # fmt: skip
_GROUPED = ("regnetx", "resnest")  # of the paper's baselines: not to be estimated on a V100
_KEPT = (1, 2, 4, 8, 16, 32, 64, 128)  # batch sizes
_TREES = {"fp16": {"max_iter": 220, "max_leaf_nodes": 48}, "fp32": {"max_iter": 120, "max_leaf_nodes": 31}}


def wanted_networks(records: Path) -> Iterator[tuple[str, Callable[[], nn.Module], tuple[int, int, int]]]:
    """Names, builders and input shapes of the networks to know."""
    for entry in catalog(TIMM).values():
        if entry.role == TIMM or (entry.buildable and entry.input_px):
            px = entry.input_px or 0
            name = f"{(entry.architecture or '').partition('.')[0] if entry.role == TIMM else entry.name}@{px}"
            if entry.role == TIMM:
                yield name, lambda name=name, px=px: _timm(name.partition("@")[0], px), (3, px, px)  # type: ignore[misc]
            else:
                yield name, lambda entry=entry: model_from_entry(entry, pretrained=False), (3, px, px)  # type: ignore[misc]
    for name, (width, depth, px) in _EFFICIENTNET_X.items():
        yield f"{name}@{px}", lambda width=width, depth=depth: _efficientnet_x(width, depth), (3, px, px)  # type: ignore[misc]
    for each in records_of_file(records):
        name, _, size = each.network.partition("@")
        width, height = map(int, size.split("x")) if "x" in size else (int(size), int(size))
        yield each.network, lambda name=name, px=width: _of_record(name, px), (3, height, width)  # type: ignore[misc]


def _timm(name: str, px: int) -> nn.Module:
    """A network of timm's for an input size, its branches fused; some are built for a size, others for any."""
    try:
        model = timm.create_model(name, img_size=px)
    except (TypeError, ValueError):
        model = timm.create_model(name)
    return reparameterized(model.eval())[0]


def _of_record(name: str, px: int) -> nn.Module:
    if name.startswith("gpunet_"):
        return model_from_entry(catalog()[name], pretrained=False)
    if not name.startswith("torchvision/") and not name.endswith(":features"):
        return _timm(name, px)
    models = require("torchvision.models", "detection", purpose="to build the networks of some records")
    plain = name.removeprefix("torchvision/").removesuffix(":features")
    model = models.get_model(plain, weights=None)
    return model.features if name.endswith(":features") else model


def _efficientnet_x(width: float, depth: float) -> nn.Module:
    from timm.models import efficientnet

    make: Any = efficientnet._gen_efficientnet_x  # no public name builds it at these widths
    model: nn.Module = make("efficientnet_x_b3", channel_multiplier=width, depth_multiplier=depth, version=1)
    return model


def made_networks(records: Path, known: KnownNetworks | None, failed: list[str]) -> dict[str, KernelTable]:
    """Kernels of the wanted networks; of those that are known the ones that are there."""
    found: dict[str, KernelTable] = {}
    for name, build, shape in wanted_networks(records):
        if name in found:
            continue
        if known is not None and name in known:
            found[name] = known.table(name)
            continue
        try:
            found[name] = kernels_of_module(build, shape)
        except GpunetError as error:
            failed.append(f"{name}: {error}")
    return found


def made_records(path: Path, known: KnownNetworks) -> list[PublicRecord]:
    """The gathered records of known networks, and the paper's baselines."""
    found = [each for each in records_of_file(path) if each.network in known]
    sizes = {name: px for name, (_, _, px) in _EFFICIENTNET_X.items()}
    for entry in catalog().values():
        name = f"{entry.name}@{sizes.get(entry.name) or entry.input_px}"
        if entry.role == "baseline" and name in known:
            found += [
                PublicRecord(name, "V100", 1, each.precision, each.latency_ms, "paper", True,
                             not name.startswith(_GROUPED), family_of(name), each.source)
                for each in entry.records
            ]  # fmt: skip
    return found


def made_trees(path: Path) -> dict[str, BoostedTrees]:
    """Trees that have learned the logarithm of a convolution's time over the sheet model's, by precision."""
    rows = list(_rows(path))
    return {precision: _learned(rows, precision, how) for precision, how in _TREES.items()}


def _learned(rows: list[dict[str, str]], precision: str, how: dict[str, int]) -> BoostedTrees:
    kinds = ("conv", "depthwise") if precision == "fp16" else ("depthwise",)
    own = [row for row in rows if row["precision"] == precision and row["residual"] == "0" and row["kind"] in kinds]
    seen, aimed = [], []
    for batch_size in sorted({int(row["batch"]) for row in own}):
        chosen = [row for row in own if int(row["batch"]) == batch_size]
        columns: dict[str, np.ndarray] = {
            name: np.array([float(row[name]) for row in chosen])
            for name in ("in_channels", "height_px", "out_channels", "kernel_size", "stride")
        }
        columns["kind"] = np.array([row["kind"] for row in chosen])
        found, base = features(table_of_records(columns), batch_size, precision)
        seen.append(found.astype(np.float32).astype(float))  # thresholds are kept so
        aimed.append(np.log([1e3 * float(row["latency_ms"]) for row in chosen]) - base)
    boost = require("sklearn.ensemble", "search", purpose="to learn the V100's convolutions")
    model = boost.HistGradientBoostingRegressor(
        learning_rate=0.1, min_samples_leaf=15, l2_regularization=1.0, loss="absolute_error", random_state=0, **how
    )
    everything = np.concatenate(seen)
    trees = _arrays(model.fit(everything, np.concatenate(aimed)))
    off = float(np.abs(trees.predict(everything[:2000]) - model.predict(everything[:2000])).max())
    if off > 1e-4:
        raise EntryError(f"the arrays of the trees differ from scikit-learn's prediction by {off:g}.")
    return trees


def _arrays(model: Any) -> BoostedTrees:
    """A fitted model's trees: scikit-learn keeps the nodes of a histogram booster in private arrays alone."""
    parts, roots, begin, depth = [], [], 0, 0
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        own, leaf = np.arange(len(nodes)) + begin, nodes["is_leaf"].astype(bool)
        parts.append(
            (np.where(leaf, 0, nodes["feature_idx"]), np.where(leaf, 0, nodes["num_threshold"]),
             np.where(leaf, own, nodes["left"] + begin), np.where(leaf, own, nodes["right"] + begin),
             np.where(leaf, nodes["value"], 0))
        )  # fmt: skip
        roots.append(begin)
        begin, depth = begin + len(nodes), max(depth, int(nodes["depth"].max()))
    feature, threshold, left, right, value = map(np.concatenate, zip(*parts, strict=True))
    return BoostedTrees(float(np.ravel(model._baseline_prediction)[0]), np.array(roots), feature.astype(np.int64),
                        threshold, left, right, value, depth)  # fmt: skip


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def update(folder: Path, target: Path, parts: Iterable[str], *, anew: bool = False) -> list[str]:
    """Write the parts; returns what is to be said, line by line.

    Raises:
        EntryError: (a ValueError) a file is missing, or is not what it should be.
    """
    lines: list[str] = []
    missing = [
        name for name in ("gpus.csv", "records.csv.gz", "v100_conv_table.csv.gz") if not (folder / name).is_file()
    ]
    if missing:
        raise EntryError(f"{folder}: {missing[0]} is missing.", "Name the folder of the gathered GPU figures.")
    if "sheets" in parts:
        read_sheets(folder / "gpus.csv")
        write_text(target / "gpus.csv", (folder / "gpus.csv").read_text(encoding="utf-8"))
    if "networks" in parts:
        known = None if anew or not (target / NETWORKS.name).exists() else read_known(target / NETWORKS.name)
        found = made_networks(folder / "records.csv.gz", known, lines)
        write_known(target / NETWORKS.name, found)
        lines.append(f"{len(found)} networks")
    if "records" in parts:
        records = made_records(folder / "records.csv.gz", read_known(target / NETWORKS.name))
        write_records(target / "records.csv.gz", records)
        lines.append(f"{len(records)} records, {sum(each.clean for each in records)} of them to calibrate by")
    if "layers" in parts:
        write_trees(target / "layers_v100.npz", made_trees(folder / "v100_conv_table.csv.gz"))
    if "layers" in parts or "networks" in parts:
        write_recorded_of_known(target / "layers_known.npz", read_known(target / NETWORKS.name), _KEPT)
    if "calibration" in parts:
        known = read_known(target / NETWORKS.name)
        clean = [each for each in public_records() if each.clean]
        tables = {each.network: known.table(each.network) for each in clean}
        problem = Problem(clean, tables, {each.name: each for each in known_sheets()})
        constants = fitted(problem)
        made = calibrated(problem, constants, held_out(problem, chip, constants),
                          held_out(problem, architecture, constants))  # fmt: skip
        write_calibration(target / "calibration.json", with_layers_kind(made))
        lines.append(f"calibrated by {len(clean)} records")
    return lines


def main() -> None:
    """Run the tool on the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of the gathered figures")
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="where the data are")
    parser.add_argument("--only", choices=PARTS, action="append", help="write this part; may be given several times")
    parser.add_argument("--anew", action="store_true", help="make the kernels of all networks anew")
    given = parser.parse_args()
    print("\n".join(update(given.folder, given.to, given.only or PARTS, anew=given.anew)))


if __name__ == "__main__":
    console.run(main)
