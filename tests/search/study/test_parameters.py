from __future__ import annotations

import json
from typing import Any

import numpy as np
import optuna
import pytest
from helpers.studies import SPACE, Place, every_network
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from gpunet.search import PAPER_SPACE
from gpunet.search.spaces.space import Digit
from gpunet.search.study.parameters import parameters_of


@pytest.mark.parametrize(("digit", "index", "value", "distribution"), [
    (Digit("px", (224, 256, 288)), 1, 256, IntDistribution(224, 288)),
    (Digit("one", (3,)), 0, 3, IntDistribution(3, 3)),
    (Digit("ratio", (0.5, 1, 2)), 1, 1.0, FloatDistribution(0.5, 2.0)),
    (Digit("activation", ("relu", "swish"), True), 1, "swish", CategoricalDistribution(("relu", "swish"))),
    (Digit("code", (7, 3), True), 0, 7, CategoricalDistribution((7, 3))),
    (Digit("wide", (False, True)), 1, True, CategoricalDistribution((False, True))),
    (Digit("shape", ((1, 2), None), True), 0, "(1, 2)", CategoricalDistribution(("(1, 2)", None))),
    (Digit("width", tuple(np.array([8, 16])), False), 1, 16, IntDistribution(8, 16)),
])  # fmt: skip
def test_a_digit_as_a_parameter(digit: Digit, index: int, value: Any, distribution: Any) -> None:
    ((name, (internal, found)),) = parameters_of(optuna, [digit], [index]).items()
    assert name == digit.name
    assert found == distribution
    assert found.to_external_repr(internal) == value
    assert type(found.to_external_repr(internal)) is type(value)


def test_the_papers_space_has_a_parameter_a_digit() -> None:
    vector = [len(digit.values) - 1 for digit in PAPER_SPACE.digits]
    found = parameters_of(optuna, PAPER_SPACE.digits, vector)
    values = {name: distribution.to_external_repr(internal) for name, (internal, distribution) in found.items()}
    assert values == PAPER_SPACE.values_of(vector)
    assert len(found) == 41


def test_optunas_own_tools_weigh_them(place: Place) -> None:
    study = place.create()
    for row, vector in enumerate(every_network()[::6].tolist()):
        made = study.create_trial(vector, 0.5, f"key {row}", 1)
        study.set_parameters(study.trial_id(made.number), vector)
        study.storage.finish(study.trial_id(made.number), TrialState.COMPLETE, 40.0 + 10 * vector[0])
    found = optuna.load_study(study_name=place.name, storage=place.storage().raw)
    assert [each.params for each in found.trials] == [SPACE.values_of(each) for each in every_network()[::6]]
    weights = optuna.importance.get_param_importances(found, evaluator=optuna.importance.FanovaImportanceEvaluator())
    assert max(weights, key=weights.__getitem__) == "resolution_px"
    assert json.loads(json.dumps([each.vector for each in study.trials()])) == every_network()[::6].tolist()


def test_a_name_that_others_gave_another_meaning_is_left(file_place: Place) -> None:
    study = file_place.create()
    other = optuna.load_study(study_name=file_place.name, storage=study.storage.raw)
    other.add_trial(
        optuna.trial.create_trial(params={"resolution_px": "low"}, value=1.0,
                                  distributions={"resolution_px": CategoricalDistribution(("low", "high"))})
    )  # fmt: skip
    vector = every_network()[0].tolist()
    made = study.create_trial(vector, 0.5, "key", 1)
    study.set_parameters(study.trial_id(made.number), vector)
    assert study.storage.finish(study.trial_id(made.number), TrialState.COMPLETE, 50.0)
    assert [each.number for each in study.trials()] == [1]
