"""Accuracies of different data sets are never ranked together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.entries import ENTRY, RECORD, write_zoo

import gpunet
from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, NothingFitsError
from gpunet.model.dataset_names import IMAGENET
from gpunet.zoo.choice.conditions import Query
from gpunet.zoo.query import best

DIGITS = "digits (validation)"


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """On V100: 'reader' of 99 % of digits, 'mine' of ImageNet, 'latency_only' of nothing."""
    for name, accuracy in {
        "reader": {"top1_percent": 99.0, "dataset": DIGITS, "source": "me"},
        "mine": {"top1_percent": 70.0, "dataset": "ILSVRC2012 (val)", "source": "me"},
        "latency_only": None,
    }.items():
        record = {**RECORD, "model": name, "chip": "gv100", "board": "V100 32GB", "latency_ms": "0.3"}
        entry = {**ENTRY, "name": name, "accuracy": accuracy}
        write_zoo(tmp_path / name, entry=entry, name="entry.json", records=[record])
    return tmp_path


def test_a_query_ranks_by_imagenet_and_counts_what_it_leaves_out(zoo: Path) -> None:
    found = gpunet.find("gv100", max_ms=0.7, zoo=zoo)
    assert [match.name for match in found] == ["gpunet_p0", "gpunet_0", "mine", "latency_only"]
    assert (found.dataset, found.left_out) == (IMAGENET, {DIGITS: 1})
    assert gpunet.find("gv100", max_ms=0.2, min_top1=80, zoo=zoo).left_out == {}  # it is too slow itself
    assert gpunet.find("gv100", max_ms=0.7, min_top1=80, zoo=zoo).left_out == {DIGITS: 1}
    assert best(Query(device="gv100", max_ms=0.4), zoo).name == "mine"


def test_what_is_left_out_for_two_reasons_is_counted_once(zoo: Path) -> None:
    entry = {**ENTRY, "name": "reader", "accuracy": {"top1_percent": 99.0, "dataset": DIGITS, "source": "me"}}
    for licence in ("cc-by-nc-4.0", "mit"):
        (zoo / "reader" / "entry.json").write_text(json.dumps({**entry, "licence": licence}))
        found = gpunet.find("gv100", max_ms=0.7, licence="permissive", zoo=zoo)
        assert found.left_out == {DIGITS: 1}
        assert sum(found.left_out_licences.values()) == 4  # the seven's two that fit, and the zoo's of no licence


def test_or_by_the_one_that_is_named(zoo: Path) -> None:
    found = gpunet.find("gv100", dataset="digits", zoo=zoo)
    assert [match.name for match in found] == ["reader", "latency_only"]
    assert (found.dataset, found.left_out) == (DIGITS, {IMAGENET: 8})
    model = gpunet.create("gv100", max_ms=0.7, dataset="digits", zoo=zoo, pretrained=False)
    assert model.entry.name == "reader"
    with pytest.raises(InvalidArgumentError, match="no accuracy in the zoo is of the data set 'cifar'"):
        gpunet.find("gv100", dataset="cifar", zoo=zoo)


def test_where_nothing_fits_the_other_data_sets_are_named(zoo: Path) -> None:
    with pytest.raises(NothingFitsError) as caught:
        gpunet.create("gv100", max_ms=0.1, zoo=zoo)
    assert caught.value.hint.endswith(
        f"1 network is left out, whose accuracy is of other images than {IMAGENET}: 1 of '{DIGITS}'. "
        f"To rank by those: dataset='{DIGITS}', or --dataset '{DIGITS}'."
    )


def test_list_models_by_data_set(zoo: Path) -> None:
    assert gpunet.list_models(zoo=zoo)[-3:] == ["latency_only", "mine", "reader"]
    assert gpunet.list_models(dataset="digits", zoo=zoo) == ["reader"]
    assert gpunet.list_models("m*", dataset="imagenet", zoo=zoo) == ["mine"]
    with pytest.raises(InvalidArgumentError, match="of the data set 'cifar'"):
        gpunet.list_models(dataset="cifar", zoo=zoo)
    with pytest.raises(InvalidArgumentError, match="dataset must be a name such as 'imagenet-1k', but got 5"):
        gpunet.list_models(dataset=5)
    for pattern in (5, [], ["gpunet_*", 5]):
        with pytest.raises(InvalidArgumentError, match=r"pattern must be a pattern such as 'mobilenet\*', or several"):
            gpunet.list_models(pattern)


@pytest.mark.parametrize("command", ["find", "pareto"])
def test_the_commands_say_which_and_how_many_are_left_out(zoo: Path, command: str, capsys) -> None:
    main([command, "-d", "V100 32GB", "--zoo", str(zoo)])
    said = capsys.readouterr()
    assert f"Top-1 is on {IMAGENET}." in said.out
    assert "reader" not in said.out
    assert said.err.startswith("1 network is left out")
    assert f"--dataset '{DIGITS}'" in said.err
    main([command, "-d", "V100 32GB", "--zoo", str(zoo), "--dataset", "digits", "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["dataset"], found["left_out"]) == (DIGITS, {IMAGENET: 8})
    assert (found.get("matches") or found["points"])[0]["name"] == "reader"
    assert said.err == ""


def test_list_says_what_each_accuracy_is_of(zoo: Path, capsys) -> None:
    main(["list", "--zoo", str(zoo)])
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["reader"].endswith(DIGITS)
    assert rows["gpunet_0"].endswith(IMAGENET)
    main(["list", "--zoo", str(zoo), "--dataset", "digits", "--json"])
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["reader"]
