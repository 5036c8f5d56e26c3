"""The model card: valid to the hub's client, and nothing in it but what was given or counted."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from helpers.publications import NAME, publication, record, small_network
from huggingface_hub import ModelCard

import gpunet
import gpunet.registry
from gpunet.cli.export import main as export_main
from gpunet.core.machine import available_threads, processor_name
from gpunet.model.entry import Accuracy
from gpunet.model.small import SMALL
from gpunet.runtime import get
from gpunet.train.recipes import recipe_named
from gpunet.zoo.catalog import catalog
from gpunet.zoo.publishing.model_card import model_card
from gpunet.zoo.publishing.publish import publish_entry


def _table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column has this name, its header first."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def test_the_front_matter_is_the_hubs() -> None:
    data = ModelCard(model_card(publication())).data
    assert (data.library_name, data.pipeline_tag, data.license) == ("timm", "image-classification", "apache-2.0")
    assert data.metrics == ["accuracy"]
    assert {"gpunet", "timm", "image-classification"} <= set(data.tags)
    assert data.model_name == NAME
    found = [(each.dataset_name, each.dataset_type, each.metric_name, each.metric_value) for each in data.eval_results]
    assert found == [
        ("digits (validation)", "digits-validation", "Top-1 accuracy, percent", 97.5),
        ("digits (validation)", "digits-validation", "Top-5 accuracy, percent", 99.75),
    ]


@pytest.mark.parametrize(
    ("licence", "written", "name"),
    [("MIT", "mit", None), ("cc-by-4.0", "cc-by-4.0", None), ("Internal use only!", "other", "internal-use-only")],
)
def test_a_licence_that_the_hub_does_not_know_is_other(licence: str, written: str, name: str | None) -> None:
    text = model_card(publication(licence=licence))
    data = ModelCard(text).data
    assert (data.license, data.license_name) == (written, name)
    assert f"Licence of the weights: {licence}." in text


def test_it_says_what_the_network_is_by_counts() -> None:
    text = model_card(publication())
    parameters, multiply_adds = SMALL.count_parameters(num_classes=10), SMALL.count_multiply_adds(num_classes=10)
    assert f"10 classes, images of 32 x 32 px in 3 channels, {parameters:,} parameters, {multiply_adds:,}" in text
    assert sum(each.numel() for each in small_network().parameters()) == parameters
    rows = _table(text, "part")
    assert [row[0] for row in rows[1:]] == ["stem", "stage 0", "stage 1", "stage 2", "stage 3", "head", "classifier"]
    column = rows[0].index("parameters")
    assert sum(int(row[column].replace(",", "")) for row in rows[1:]) == parameters


def test_every_record_stands_there_with_its_conditions() -> None:
    text = model_card(publication())
    header, own, other = _table(text.replace(r"\|", "/"), "ms")
    assert header == ["ms", "kind", "statistic", "chip", "board", "batch", "precision", "runtime", "threads",
                      "machine's speed", "source"]  # fmt: skip
    assert own == [
        "1.25", "measured", "median", "local", processor_name(), "1", "fp32", f"pytorch {get('pytorch').version()}",
        str(available_threads()), "-", record().source,
    ]  # fmt: skip
    assert (other[0], other[3:5]) == ("2.5", ["orin", "Orin / 64GB"])
    assert "reference" not in text


def test_the_machines_speed_stands_beside_each_figure(tmp_path: Path) -> None:
    beside = {"reference": {"version": 1, "small_ms": 0.1104, "large_ms": 9.806}, "moved_percent": 12.0}
    clocks = {"gpu_clocks": {"sm_mhz": 1980}, "moved_percent": 0.0}
    given = publication(records=(record(**beside), record(2.5, **clocks)))
    header, own, other = _table(model_card(given), "ms")
    place = header.index("machine's speed")
    assert (own[place], other[place]) == ("0.11 and 9.81 ms, moved by 12 %", "1980 MHz")
    assert "gpunet's reference of two fixed networks" in model_card(given)
    folder = publish_entry(tmp_path, given)
    found = catalog([tmp_path])[folder.name].records
    assert found[0].conditions["reference"] == beside["reference"]


@pytest.mark.parametrize(
    ("tier_ms", "estimated_ms", "said"),
    [
        ((1.0, 1.5), 1.3, "Its tier is 1 to 1.5 ms: it is measured at 1.25 ms, within it. It was searched by an "),
        ((2.0, 3.0), None, "Its tier is 2 to 3 ms: it is measured at 1.25 ms, outside it.\n"),
        (None, 1.0, "1 ms, is 20.0 % below the first of these."),
        (None, 1.3, "1.3 ms, is 4.0 % above the first of these."),
    ],
)
def test_tier_and_estimate_beside_what_was_measured(tier_ms: Any, estimated_ms: Any, said: str) -> None:
    assert said in model_card(publication(tier_ms=tier_ms, estimated_ms=estimated_ms))


def test_what_was_not_given_is_not_mentioned() -> None:
    accuracy = Accuracy(97.5, "digits", "gpunet eval")
    text = model_card(
        publication(tier_ms=None, estimated_ms=None, versions={}, sources=(), seed=None, note="", accuracy=accuracy)
    )
    for word in ("tier is", "estimate", "| software |", "Sources:", "seed", "None", "top-5", "Top-5"):
        assert word not in text, word


def test_accuracy_training_and_versions() -> None:
    text = model_card(publication())
    assert _table(text, "metric")[1:] == [
        ["top-1", "97.5", "digits (validation)", "gpunet eval, epoch 12 of 12"],
        ["top-5", "99.75", "digits (validation)", "gpunet eval, epoch 12 of 12"],
    ]
    assert json.loads(text.split("```json\n")[1].split("```")[0]) == recipe_named("quick").to_dict()
    assert _table(text, "software")[1:] == [["gpunet", "0.1.0"], ["torch", "2.6.0"]]
    assert "The accuracy is that of one training run on digits (validation)" in text


def test_cells_stay_within_their_row() -> None:
    odd = dataclasses.replace(record(), source="two\nlines | and a bar")
    row = next(line for line in model_card(publication(records=[odd])).splitlines() if line.startswith("| 1.25 |"))
    assert row.endswith(r"| two lines \| and a bar |")


@pytest.mark.slow
def test_what_the_card_says_of_its_use_is_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = publish_entry(tmp_path / "zoo", publication())
    text = (folder / "README.md").read_text(encoding="utf-8")
    first, second = (block.split("```")[0] for block in text.split("```python\n")[1:])
    names: dict[str, Any] = {"FOLDER": str(folder)}
    exec(first, names)
    images = torch.randn(1, 3, 32, 32)
    logits = names["model"](images)
    exec(second, names)
    assert torch.equal(names["model"].eval()(images), logits)
    command = text.split("```console\n$ gpunet-export ")[1].split("\n")[0]
    export_main(command.replace("FOLDER", str(folder)).split())
    assert (tmp_path / f"{NAME}.onnx").is_file()
    assert gpunet.load(NAME, zoo=folder).spec == SMALL
    assert timm.is_model("gpunet")


def test_words_of_anybody_are_no_markup_in_it() -> None:
    words = "<script>alert(1)</script> ![x](http://a) `b` | \x1b[31m \u202e & co"
    text = model_card(publication(
        note=words, licence=words, sources=[words], data=words, accuracy=Accuracy(97.5, words, words),
        records=[dataclasses.replace(record(), board=words, statistic=words, source=words)],
    ))  # fmt: skip
    body = text.split("---\n")[-1]
    for each in ("<script", "![x](", " `b`", "\x1b", "\u202e"):
        assert each not in body
    assert body.count("&lt;script&gt;alert(1)&lt;/script&gt; !\\[x\\](http://a)") > 5
