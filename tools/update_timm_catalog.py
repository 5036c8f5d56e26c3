"""Make the catalogue of timm's networks anew from a checkout of timm, and say what changed.

python tools/update_timm_catalog.py CHECKOUT [--to FOLDER]

CHECKOUT is a git checkout of https://github.com/huggingface/pytorch-image-models, of which `results/*.csv` are read and
nothing is run. Licences, preprocessing and branches are those of the timm that is installed. Which images a network was
trained on is read off its tag. What cannot be carried is named with its reason.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from gpunet.core import console
from gpunet.core.device import resolve
from gpunet.errors import EntryError, MissingDependencyError, UnknownDeviceError
from gpunet.model.reparameterized import reparameterized
from gpunet.zoo.timm_zoo.tables import FOLDER, NETWORKS, About, network_rows, read_about, throughput_rows, write_tables

REPOSITORY = "https://github.com/huggingface/pytorch-image-models"
_ACCURACIES = "results-imagenet.csv"
_OTHER_ACCURACIES = {
    "top1_real_percent": "results-imagenet-real.csv",
    "top1_v2_percent": "results-imagenetv2-matched-frequency.csv",
}
_BENCHMARK = re.compile(r"benchmark-infer-amp-(nchw|nhwc)-pt(\d)(\d+)(\d)-cu\d+-(?:rtx)?(\w+?)(-dynamo)?\.csv")
# What a tag says of the images that its weights have seen, beside ImageNet-1k's.
_SEEN = {
    r"in22k|ssld_stage[12]": "imagenet-22k",
    r"in21k|miil_in1k|goog_distilled": "imagenet-21k",
    r"in12k": "imagenet-12k",
    r"laion2b|laiona": "laion-2b",
    r"openai": "wit-400m",
    r"clip(?!.*(laion|openai))": "images of a CLIP, not named",
    r"webli": "webli",
    r"m38m": "merged-38m",
    r"m30m": "merged-30m",
    r"_jft_": "jft-300m",
    r"swag_": "ig-3.6b",
    r"seer_": "ig-1b (SEER)",
    r"_(sw|w)sl_ig1b": "ig-1b",
    r"yfcc100m": "yfcc100m",
    r"ssld_6m": "5 million unlabelled",
}
_UNCLEAR = {
    r"dist(illed)?[_.]|\.dist": "imagenet-1k, distilled",
    r"ssld": "imagenet-1k + unlabelled",
    r"miil_green": "imagenet-1k, distilled",
}


def pretraining_of(tag: str) -> tuple[str, str]:
    """What images a tag's weights have seen, and whether more than ImageNet-1k's: 'yes', 'no' or 'unknown'.

    A teacher has seen images too: of a distilled network whose tag names none it is unknown.
    """
    seen = [name for pattern, name in _SEEN.items() if re.search(pattern, tag)]
    if seen:
        return " + ".join(seen), "yes"
    unclear = next((words for pattern, words in _UNCLEAR.items() if re.search(pattern, tag)), None)
    return (unclear, "unknown") if unclear else ("imagenet-1k", "no")


@dataclass(frozen=True)
class Benchmark:
    """A file of published throughputs.

    Args:
        path: of the file.
        chip, runtime, version, layout: that it is of.
        rows: by (architecture, input size in px).
    """

    path: Path
    chip: str
    runtime: str
    version: str
    layout: str
    rows: dict[tuple[str, int], dict[str, str]]


def made_networks(results: Path, benchmarks: Iterable[Benchmark], left_out: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of the networks that have an accuracy, a licence and counts of their work."""
    others = {column: {_key(row): row["top1"] for row in _read(results / name)}
              for column, name in _OTHER_ACCURACIES.items()}  # fmt: skip
    counts: dict[tuple[str, int], tuple[dict[str, str], str]] = {}
    for each in benchmarks:
        for key, row in each.rows.items():
            if row["infer_gmacs"]:
                counts.setdefault(key, (row, each.path.name))
    branches: dict[str, bool] = {}
    for row in _read(results / _ACCURACIES):
        tag, px = _key(row)
        architecture = tag.partition(".")[0]
        cfg = _cfg_of(tag)
        reason = _unfit(cfg, px)
        if reason or (architecture, px) not in counts:
            left_out.append(f"{tag} at {px} px: {reason or 'no benchmark counts its multiply-adds'}")
            continue
        if architecture not in branches:
            branches[architecture] = _has_branches(architecture)
        work, counted_in = counts[architecture, px]
        pretraining, extra = pretraining_of(tag)
        yield {
            "tag": tag, "input_px": px, "top1_percent": row["top1"], "top5_percent": row["top5"],
            **{column: known.get((tag, px), "") for column, known in others.items()},
            "crop_pct": row["crop_pct"], "interpolation": row["interpolation"],
            "mean": " ".join(f"{value:g}" if value == round(value, 3) else repr(value) for value in cfg.mean),
            "std": " ".join(f"{value:g}" if value == round(value, 3) else repr(value) for value in cfg.std),
            "parameters_millions": row["param_count"].replace(",", ""),
            "multiply_adds_billions": work["infer_gmacs"], "activations_millions": work["infer_macts"],
            "licence": cfg.license or "unknown", "pretraining": pretraining, "extra_data": extra,
            "fixed_input": int(bool(cfg.fixed_input_size)), "branches": int(branches[architecture]),
            "source": f"{_ACCURACIES}; multiply-adds from {counted_in}",
        }  # fmt: skip


def _cfg_of(tag: str) -> Any:
    try:
        return timm.get_pretrained_cfg(tag, allow_unregistered=False)
    except RuntimeError:
        return None


def _unfit(cfg: Any, px: int) -> str:
    if cfg is None:
        return f"timm {timm.__version__}, which is installed, does not have it"
    if cfg.num_classes != 1000:
        return f"it tells {cfg.num_classes} classes apart"
    if cfg.fixed_input_size and cfg.input_size[-1] != px:
        return f"its input is fixed at {cfg.input_size[-1]} px"
    return ""


def _has_branches(architecture: str) -> bool:
    with torch.device("meta"):
        return reparameterized(timm.create_model(architecture).eval())[1]


def made_throughputs(
    networks: list[dict[str, Any]], benchmarks: Iterable[Benchmark], left_out: list[str]
) -> Iterator[dict[str, Any]]:
    """Rows of throughputs of the catalogue's networks as they are deployed: of those with branches, fused."""
    known = {(row["tag"].partition(".")[0], row["input_px"]): row for row in networks}
    for each in benchmarks:
        with_branches = {key for key, row in known.items() if row["branches"]}
        fused = {key for key in with_branches & each.rows.keys()
                 if float(each.rows[key]["param_count"]) < float(known[key]["parameters_millions"])}  # fmt: skip
        unfused = set() if fused else with_branches  # all of a file or none: some are no smaller at two digits
        dropped = sorted(unfused & each.rows.keys())
        if dropped:
            left_out.append(f"{each.path.name}: {len(dropped)} networks with branches, which it did not fuse")
        for key, row in each.rows.items():
            if key in known and key not in unfused:
                yield {
                    "architecture": key[0], "input_px": key[1], "chip": each.chip, "runtime": each.runtime,
                    "runtime_version": each.version, "layout": each.layout, "batch_size": row["infer_batch_size"],
                    "throughput_ips": row["infer_samples_per_sec"], "source": each.path.name,
                }  # fmt: skip


def read_benchmarks(results: Path, left_out: list[str]) -> list[Benchmark]:
    """Of each GPU and runtime the newest PyTorch; of two layouts channels last, in which convolutions are faster."""
    newest: dict[tuple[str, str], tuple[Any, Benchmark]] = {}
    for path in sorted(results.glob("benchmark-infer-amp-*.csv")):
        named = _BENCHMARK.fullmatch(path.name)
        rows = _read(path)
        if named is None or "infer_samples_per_sec" not in rows[0] or "." in rows[0]["infer_batch_size"]:
            left_out.append(f"{path.name}: its name or its columns are not those of a benchmark")
            continue
        layout, *version, gpu, compiled = named.groups()
        try:
            chip = resolve(gpu).chip
        except UnknownDeviceError:
            left_out.append(f"{path.name}: no chip has the name {gpu!r}")
            continue
        runtime = "pytorch-compile" if compiled else "pytorch"
        by_key = {(row["model"], int(row["infer_img_size"])): row for row in rows}
        made = Benchmark(path, chip, runtime, ".".join(version), layout, by_key)
        rank = ([int(part) for part in version], layout)
        if (chip, runtime) not in newest or newest[chip, runtime][0] < rank:
            newest[chip, runtime] = (rank, made)
    found = [made for _, made in newest.values()]
    return sorted(found, key=lambda each: ([int(part) for part in each.version.split(".")], each.chip), reverse=True)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise EntryError(f"{path}: there is no such file.", "Name a checkout of timm's repository, with its results/.")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise EntryError(f"{path}: it has no rows.", "Name a whole checkout.")
    return rows


def _key(row: dict[str, str]) -> tuple[str, int]:
    return row["model"], int(row["img_size"])


def commit_of(checkout: Path) -> str:
    """The commit that is checked out."""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise MissingDependencyError(
            "git is needed to name the commit of the checkout, but it is not installed.",
            "Install it by the system's package manager.",
        ) from None
    if done.returncode:
        raise EntryError(f"{checkout} is no git checkout: {done.stderr.strip()}", f"git clone {REPOSITORY}")
    return done.stdout.strip()


def changes(before: list[dict[str, str]], after: list[dict[str, Any]], names: tuple[str, ...]) -> list[str]:
    """What differs between two tables, a line a row; `names` are the columns that name one."""
    old, new = ({tuple(str(row[name]) for name in names): row for row in rows} for rows in (before, after))
    lines = [f"new: {' '.join(key)}" for key in new if key not in old]
    lines += [f"gone: {' '.join(key)}" for key in old if key not in new]
    for key in old.keys() & new.keys():
        said = [f"{name} {old[key].get(name)} -> {value}" for name, value in new[key].items()
                if old[key].get(name) != str(value)]  # fmt: skip
        lines += [f"changed: {' '.join(key)}: {', '.join(said)}"] if said else []
    return sorted(lines)


def update(checkout: Path, folder: Path) -> list[str]:
    """Write the tables; returns what is to be said of it, line by line.

    Raises:
        EntryError: (a ValueError) the checkout is none, or lacks a file.
        MissingDependencyError: (an ImportError) git is not installed.
    """
    left_out: list[str] = []
    about = About(REPOSITORY, commit_of(checkout), timm.__version__)
    results = checkout / "results"
    benchmarks = read_benchmarks(results, left_out)
    networks = list(made_networks(results, benchmarks, left_out))
    throughputs = list(made_throughputs(networks, benchmarks, left_out))
    there = (folder / NETWORKS).is_file()
    lines = [f"from {read_about(folder).commit if there else 'nothing'} to {about.commit}"]
    lines += changes(network_rows(folder) if there else [], networks, ("tag", "input_px"))
    naming = ("architecture", "input_px", "chip", "runtime")
    moved = changes(throughput_rows(folder) if there else [], throughputs, naming)
    lines += [f"{len(moved)} rows of throughputs are new, gone or changed"]
    lines += [f"left out: {each}" for each in left_out]
    write_tables(folder, about, networks, throughputs)
    return [*lines, f"{len(networks)} networks and {len(throughputs)} throughputs in {folder}"]


def main() -> None:
    """Run the tool on the command line's arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path, help=f"a git checkout of {REPOSITORY}")
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER", help="where the tables are")
    given = parser.parse_args()
    print("\n".join(update(given.checkout, given.to)))


if __name__ == "__main__":
    console.run(main)
