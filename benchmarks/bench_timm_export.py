"""Which of timm's architectures can be exported: over all families, to ONNX, each verified; INT8 on OpenVINO of some.

    python benchmarks/bench_timm_export.py --out exports.jsonl            # goes on where it was killed
    python benchmarks/bench_timm_export.py --out exports.jsonl --retry    # those that failed once more
    python benchmarks/bench_timm_export.py --out exports.jsonl --only     # prints what the file holds

Each is exported by a process of its own, with bounded memory and time, so that one that needs too much ends alone. The
networks are untrained; their BatchNorm statistics are taken from crops of photographs, so that activations have the
spread of a trained network's. The smallest architecture of each family comes first, then others spread over its
multiply-adds; a family is a module of timm's. Ends with 1 where fewer than --at-least were verified.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpunet.core import console
from gpunet.core.progress import ProgressBar
from gpunet.errors import GpunetError
from gpunet.model.entry import Entry

_MOST_MULTIPLY_ADDS, _MOST_PARAMETERS = 26e9, 140e6
_KINDS = ("fp32", "bf16", "int8")
_FIGURES = ("max_abs_difference", "signal", "scale", "cosine", "top1_agreement", "allowed_difference")
_PRELOADED = ["torch", "timm", "onnx", "gpunet.exporters.deployment", "gpunet.zoo.models", "side_by_side.precisions"]
_OF_TESTS = "test_"  # timm's architectures for its own tests
# Of one architecture each, so that a gain says something of its kind.
INT8 = (
    "mobilenetv3_small_100", "mobilenetv4_conv_small", "efficientnet_b0", "tf_efficientnet_lite0", "mnasnet_100",
    "resnet18", "resnet50", "resnext50_32x4d", "regnetx_008", "regnety_008", "repvgg_a0", "mobileone_s1", "repvit_m1",
    "ghostnet_100", "densenet121", "hrnet_w18_small", "convnext_atto", "vgg11", "levit_128s", "deit_tiny_patch16_224",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark with these arguments (default: the process's)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="a line of JSON each architecture; is gone on with")
    parser.add_argument("--count", type=int, default=120, help="architectures (default: 120)")
    parser.add_argument("--architectures", nargs="+", metavar="NAME", help="these, and no others")
    parser.add_argument(
        "--int8", action="store_true", help=f"of {len(INT8)} named here: INT8 and bf16 on OpenVINO, and their gain"
    )
    parser.add_argument("--retry", action="store_true", help="try again what failed")
    parser.add_argument("--only", action="store_true", help="print what the file holds, and export nothing")
    parser.add_argument("--cpu-time", action="store_true", help="with --int8: one thread, by its processor time")
    parser.add_argument("--memory-gib", type=float, default=8.0, help="that one may take (default: 8)")
    parser.add_argument("--timeout-s", type=float, default=600.0, help="seconds that one may take (default: 600)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no other after so many minutes")
    parser.add_argument("--at-least", type=int, default=100, help="verified architectures (default: 100)")
    args = parser.parse_args(arguments)
    if args.out is None:
        parser.error("--out FILE says where to write.")
    wanted = chosen(args.architectures or (INT8 if args.int8 else None), args.count)
    done = {each["architecture"]: each for each in read(args.out)}
    if not args.only:
        _export(wanted, done, args)
    found = [done[name] for name in wanted if name in done]
    report(found, int8=args.int8)
    verified = sum(each["outcome"] == "verified" for each in found)
    if not args.only and verified < min(args.at_least, len(wanted)):
        raise SystemExit(f"{verified} of {len(wanted)} architectures were verified, fewer than {args.at_least}")


# ------------------------------------------------------------------ the choice


def chosen(names: Sequence[str] | None, count: int) -> dict[str, Entry]:
    """The entry of each architecture, at its least input size; those named, or so many over all families."""
    least = _least()
    if names is not None:
        unknown = [name for name in names if name not in least]
        if unknown:
            raise SystemExit(f"{unknown[0]} is no architecture of the catalogue")
        return {name: least[name] for name in names}
    families: dict[str, list[str]] = {}
    for name, entry in least.items():
        small = (entry.multiply_adds or 0) <= _MOST_MULTIPLY_ADDS and (entry.parameters or 0) <= _MOST_PARAMETERS
        if small and not name.startswith(_OF_TESTS):
            families.setdefault(family_of(name), []).append(name)
    turns = [_spread(of_family) for of_family in families.values()]
    found: dict[str, Entry] = {}
    while len(found) < count and turns:
        for turn in list(turns):
            following = next(turn, None)
            if following is None:
                turns.remove(turn)
            elif len(found) < count:
                found[following] = least[following]
    return found


def _least() -> dict[str, Entry]:
    """Of each architecture the entry with the least input size, the smallest architectures first."""
    from gpunet.zoo.timm_zoo.entries import timm_entries

    found: dict[str, Entry] = {}
    for entry in timm_entries():
        name = str(entry.architecture).partition(".")[0]
        if name not in found or (entry.input_px or 0) < (found[name].input_px or 0):
            found[name] = entry
    return dict(sorted(found.items(), key=lambda item: item[1].multiply_adds or 0))


def family_of(architecture: str) -> str:
    """The module of timm's that builds an architecture."""
    from timm.models import model_entrypoint

    return str(model_entrypoint(architecture).__module__.rpartition(".")[2])


def _spread(names: Sequence[str]) -> Iterator[str]:
    """The first of a list, then the middle of what is left, and so on: each once."""
    yield names[0]
    parts = [(1, len(names))]
    while parts:
        low, high = parts.pop(0)
        if low < high:
            middle = (low + high) // 2
            yield names[middle]
            parts += [(low, middle), (middle + 1, high)]


# ------------------------------------------------------------------ the exports


def _export(wanted: dict[str, Entry], done: dict[str, Any], args: argparse.Namespace) -> None:
    begun_s = time.monotonic()
    left = [name for name in wanted if name not in done or (args.retry and done[name]["outcome"] != "verified")]
    with ProgressBar("exporting", len(left), line_every_s=60) as bar:
        for number, name in enumerate(left):
            if time.monotonic() - begun_s > 60 * args.minutes:
                break
            bar.update(number, description=f"exporting {name}")
            done[name] = _by_a_process(name, wanted[name], args)
            with args.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(done[name]) + "\n")


def _by_a_process(name: str, entry: Entry, args: argparse.Namespace) -> dict[str, Any]:
    """What a process of its own makes of an architecture; it begins with the libraries loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    begun_s = time.monotonic()
    facts = {"architecture": name, "entry": entry.name, "family": family_of(name)}
    receiving, sending = context.Pipe(duplex=False)
    most_bytes = int(args.memory_gib * 2**30)
    child = context.Process(target=_told, args=(entry.name, args.int8, args.cpu_time, most_bytes, sending))
    child.start()
    sending.close()
    try:
        if not receiving.poll(args.timeout_s):
            return {**facts, "outcome": "failed", "reason": f"it took more than {args.timeout_s:g} s"}
        found = receiving.recv()
    except EOFError:
        child.join()
        found = {"outcome": "failed", "reason": f"its process ended with {child.exitcode}"}
    finally:
        child.kill()
        child.join()
    return {**facts, **found, "seconds": round(time.monotonic() - begun_s, 1)}


def _told(name: str, int8: bool, cpu_time: bool, most_bytes: int, sending: Any) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
    try:
        found = _one(name, int8=int8, cpu_time=cpu_time)
    except Exception as error:  # a defect of gpunet, timm or a runtime is a finding, too
        found = {"outcome": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())}"}
    sending.send(found)


def _one(name: str, *, int8: bool, cpu_time: bool = False) -> dict[str, Any]:
    """Export one network, in this process."""
    from side_by_side.precisions import crops, settle

    import gpunet
    from gpunet.exporters.deployment import deploy
    from gpunet.exporters.images import image_shape

    try:
        model: Any = gpunet.load(name, zoo="timm", pretrained=False)
        images = crops(model, image_shape(model))
        settle(model, images)
        with tempfile.TemporaryDirectory(prefix="gpunet-bench-") as folder:
            if int8:
                return _gains(model, images, Path(folder), cpu_time)
            report = deploy(model, Path(folder, "network.onnx"), keep=True)
            proof = report.verification
            return {
                "outcome": proof.outcome, "reason": proof.reason, "bytes": report.sidecar.artefact_bytes,
                "fused": report.sidecar.reparameterized, "difference_of_signal": _of_signal(proof),
            }  # fmt: skip
    except GpunetError as error:
        return {"outcome": "failed", "reason": " ".join(error.message.split())}


def _of_signal(proof: Any) -> float | None:
    return None if not proof.signal else proof.max_abs_difference / proof.signal


def _gains(model: Any, images: Any, folder: Path, cpu_time: bool) -> dict[str, Any]:
    """OpenVINO's files of a network at each precision: verified, and measured in turn."""
    from side_by_side import precisions
    from side_by_side.ratios import measured

    from gpunet.exporters.images import image_shape
    from gpunet.runtime.timing import noise

    files, facts = precisions.exported(model, images, folder, ["openvino"], _KINDS)
    clock = time.process_time if cpu_time else time.perf_counter
    how: dict[str, Any] = {"blocks": 5, "rounds": 4, "runs": 2, "threads": 1 if cpu_time else None, "clock": clock}
    blocks = measured("openvino", files["openvino"], noise((1, *image_shape(model))), **how)
    result = precisions.result_of("", "openvino", blocks, facts)
    proofs = {kind: each["verification"] for kind, each in result["files"].items()}
    failed = [f"{kind}: {each['reason']}" for kind, each in proofs.items() if each["outcome"] != "verified"]
    return {
        "outcome": "failed" if failed else "verified", "reason": "; ".join(failed), "ms": result["p25_ms"],
        "gains": result["ratios"], "uncertainties": result["uncertainties"], "computed_in": _computed_in(blocks[0]),
        "differences": {kind: {name: each[name] for name in _FIGURES} for kind, each in proofs.items()},
    }  # fmt: skip


def _computed_in(block: Mapping[str, Any]) -> dict[str, str]:
    return {kind: each.conditions["precision"] for kind, each in block.items()}


# ------------------------------------------------------------------ the report


def read(path: Path) -> list[dict[str, Any]]:
    """What a file holds; of several lines of an architecture the last counts."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def report(found: Sequence[dict[str, Any]], *, int8: bool) -> None:
    """Print how many were verified, and why the others were not."""
    outcomes = Counter(each["outcome"] for each in found)
    families = {each["family"] for each in found if each["outcome"] == "verified"}
    said = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{len(found)} architectures: {said}; {len(families)} of {len({each['family'] for each in found})} families")
    for each in found:
        if each["outcome"] != "verified":
            print(console.wrapped(f"  {each['architecture']}: {each['reason']}", hanging=4))
    if int8:
        rows = [(each["architecture"], *(f"{each['ms'][kind]:.2f}" for kind in each["ms"]),
                 *(f"{gain:.2f}" for gain in each["gains"].values())) for each in found if "ms" in each]  # fmt: skip
        kinds = next((list(each["ms"]) for each in found if "ms" in each), [])
        if rows:
            columns = ["architecture", *(f"{kind} ms>" for kind in kinds), *(f"{kind} gain>" for kind in kinds[1:])]
            print(console.table(columns, rows))


if __name__ == "__main__":
    console.run(main)
