"""Two processes on loopback (gloo) beside one with twice the batch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.runs import SPEC
from safetensors.torch import load_file

from gpunet.errors import TrainingError
from gpunet.train.processes import device_named

COMMON = ["--data", "digits", "--quiet", "--log-every", "1", "--images-fraction", "0.3", "--recipe", "quick",
          "--set", "optimization.optimizer=sgd", "--set", "optimization.learning_rate=0.02",
          "--set", "optimization.batch_of_learning_rate=32", "--set", "ema_decay=0.9",
          "--set", "schedule.warmup_epochs=0"]  # fmt: skip


def start(out: Path, spec: Path, processes: int, *options: str) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    command = [*launcher, "gpunet", "train", *COMMON, str(spec), "-o", str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(SPEC.to_json(), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("head_epochs", [0, 1])
def test_two_processes_have_the_loss_curve_of_one_with_twice_the_batch(
    tmp_path: Path, spec: Path, head_epochs: int
) -> None:
    common = ("--epochs", "2", "--set", f"head_epochs={head_epochs}")
    runs = {
        "one": start(tmp_path / "one", spec, 1, *common, "--batch-size", "32"),
        "two": start(tmp_path / "two", spec, 2, *common, "--batch-size", "16"),
    }
    for process in runs.values():
        _, said = process.communicate()
        assert process.returncode == 0, said
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert len(one) == len(two) == 2 * (431 // 32) + 2
    for alone, together in zip(one, two, strict=True):
        key = "loss" if alone["kind"] == "step" else "train_loss"
        assert together[key] == pytest.approx(alone[key], rel=2e-3)
        assert together["learning_rate"] == alone["learning_rate"]
    assert one[-1]["top1_percent"] == pytest.approx(two[-1]["top1_percent"], abs=1)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in runs)
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=0.02, atol=2e-3)


@pytest.mark.slow
def test_processes_leave_together_and_go_on_together(tmp_path: Path, spec: Path) -> None:
    options = ("--epochs", "6", "--batch-size", "16", "--set", "batch_norm=local")
    process = start(tmp_path / "out", spec, 2, *options)
    while len(metrics(tmp_path / "out") if (tmp_path / "out" / "metrics.jsonl").exists() else []) < 3:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode != 0
    assert "the run was asked to leave in epoch" in said
    left = sorted(path.name for path in (tmp_path / "out" / "checkpoints").iterdir())[-1]
    assert left != "epoch-0000-step-000000"
    again = start(tmp_path / "out", spec, 2, *options)
    _, said = again.communicate()
    assert again.returncode == 0, said
    steps = [line for line in metrics(tmp_path / "out") if line["kind"] == "step"]
    assert [(line["epoch"], line["step"]) for line in steps] == [(e, s) for e in range(6) for s in range(1, 14)]


@pytest.mark.parametrize("name", ["gpu", "meta"])
def test_a_device_that_nobody_trains_on_is_refused(name: str) -> None:
    with pytest.raises(TrainingError, match=f"device must be cpu, cuda or cuda:N, but got '{name}'"):
        device_named(name)


def test_a_gpu_beyond_those_that_are_there() -> None:
    with pytest.raises(TrainingError, match=r"device is 'cuda:99', but torch finds (no GPU|[0-9]+ GPUs)"):
        device_named("cuda:99")
