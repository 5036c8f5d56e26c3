from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.runs import SPEC, checkpoints, losses, network, recipe, run, weights

from gpunet.errors import PreemptedError
from gpunet.train.recipe import Augmentation

# Everything that draws random numbers is in it.
ALL = recipe(
    epochs=3,
    augmentation=Augmentation("rand-m9-mstd0.5", erasing=0.3, mixup=0.2, cutmix=0.5),
    dropout=0.2,
    drop_path=0.2,
    channels_last=True,
)


# ------------------------------------------------------------------ interruptions


def test_a_run_that_is_asked_to_leave_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    run(tmp_path / "whole", how=ALL)
    for left, steps in enumerate((1, 4, 2, 6)):
        asked = iter([False] * steps)
        with pytest.raises(PreemptedError, match=r"asked to leave in epoch .*\nThe same command goes on from there"):
            run(tmp_path / "left", how=ALL, model=network(left), should_stop=lambda asked=asked: next(asked, True))
    run(tmp_path / "left", how=ALL, model=network(9))
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "left")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert losses(tmp_path / "whole") == losses(tmp_path / "left")
    assert checkpoints(tmp_path / "whole") == checkpoints(tmp_path / "left")


def test_accumulation_is_left_between_updates(tmp_path: Path) -> None:
    how = recipe(batch_size=8, accumulation_steps=4)
    run(tmp_path / "whole", how=how)
    asked = iter([False, False])
    with pytest.raises(PreemptedError, match="in epoch 1, after 12 of 20 batches"):
        run(tmp_path / "left", how=how, should_stop=lambda: next(asked, True))
    run(tmp_path / "left", how=how)
    assert losses(tmp_path / "whole") == losses(tmp_path / "left")


CHANGES = ("augmentation.policy=rand-m9-mstd0.5", "augmentation.erasing=0.3", "augmentation.cutmix=0.5", "dropout=0.2",
           "drop_path=0.2")  # fmt: skip
COMMAND = [sys.executable, "-m", "gpunet", "train", "--data", "digits", "--quiet", "--checkpoint-minutes", "0.001",
           "--images-fraction", "0.35", "--epochs", "3", *(f"--set={change}" for change in CHANGES)]  # fmt: skip


def _start(spec: Path, out: Path) -> subprocess.Popen[str]:
    command = [*COMMAND, str(spec), "-o", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(SPEC.to_json(), encoding="utf-8")
    return path


def _wait_for(process: subprocess.Popen[str], out: Path, more_than: int) -> int:
    """Until a checkpoint was written beyond so many batches; batches done then."""
    while process.poll() is None:
        names = checkpoints(out) if (out / "checkpoints").exists() else []
        done = max((int(name[6:10]) * 7 + int(name[-6:]) for name in names if name.startswith("epoch")), default=-1)
        if done > more_than:
            return done
        time.sleep(0.005)
    raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path: Path, spec: Path) -> None:
    """SIGKILL at five moments, spread over the run and at random within a step; then to the end."""
    whole = _start(spec, tmp_path / "whole")
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    generator, done = random.Random(0), -1
    for _ in range(5):
        process = _start(spec, tmp_path / "killed")
        done = _wait_for(process, tmp_path / "killed", done + 1)
        time.sleep(generator.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = _start(spec, tmp_path / "killed")
    _, said = last.communicate()
    assert last.returncode == 0, said
    digests = {hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()
               for name in ("whole", "killed")}  # fmt: skip
    assert len(digests) == 1
    assert losses(tmp_path / "whole") == losses(tmp_path / "killed")


@pytest.mark.slow
def test_sigterm_leaves_with_a_checkpoint_and_a_code_of_its_own(tmp_path: Path, spec: Path) -> None:
    process = _start(spec, tmp_path / "out")
    _wait_for(process, tmp_path / "out", 1)
    process.terminate()
    _, said = process.communicate()
    assert process.returncode == 75, said
    assert "error: the run was asked to leave in epoch" in said
    assert "hint: The same command goes on from there" in said
