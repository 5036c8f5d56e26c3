from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.runs import digits, network, recipe, run, validation
from hypothesis import given
from hypothesis import strategies as st

from gpunet import runtime as runtimes
from gpunet.errors import DataError
from gpunet.exporters.onnx import onnx_from_network
from gpunet.model.preprocessing import image_config
from gpunet.train.evaluation.evaluate import Evaluation, evaluate, runner_from_model, runner_from_session

CONFIG = image_config(network())


def of(confusion: list[list[int]], **kwargs: object) -> Evaluation:
    matrix = np.array(confusion)
    return Evaluation(matrix, np.diag(matrix), None, "test", 1.0, 2.0, **kwargs)  # type: ignore[arg-type]


@given(
    st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=4, max_size=4).filter(
        lambda m: sum(map(sum, m))
    )
)
def test_figures_come_from_the_counts(confusion: list[list[int]]) -> None:
    found = of(confusion)
    total, right = sum(map(sum, confusion)), sum(confusion[k][k] for k in range(4))
    assert (found.images, found.top1_percent) == (total, pytest.approx(100 * right / total))
    rows = found.class_rows()
    assert sum(row["images"] for row in rows) == total
    assert [row["top1_percent"] for row in rows] == sorted(row["top1_percent"] for row in rows)
    weighted = sum(row["images"] * row["top1_percent"] for row in rows) / total
    assert weighted == pytest.approx(found.top1_percent)
    pairs = found.confusion_pairs(100)
    assert sum(pair["images"] for pair in pairs) == total - right
    assert all(pair["class"] != pair["taken_for"] for pair in pairs)
    assert [pair["images"] for pair in pairs] == sorted((pair["images"] for pair in pairs), reverse=True)


def test_few_classes_have_no_top5() -> None:
    assert of([[1, 0], [1, 0]]).top5_percent is None
    assert of([[1, 0], [1, 0]]).class_rows()[0] == {
        "class": "1", "images": 1, "top1_percent": 0.0, "precision_percent": None
    }  # fmt: skip


def test_a_model_is_scored_image_by_image() -> None:
    model, data = network().eval(), validation()
    found = evaluate(runner_from_model(model), data, CONFIG, 10, batch_size=7)
    transform = model.transforms()
    with torch.inference_mode():
        logits = torch.cat([model(transform(data.dataset[k][0])[None]) for k in range(len(data))])
    targets = torch.tensor(data.targets())
    assert found.images == len(data) == 64
    assert found.top1_percent == pytest.approx(100 * float((logits.argmax(1) == targets).float().mean()))
    five = (logits.topk(5).indices == targets[:, None]).any(1).float().mean()
    assert found.top5_percent == pytest.approx(100 * float(five))
    assert found.run_images_per_s > found.images_per_s > 0


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_files_score_is_the_networks(tmp_path_factory: pytest.TempPathFactory, runtime: str) -> None:
    """The averaged weights of a run, as they are exported; the fixed batch does not divide the images."""
    model = network()
    result = run(tmp_path_factory.mktemp("run"), model=model, how=recipe(epochs=4), data=digits(320))
    mine = evaluate(runner_from_model(model), validation(), CONFIG, 10)
    assert mine.top1_percent == result.best.top1_percent
    session = runtimes.get(runtime).load(onnx_from_network(model, batch_size=3), threads=1)
    runner, fixed = runner_from_session(session)
    assert fixed == 3
    theirs = evaluate(runner, validation(), CONFIG, 10, batch_size=8)
    assert np.array_equal(mine.confusion, theirs.confusion)
    assert np.array_equal(mine.right_of_five, theirs.right_of_five)


def test_a_network_with_other_classes_is_said() -> None:
    with pytest.raises(DataError, match="the model has 12 classes and digits"):
        evaluate(runner_from_model(network(num_classes=12)), validation(), CONFIG, 12)
    with pytest.raises(DataError, match="the network gave 32 x 12 values for 32 images, not 32 x 10"):
        evaluate(runner_from_model(network(num_classes=12)), validation(), CONFIG, 10)


def test_images_without_labels_are_not_scored() -> None:
    class Unlabelled:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> object:
            return digits().dataset[index][0], -1

    import dataclasses

    data = dataclasses.replace(digits(), dataset=Unlabelled(), rows=None, classes=None, name="nothing known")
    with pytest.raises(DataError, match="nothing known holds no labelled image that can be read"):
        evaluate(runner_from_model(network()), data, CONFIG, 10)
