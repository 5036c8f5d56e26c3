"""The tool that makes the catalogue of timm's networks, on a checkout of the real layout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from gpunet.errors import EntryError, MissingDependencyError
from gpunet.zoo.timm_zoo.tables import FOLDER, network_rows, read_about, throughput_rows

sys.path.insert(0, str(ROOT / "tools"))
from update_timm_catalog import main, pretraining_of, update

_ACCURACY = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation"
_BENCHMARK = (
    "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count,infer_gmacs,infer_macts"
)
_NETWORKS = """\
resnet18.a1_in1k,288,73.156,26.844,91.026,8.974,11.69,1.000,bicubic
resnet18.a1_in1k,224,71.490,28.510,90.078,9.922,11.69,0.950,bicubic
mobileone_s0.apple_in1k,224,71.406,28.594,89.844,10.156,5.29,0.875,bilinear
deit_tiny_patch16_224.fb_in1k,224,72.170,27.830,91.116,8.884,5.72,0.900,bicubic
deit_tiny_patch16_224.fb_in1k,256,72.170,27.830,91.116,8.884,5.72,0.900,bicubic
resnet18.no_such_tag,224,71.490,28.510,90.078,9.922,11.69,0.950,bicubic
resnet34.a1_in1k,224,76.418,23.582,92.890,7.110,21.80,0.950,bicubic
"""
_WORK = """\
resnet18,288,3000.5,341.0,1024,11.69,3.01,4.11
resnet18,224,5000.5,204.0,1024,11.69,1.82,2.48
deit_tiny_patch16_224,224,4000.5,255.0,1024,5.72,1.26,5.97
mobileone_s0,224,{mobileone}
"""
_FUSED, _UNFUSED = "18890.62,54.2,1024,2.08,0.28,3.79", "3126.59,327.0,1024,5.29,1.09,15.48"


def _checkout(folder: Path) -> Path:
    results = folder / "results"
    results.mkdir(parents=True)
    for name in ("results-imagenet.csv", "results-imagenet-real.csv", "results-imagenetv2-matched-frequency.csv"):
        (results / name).write_text(f"{_ACCURACY}\n{_NETWORKS}")
    for name, mobileone in {
        "benchmark-infer-amp-nchw-pt291-cu128-4090.csv": _FUSED,
        "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv": _UNFUSED,  # older
        "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv": _UNFUSED,
        "benchmark-infer-amp-nchw-pt291-cu130-5090-dynamo.csv": _FUSED,
        "benchmark-infer-amp-nchw-pt291-cu130-nosuchgpu.csv": _FUSED,
    }.items():
        (results / name).write_text(f"{_BENCHMARK}\n{_WORK.format(mobileone=mobileone)}")
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Results"]):
        subprocess.run([*git, *command], check=True)
    return folder


def test_a_checkout_becomes_tables_and_what_is_left_out_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    checkout, out = _checkout(tmp_path / "timm"), tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["update_timm_catalog.py", str(checkout), "--to", str(out)])
    main()
    said = capsys.readouterr().out
    rows = {(row["tag"], row["input_px"]): row for row in network_rows(out)}
    assert list(rows) == [("resnet18.a1_in1k", "288"), ("resnet18.a1_in1k", "224"), ("mobileone_s0.apple_in1k", "224"),
                          ("deit_tiny_patch16_224.fb_in1k", "224")]  # fmt: skip
    small = rows["resnet18.a1_in1k", "224"]
    assert (small["top1_percent"], small["top1_real_percent"], small["crop_pct"]) == ("71.490", "71.490", "0.950")
    assert (small["licence"], small["extra_data"], small["fixed_input"]) == ("apache-2.0", "no", "0")
    assert rows["deit_tiny_patch16_224.fb_in1k", "224"]["fixed_input"] == "1"
    assert [row["branches"] for row in rows.values()] == ["0", "0", "1", "0"]
    assert "left out: deit_tiny_patch16_224.fb_in1k at 256 px: its input is fixed at 224 px" in said
    assert "left out: resnet18.no_such_tag at 224 px: timm" in said
    assert "left out: resnet34.a1_in1k at 224 px: no benchmark counts its multiply-adds" in said
    assert "nosuchgpu.csv: no chip has the name 'nosuchgpu'" in said
    assert "rtx3090.csv: 1 networks with branches, which it did not fuse" in said

    figures = throughput_rows(out)
    of_mobileone = [(row["chip"], row["runtime"], row["runtime_version"], row["throughput_ips"]) for row in figures
                    if row["architecture"] == "mobileone_s0"]  # fmt: skip
    assert sorted(of_mobileone) == [
        ("rtx4090", "pytorch", "2.9.1", "18890.62"), ("rtx5090", "pytorch-compile", "2.9.1", "18890.62")
    ]  # fmt: skip
    assert {(row["chip"], row["runtime_version"]) for row in figures} == {
        ("rtx3090", "2.4.0"), ("rtx4090", "2.9.1"), ("rtx5090", "2.9.1")
    }  # fmt: skip
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert read_about(out).commit == head.stdout.strip()

    before = {path.name: path.read_bytes() for path in out.iterdir()}
    results = checkout / "results" / "results-imagenet.csv"
    results.write_text(results.read_text().replace("71.406", "71.500").replace("resnet18.a1_in1k,288", "resnet18,288"))
    main()
    again = capsys.readouterr().out.splitlines()
    assert "changed: mobileone_s0.apple_in1k 224: top1_percent 71.406 -> 71.500" in again
    assert "gone: resnet18.a1_in1k 288" in again
    assert "0 rows of throughputs are new, gone or changed" in again  # they are of architectures
    assert before["catalog.json"] == (out / "catalog.json").read_bytes()


def test_what_is_no_checkout_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out"
    with pytest.raises(EntryError, match="is no git checkout"):
        update(tmp_path, out)
    checkout = _checkout(tmp_path / "timm")
    real = checkout / "results" / "results-imagenet-real.csv"
    real.unlink()
    with pytest.raises(EntryError, match=r"results-imagenet-real\.csv: there is no such file\."):
        update(checkout, out)
    real.write_text(f"{_ACCURACY}\n")
    with pytest.raises(EntryError, match=r"results-imagenet-real\.csv: it has no rows\."):
        update(checkout, out)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"git is needed to name the commit [^$]*package manager"):
        update(checkout, out)
    assert not out.exists()


def test_a_known_error_is_a_line_and_its_exit_code(tmp_path: Path):
    tool = str(ROOT / "tools" / "update_timm_catalog.py")
    done = subprocess.run([sys.executable, tool, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.partition(str(tmp_path))[0]) == (2, "error: ")


@pytest.mark.parametrize(
    ("tag", "seen", "extra"),
    [
        ("resnet50.a1_in1k", "imagenet-1k", "no"),
        ("vit_base_patch16_clip_384.laion2b_ft_in12k_in1k", "imagenet-12k + laion-2b", "yes"),
        ("tf_efficientnet_b7.ns_jft_in1k", "jft-300m", "yes"),
        ("eva_giant_patch14_224.clip_ft_in1k", "images of a CLIP, not named", "yes"),
        ("hgnetv2_b6.ssld_stage2_ft_in1k", "imagenet-22k", "yes"),
        ("fastvit_t8.apple_dist_in1k", "imagenet-1k, distilled", "unknown"),
        ("deit_tiny_distilled_patch16_224.fb_in1k", "imagenet-1k, distilled", "unknown"),
        ("hgnet_tiny.ssld_in1k", "imagenet-1k + unlabelled", "unknown"),
    ],
)
def test_a_tag_says_what_its_weights_have_seen(tag: str, seen: str, extra: str):
    assert pretraining_of(tag) == (seen, extra)


def test_every_row_that_is_carried_has_a_source_and_a_licence():
    networks, figures = network_rows(), throughput_rows()
    assert len(networks) == 1556
    assert all(row["source"] and row["licence"] and row["extra_data"] for row in networks)
    assert all(row["source"] and row["runtime_version"] for row in figures)
    assert len(read_about().commit) == 40
    assert {path.name for path in FOLDER.iterdir()} == {"networks.csv.gz", "throughput.csv.gz", "catalog.json"}


def test_no_network_of_a_fixed_size_is_carried_at_two_and_none_with_branches_unfused():
    networks = network_rows()
    fixed = [row["tag"] for row in networks if row["fixed_input"] == "1"]
    assert len(fixed) == len(set(fixed))
    with_branches = {row["tag"].partition(".")[0] for row in networks if row["branches"] == "1"}
    assert "mobileone_s0" in with_branches
    versions = {row["runtime_version"] for row in throughput_rows() if row["architecture"] in with_branches}
    assert versions == {"2.9.1"}
