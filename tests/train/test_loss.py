from __future__ import annotations

import pytest
import torch
from helpers.runs import recipe
from hypothesis import given
from hypothesis import strategies as st
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch.nn import functional

from gpunet.train.loss import UNLABELLED, Loss
from gpunet.train.recipe import Distillation

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, 10, generator=GENERATOR)
ANSWERS = torch.randn(6, 10, generator=GENERATOR)
TARGETS = torch.tensor([0, 3, 9, 3, 1, 2])


def test_without_a_teacher_it_is_timms() -> None:
    torch.testing.assert_close(Loss(recipe())(LOGITS, TARGETS, None), LabelSmoothingCrossEntropy(0.1)(LOGITS, TARGETS))
    soft = torch.softmax(ANSWERS, dim=1)
    torch.testing.assert_close(Loss(recipe())(LOGITS, soft, None), SoftTargetCrossEntropy()(LOGITS, soft))


@given(weight=st.floats(0, 1), temperature=st.floats(0.5, 20))
def test_a_teachers_part_is_its_divergence(weight: float, temperature: float) -> None:
    how = recipe(label_smoothing=0.0, distillation=Distillation(weight=weight, temperature=temperature))
    teacher, student = (torch.softmax(each / temperature, dim=1) for each in (ANSWERS, LOGITS))
    divergence = (teacher * (teacher.log() - student.log())).sum(dim=1).mean()
    wanted = (1 - weight) * functional.cross_entropy(LOGITS, TARGETS) + weight * temperature**2 * divergence
    torch.testing.assert_close(Loss(how)(LOGITS, TARGETS, ANSWERS), wanted, rtol=1e-4, atol=1e-5)


@given(weight=st.floats(0, 3), label_weight=st.floats(0, 3), temperature=st.floats(0.5, 20))
def test_cross_entropy_with_a_teacher_has_the_gradient_of_the_divergence(
    weight: float, label_weight: float, temperature: float
) -> None:
    gradients, losses = [], []
    for loss in ("kl-divergence", "cross-entropy"):
        logits = LOGITS.clone().requires_grad_()
        how = Distillation(weight=weight, label_weight=label_weight, temperature=temperature, loss=loss)
        found = Loss(recipe(distillation=how))(logits, TARGETS, ANSWERS)
        found.backward()
        gradients.append(logits.grad)
        losses.append(found.item())
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    soft = torch.softmax(ANSWERS / temperature, dim=1)
    entropy = -(soft * soft.log()).sum(dim=1).mean().item()
    assert losses[1] - losses[0] == pytest.approx(weight * temperature**2 * entropy, rel=1e-3, abs=1e-4)


def test_a_student_that_answers_like_its_teacher_has_nothing_to_learn_from_it() -> None:
    how = recipe(distillation=Distillation(weight=1.0, temperature=3.0))
    assert float(Loss(how)(LOGITS, TARGETS, LOGITS)) == pytest.approx(0, abs=1e-5)


def test_unlabelled_images_take_part_in_the_teachers_share_only() -> None:
    targets = TARGETS.clone()
    targets[2:] = UNLABELLED
    alone = Loss(recipe())
    torch.testing.assert_close(alone(LOGITS, targets, None), alone(LOGITS[:2], TARGETS[:2], None))
    assert float(alone(LOGITS, torch.full_like(TARGETS, UNLABELLED), None)) == 0
    taught = Loss(recipe(distillation=Distillation(weight=1.0)))
    torch.testing.assert_close(taught(LOGITS, targets, ANSWERS), taught(LOGITS, TARGETS, ANSWERS))
