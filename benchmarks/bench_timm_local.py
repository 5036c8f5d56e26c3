"""Whether the search on this machine finds the most accurate of timm's networks within a budget, against the truth.

python benchmarks/bench_timm_local.py FOLDER [--runtime openvino] [--steps truth 5 10 20 40 sequence]

Of 64 networks all are measured: the truth. Then `gpunet.find("local", max_ms=..., zoo="timm")` is asked for the best of
them within 5, 10, 20 and 40 ms: each time from nothing, and all four one after the other, each with what those before
have kept. Every step is a process and keeps its result in FOLDER: what is done is not done again, and steps may be done
at different times, when the machine is quiet.

A network takes another time in another hour: on a virtual machine a fifth more or less. So an answer is held against
the truth in two ways. The search is carried out on the truth's own figures, where it must find the best; and of what it
left unmeasured on the machine, nothing may be more accurate than its answer and fit by the truth. Ends with 1 unless
both hold at every budget, by at most 65 measurements and in at most 4 minutes.

The sample was drawn before anything was measured: timm's networks of 0.05 to 6 billion multiply-adds in eight classes
of equal ratio, of each eight networks of as many families, and of no family more than three.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpunet.core import console
from gpunet.core.files import write_text

BUDGETS_MS = (5.0, 10.0, 20.0, 40.0)
MOST_MEASURED, MOST_MINUTES = 65, 4.0
_UNBOUND_MINUTES = 60.0
_NAMES = """
test_vit2.r160_in1k tinynet_d.in1k tf_mobilenetv3_small_075.in1k repghostnet_050.in1k mnasnet_small.lamb_in1k
lcnet_050.ra2_in1k mobilenetv4_conv_small_050.e3000_r224_in1k@256 efficientvit_m0.r224_in1k test_resnet.r160_in1k
lcnet_075.ra2_in1k efficientvit_b0.r224_in1k tf_mobilenetv3_large_075.in1k mobilenetv2_050.lamb_in1k tinynet_c.in1k
ghostnet_100.in1k repghostnet_100.in1k tinynet_b.in1k mobilenetv4_conv_small.e2400_r224_in1k@256
mobilenetv3_large_100.miil_in21k_ft_in1k hardcorenas_b.miil_green_in1k shvit_s1.in1k edgenext_xx_small.in1k@256
test_nfnet.r160_in1k efficientvit_m3.r224_in1k ghostnetv2_160.in1k efficientformerv2_s0.snap_dist_in1k
hgnetv2_b0.ssld_stage2_ft_in1k@288 efficientnet_b0.ra4_e3600_r224_in1k@256 spnasnet_100.rmsp_in1k
mobilevit_xxs.cvnets_in1k fbnetv3_b.ra2_in1k@224 levit_conv_128.fb_dist_in1k efficientnet_b2.ra_in1k@256
fasternet_t1.in1k convnext_atto_ols.a2_in1k@224 regnety_006.pycls_in1k mobilenetv2_140.ra_in1k
fastvit_t8.apple_dist_in1k pvt_v2_b0.in1k dla46_c.in1k efficientnet_es.ra_in1k nf_regnet_b1.ra2_in1k@288
mambaout_kobe.in1k@224 resnet14t.c3_in1k@224 convnext_femto.d1_in1k@288 levit_256.fb_dist_in1k mobileone_s2.apple_in1k
tf_efficientnetv2_b2.in1k@208 resnet50.tv2_in1k@176 bat_resnext26ts.ch_in1k pit_s_224.in1k repvgg_b0.rvgg_in1k
hgnetv2_b3.ssld_stage2_ft_in1k@288 mobilevitv2_100.cvnets_in1k halonet26t.a1h_in1k coatnext_nano_rw_224.sw_in1k
resnetv2_50d_evos.ah_in1k@224 resnest50d_1s4x24d.in1k vit_small_patch16_rope_224.naver_in1k
hgnetv2_b4.ssld_stage2_ft_in1k@288 maxvit_tiny_rw_224.sw_in1k visformer_small.in1k tnt_s_legacy_patch16_224.in1k
legacy_seresnet34.in1k
"""
SAMPLE = _NAMES.split()


def measure_all(runtime: str) -> dict[str, Any]:
    """The truth: of each network of the sample its latency and spread, and why the others have none."""
    from gpunet.zoo.catalog import catalog
    from gpunet.zoo.local import local_records

    entries = catalog("timm")
    failed: dict[str, str] = {}

    def fails(entry: Any, reason: str) -> None:
        failed[entry.name] = reason

    records = local_records([entries[name] for name in SAMPLE], runtime=runtime, on_failure=fails)
    return {
        "latency_ms": {each.model: each.latency_ms for each in records},
        "spread_percent": {each.model: each.conditions["spread_percent"] for each in records},
        "top1_percent": {name: entries[name].top1_percent for name in SAMPLE},
        "multiply_adds_billions": {name: entries[name].multiply_adds_billions for name in SAMPLE},
        "activations_millions": {name: entries[name].activations_millions for name in SAMPLE},
        "parameters_millions": {name: entries[name].parameters_millions for name in SAMPLE},
        "failed": failed,
        "board": records[0].board, "threads": records[0].threads,
        "runtime": f"{records[0].runtime} {records[0].runtime_version}",
    }  # fmt: skip


def ask(runtime: str, budgets_ms: Sequence[float]) -> list[dict[str, Any]]:
    """What the search found within each budget, one after the other, and what it took."""
    import gpunet

    answers = []
    for budget_ms in budgets_ms:
        started_s = time.perf_counter()
        found = gpunet.find(
            "local", max_ms=budget_ms, runtime=runtime, family=SAMPLE, licence="any", zoo="timm",
            budget_minutes=_UNBOUND_MINUTES,
        )  # fmt: skip
        minutes = (time.perf_counter() - started_s) / 60
        best = found[0] if found else None
        answers.append(
            {
                "budget_ms": budget_ms,
                "found": best and best.name,
                "latency_ms": best and best.latency_ms,
                "minutes": minutes,
                "search": found.search and found.search.to_dict(),
            }
        )
    return answers


def best_of(truth: dict[str, Any], budget_ms: float) -> str | None:
    """The most accurate of the sample within a budget, by the truth; ties to the faster."""
    fits = [(-truth["top1_percent"][name], ms, name) for name, ms in truth["latency_ms"].items() if ms <= budget_ms]
    return min(fits, default=(0, 0, None))[2]


def missed(truth: dict[str, Any], answer: dict[str, Any], known: set[str]) -> list[str]:
    """What was not measured, keeps the budget by the truth, and is more accurate than the answer."""
    accuracy = truth["top1_percent"]
    least = accuracy.get(answer["found"], 0.0)
    return [name for name, ms in truth["latency_ms"].items()
            if name not in known and ms <= answer["budget_ms"] and accuracy[name] > least]  # fmt: skip


def table(truth: dict[str, Any], answers: Sequence[dict[str, Any]], *, follow: bool) -> tuple[str, bool]:
    """A row a query, and whether all bounds were kept; queries that follow each other know what was measured before."""
    rows, kept, known = [], True, set[str]()
    for each in answers:
        search = each["search"]
        known = (known if follow else set()) | set(search["measured"])
        over, measured = missed(truth, each, known), len(search["measured"])
        kept &= not over and measured <= MOST_MEASURED and each["minutes"] <= MOST_MINUTES
        rows.append(
            (
                f"{each['budget_ms']:g}", over[0] if over else "nothing", each["found"],
                console.milliseconds(each["latency_ms"]), console.milliseconds(truth["latency_ms"].get(each["found"])),
                best_of(truth, each["budget_ms"]), measured, search["kept"], f"{each['minutes']:.1f}",
            )
        )  # fmt: skip
    columns = ("budget ms>", "missed", "answer", "ms>", "ms by the truth>", "best by the truth", "measured>",
               "kept before>", "minutes>")  # fmt: skip
    return console.table(columns, rows), kept


def on_the_truth(truth: dict[str, Any]) -> tuple[str, bool]:
    """How the search does on the truth's figures: at the four budgets, and at others between 2 and 64 ms."""
    from gpunet.zoo.timm_zoo.budget import MostAccurate
    from gpunet.zoo.timm_zoo.predicted import Work

    terms = [truth[name] for name in ("multiply_adds_billions", "activations_millions", "parameters_millions")]
    works = [Work(name, top1, *(each[name] for each in terms)) for name, top1 in truth["top1_percent"].items()]
    found, lines = {}, []
    for budget_ms in (*BUDGETS_MS, *(2 * 1.06**step for step in range(60))):
        search, count = MostAccurate(works, budget_ms), 0
        while (name := search.ask()) is not None:
            search.tell(name, truth["latency_ms"].get(name))
            count += 1
        found[budget_ms] = search.best == best_of(truth, budget_ms)
        if budget_ms in BUDGETS_MS:
            lines.append(
                f"{budget_ms:g} ms: {search.best}, {'the best' if found[budget_ms] else 'NOT the best'}, {count}"
            )
    share = sum(found.values())
    lines.append(f"at {len(found)} budgets from 2 to 62 ms the best was found {share} times")
    return "\n".join(lines), all(found[budget_ms] for budget_ms in BUDGETS_MS)


def steps_of(runtime: str) -> dict[str, Any]:
    """What each step does, by its name."""
    alone = {f"{budget_ms:g}": lambda budget_ms=budget_ms: ask(runtime, [budget_ms]) for budget_ms in BUDGETS_MS}
    return {"truth": lambda: measure_all(runtime), **alone, "sequence": lambda: ask(runtime, BUDGETS_MS)}


def main(arguments: list[str] | None = None) -> int:
    """Do the steps that are not done, print what stands; returns 1 where a bound is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="keeps results and measurements; made if it is not there")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--steps", nargs="*", metavar="STEP", help="truth, 5, 10, 20, 40, sequence (default: all)")
    parser.add_argument("--here", help=argparse.SUPPRESS)  # the step that this process does
    given = parser.parse_args(arguments)
    steps = steps_of(given.runtime)
    if given.here:
        write_text(given.folder / f"{given.here}.json", json.dumps(steps[given.here](), indent=1) + "\n")
        return 0
    for name in steps if given.steps is None else given.steps:
        if name not in steps:
            parser.error(f"--steps are some of {', '.join(steps)}, but got {name}.")
        if not (given.folder / f"{name}.json").exists():
            home = given.folder.absolute() / f"home-{name}"
            if name != "truth":  # which goes on; the others begin with nothing
                shutil.rmtree(home, ignore_errors=True)
            command = [sys.executable, __file__, str(given.folder), "--runtime", given.runtime, "--here", name]
            subprocess.run(command, env={**os.environ, "GPUNET_HOME": str(home)}, check=True)
    results = {name: _read(given.folder / f"{name}.json") for name in steps}
    truth = results.pop("truth")
    if truth is None or None in results.values():
        missing = ", ".join(name for name, result in {"truth": truth, **results}.items() if result is None)
        print(f"not done yet: {missing}")
        return 1
    print(f"{truth['board']}, {truth['threads']} threads, {truth['runtime']}, float32, batch 1, {len(SAMPLE)} networks")
    print("\n".join(f"failed: {name}: {reason}" for name, reason in truth["failed"].items()))
    replayed, kept = on_the_truth(truth)
    print(f"\nthe search on the truth itself: budget, answer, measurements\n{replayed}")
    alone, alone_kept = table(
        truth, [each for name, result in results.items() if name != "sequence" for each in result], follow=False
    )
    print(f"\nfrom nothing\n{alone}")
    following, following_kept = table(truth, results["sequence"], follow=True)
    print(f"\nin sequence\n{following}")
    return 0 if kept and alone_kept and following_kept else 1


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
