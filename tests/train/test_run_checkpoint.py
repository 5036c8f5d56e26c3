from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors import SafetensorError

from gpunet.errors import FAILED_EXIT_CODE, TrainingError
from gpunet.train.checkpoint import Checkpoints, Position, flat_optimizer, positions_in, under, unflat_optimizer

TENSORS = {"model.a": torch.arange(6.0).reshape(2, 3), "model.b": torch.tensor(3), "ema.a": torch.ones(2, 3)}


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 5_000_000)), max_size=6, unique=True))
@example([(0, 100_001), (0, 1_000_000), (10_000, 0), (9_999, 0)])  # numbers longer than names are padded to
def test_positions_are_found_in_order_whatever_their_names_sort_like(places: list[tuple[int, int]]) -> None:
    positions = [Position(*place) for place in places]
    with tempfile.TemporaryDirectory() as folder:
        for each in positions:
            Path(folder, str(each)).mkdir()
        assert positions_in(Path(folder)) == sorted(positions)


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(Position(1, 20), TENSORS, {"updates": 7}, None)
    tensors, values = checkpoints.load(Position(1, 20))
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())
    assert values["updates"] == 7
    assert under("model", tensors).keys() == {"a", "b"}


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for epoch in range(6):
        checkpoints.save(Position(epoch), TENSORS, {}, Position(1) if epoch >= 1 else None)
    assert checkpoints.positions() == [Position(1), Position(4), Position(5)]


def test_one_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(Position(0), TENSORS, {"who": "first"}, None)
    checkpoints.save(Position(0), TENSORS, {"who": "second"}, None)
    assert checkpoints.load(Position(0))[1]["who"] == "first"


def test_what_a_killed_process_left_is_no_checkpoint_and_goes(tmp_path: Path) -> None:
    Checkpoints(tmp_path, keep=1).save(Position(0), TENSORS, {}, None)
    part = tmp_path / f".{Position(0, 5)}.part"
    part.mkdir()
    (part / "state.json").write_text("{", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    again = Checkpoints(tmp_path, keep=1)
    assert again.positions() == [Position(0)]
    assert not part.exists()
    assert (tmp_path / "notes.txt").exists()


def test_a_disk_that_takes_no_more_costs_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(Position(0), TENSORS, {}, None)

    for error in (OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")):

        def full(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("gpunet.train.checkpoint.save_file", full)
        with pytest.raises(TrainingError, match=r"000000 cannot be written: .*No space left on device\nMake room"):
            checkpoints.save(Position(1), TENSORS, {}, None)
    assert checkpoints.positions() == [Position(0)]
    assert [path.name for path in tmp_path.iterdir()] == [str(Position(0))]
    assert checkpoints.load(Position(0))


def test_a_newer_one_is_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(Position(0), TENSORS, {}, None)
    path = checkpoints.path(Position(0)) / "state.json"
    path.write_text(json.dumps({"state_version": 9}), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"state_version: 9 is not 1\nA newer gpunet wrote this checkpoint"):
        checkpoints.load(Position(0))
    for text in ("{", "[" * 100_000):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(TrainingError, match="cannot be read") as caught:
            checkpoints.load(Position(0))
        assert caught.value.exit_code == FAILED_EXIT_CODE


@pytest.mark.parametrize("kind", ["sgd", "adam", "rmsprop"])
def test_an_optimisers_state_comes_back_laid_out_as_its_parameters(kind: str) -> None:
    def made() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        maker = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}[kind]
        return layer, maker(layer.parameters(), lr=0.1, momentum=0.9) if kind != "adam" else maker(layer.parameters())

    layer, optimizer = made()
    for _ in range(3):
        layer(torch.randn(2, 3, 8, 8)).square().sum().backward()
        optimizer.step()
    tensors, values = flat_optimizer(optimizer.state_dict())
    stored = json.loads(json.dumps(values))
    other, again = made()
    parameters = [each for group in again.param_groups for each in group["params"]]
    again.load_state_dict(unflat_optimizer({k: v.contiguous() for k, v in tensors.items()}, stored, parameters))
    wanted, found = optimizer.state_dict()["state"], again.state_dict()["state"]
    assert wanted.keys() == found.keys()
    for number, own in wanted.items():
        for key, value in own.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, found[number][key])
                assert value.stride() == found[number][key].stride()
            else:
                assert value == found[number][key]
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    del layer, other
