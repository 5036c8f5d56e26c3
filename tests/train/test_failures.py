"""What a machine refuses, and what diverges, is said; the run goes on afterwards."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from helpers.runs import checkpoints, digits, recipe, run
from safetensors.torch import load_file

from gpunet.errors import FAILED_EXIT_CODE, InvalidArgumentError, PreemptedError, TrainingError
from gpunet.train import EpochScore
from gpunet.train.recipe import Optimization


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_is_said_and_the_run_goes_on_later(tmp_path: Path) -> None:
    with (
        files_of_at_most(20_000),
        pytest.raises(TrainingError, match=r"epoch-0000-step-000000 cannot be written: .*\nMake room"),
    ):
        run(tmp_path / "full")
    assert not list((tmp_path / "full" / "checkpoints").iterdir())
    run(tmp_path / "full")
    run(tmp_path / "whole")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("full", "whole"))
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"best": 1, "scores": 2}', "[" * 100_000])
def test_a_damaged_result_is_one_error(tmp_path: Path, text: str) -> None:
    run(tmp_path, how=recipe(epochs=1), data=digits(32))
    (tmp_path / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        TrainingError, match=r"result\.json is damaged: .*\nDelete .*result\.json: the run is"
    ) as caught:
        run(tmp_path, how=recipe(epochs=1), data=digits(32))
    assert caught.value.exit_code == FAILED_EXIT_CODE
    (tmp_path / "result.json").unlink()
    assert run(tmp_path, how=recipe(epochs=1), data=digits(32)).best.epoch == 1


@pytest.mark.parametrize(
    "values", [{}, {"optimizer": 3, "scaler": {}, "updates": 0, "scores": [], "seconds": 0, "unreadable": []}]
)
def test_a_checkpoint_that_lacks_what_a_run_needs_is_one_error(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(PreemptedError):
        run(tmp_path, should_stop=lambda: True)
    path = tmp_path / "checkpoints" / checkpoints(tmp_path)[-1] / "state.json"
    path.write_text(json.dumps({"state_version": 1, **values}), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"the checkpoint .* cannot be read: .*\nDelete .*one before") as caught:
        run(tmp_path)
    assert caught.value.exit_code == FAILED_EXIT_CODE


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_folder_that_cannot_be_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrainingError, match=r"cannot be the folder of a run: .*\nGive a folder that can be made"):
        run(tmp_path / name)


def test_metrics_stay_json_where_a_loss_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the loss of batch"):
        run(tmp_path, how=recipe(optimization=Optimization("sgd", 1e20)))

    def refuse(text: str) -> None:
        raise AssertionError(text)

    for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=refuse)


def test_a_network_that_diverges_in_the_last_step_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError,
        match=r"the network's answers on digits \(validation\) are no numbers: its loss there is nan\.\nLower the",
    ):
        run(tmp_path, how=recipe(epochs=1, batch_size=160, optimization=Optimization("sgd", 1e38), ema_decay=None))
    assert not (tmp_path / "result.json").exists()


def test_a_callback_that_ended_a_run_ends_it_though_it_is_killed_before_it_is_written_down(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def killed(score: EpochScore) -> bool:
        if score.epoch == 2:
            raise Killed
        return False

    with pytest.raises(Killed):
        run(tmp_path, how=recipe(epochs=4), on_epoch=killed)
    result = run(tmp_path, how=recipe(epochs=4), on_epoch=lambda score: score.epoch == 2)
    assert (len(result.scores), result.stopped_early) == (2, True)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"seed": 2**63}, "seed must be below 2\\^63, but got 9223372036854775808"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes must be above 0, but got -1"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint_minutes must be above 0, but got nan"),
    ],
)
def test_numbers_out_of_range(tmp_path: Path, kwargs: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        run(tmp_path, **kwargs)  # type: ignore[arg-type]
