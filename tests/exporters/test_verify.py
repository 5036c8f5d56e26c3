from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from gpunet.errors import InvalidArgumentError, VerificationError
from gpunet.exporters.images import ImageSet
from gpunet.exporters.layers import LayerComparison
from gpunet.exporters.verify import TOLERANCES, Tolerance, compare, not_verified

IMAGES = ImageSet(
    np.random.default_rng(0).standard_normal((5, 3, 4, 4)).astype(np.float32),
    ("photograph",) * 3 + ("random image",) * 2,
)
_WEIGHTS = np.random.default_rng(1).standard_normal((48, 7))


class Computed:
    """A session: the same linear classifier everywhere, with a fault on top of its logits."""

    runtime_version = "1.0"
    threads = None
    device = "cpu"
    conditions: dict[str, object] = {}  # noqa: RUF012

    def __init__(
        self,
        fault: Callable[[np.ndarray], np.ndarray] = lambda logits: logits,
        *,
        name: str = "candidate",
        precision: str = "fp32",
        batch: int | None = None,
        bias: float = 0.0,
    ) -> None:
        self.runtime, self.precision, self.input_shape = name, precision, (batch, 3, 4, 4)
        self.fault, self.bias = fault, bias
        self.batches: list[int] = []

    def run(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        return self.fault(images.reshape(len(images), -1) @ _WEIGHTS + self.bias).astype(np.float32)


def reference(**options: object) -> Computed:
    return Computed(name="reference", **options)


def test_equal_sessions_are_verified():
    result = compare(reference(), Computed(), IMAGES)
    assert result.passed
    assert result.outcome == "verified"
    assert result.max_abs_difference == result.mean_abs_difference == 0
    assert result.cosine == pytest.approx(1)
    assert result.top1_agreement == 1
    assert (result.reference, result.candidate, result.precision) == ("reference 1.0", "candidate 1.0", "fp32")
    assert result.images == "3 photographs and 2 random images"
    result.require_passed()
    assert json.loads(json.dumps(result.to_dict()))["batch_sizes"] == [1]


def test_the_figures_are_those_of_the_logits():
    def fault(logits):
        logits[:, 0] += 0.5
        return logits

    result = compare(reference(), Computed(fault), IMAGES, tolerance=Tolerance(relative=1))
    logits = reference().run(IMAGES.arrays).astype(float)
    assert result.passed
    assert result.max_abs_difference == pytest.approx(0.5, rel=1e-5)
    assert result.mean_abs_difference == pytest.approx(0.5 / 7, rel=1e-5)
    assert result.scale == pytest.approx(np.abs(logits).max())
    assert result.signal == pytest.approx(np.sqrt(np.mean(logits.var(axis=0))))
    moved = logits + 0.5 * (np.arange(7) == 0)
    cosines = (logits * moved).sum(1) / np.linalg.norm(logits, axis=1) / np.linalg.norm(moved, axis=1)
    assert result.cosine == pytest.approx(cosines.min())
    assert result.top1_agreement == np.mean(logits.argmax(1) == moved.argmax(1))


def test_a_difference_fails_and_names_its_figures():
    result = compare(reference(), Computed(lambda logits: logits + 0.1), IMAGES)
    assert result.outcome == "failed"
    with pytest.raises(
        VerificationError, match=r"failed: candidate 1.0 against reference 1.0 at fp32: the logits differ"
    ) as caught:
        result.require_passed()
    message = caught.value.message
    for figure in ("largest difference 0.1 (allowed", "mean 0.1", "cosine 0.", "top-1 agreement 100 %", "batch 1"):
        assert figure in message
    assert "3 photographs and 2 random images" in message
    assert "Nothing has been written" in caught.value.hint


def test_a_difference_is_measured_by_what_the_image_changes():
    """Logits of 1000 that the images move by 10: an error of 1 is 0.1 % of the size, and 10 % of what matters."""
    tolerance = Tolerance(relative=1e-2, of_signal=1e-2)
    wrong = Computed(lambda logits: logits + 1, bias=1000)
    assert not compare(reference(bias=1000), wrong, IMAGES, tolerance=tolerance).passed
    assert compare(reference(bias=1000), wrong, IMAGES, tolerance=Tolerance(relative=1e-2)).passed


def test_rounding_passes_where_the_images_change_nothing():
    flat = reference(fault=lambda logits: 0 * logits + 3)
    assert compare(flat, Computed(lambda logits: 0 * logits + 3 * (1 + 2e-6)), IMAGES).passed
    assert not compare(flat, Computed(lambda logits: 0 * logits + 3 * (1 + 2e-5)), IMAGES).passed


def test_each_precision_has_its_tolerance():
    def coarse(logits):
        return logits + 1e-2 * np.abs(logits).max() * np.sin(np.arange(7))

    outcomes = {name: compare(reference(), Computed(coarse, precision=name), IMAGES).outcome for name in TOLERANCES}
    assert outcomes == {"fp32": "failed", "fp16": "failed", "bf16": "verified", "int8": "verified"}
    with pytest.raises(
        InvalidArgumentError, match="must be one of fp32, fp16, bf16, int8, but the candidate's is 'int4'"
    ) as caught:
        compare(reference(), Computed(precision="int4"), IMAGES)
    assert "Pass a tolerance" in caught.value.hint


def test_cosine_and_agreement_can_be_held():
    turned = Computed(lambda logits: -logits)
    loose = Tolerance(relative=math.inf)
    assert compare(reference(), turned, IMAGES, tolerance=loose).passed
    cosine = compare(reference(), turned, IMAGES, tolerance=Tolerance(relative=math.inf, cosine=0.5))
    assert cosine.reason == "their cosine is below 0.5"
    agreement = compare(reference(), turned, IMAGES, tolerance=Tolerance(relative=math.inf, top1_agreement=0.9))
    assert agreement.reason == "their first classes agree on fewer than 90 % of the images"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_fail(value):
    def broken(logits):
        logits[-1, 0] = value
        return logits

    assert compare(reference(), Computed(broken), IMAGES).reason == "candidate 1.0 computes NaN or infinite logits"
    both = compare(reference(fault=broken), Computed(broken), IMAGES)
    assert both.reason == "reference 1.0 computes NaN or infinite logits"
    with pytest.raises(VerificationError, match=r"failed: .* computes NaN or infinite logits"):
        both.require_passed()


def test_another_number_of_outputs_fails():
    result = compare(reference(), Computed(lambda logits: logits[:, :4]), IMAGES)
    assert (result.outcome, result.reason) == ("failed", "4 outputs an image in place of 7")


def test_one_output_has_no_first_class():
    result = compare(reference(fault=lambda logits: logits[:, :1]), Computed(lambda logits: logits[:, :1]), IMAGES)
    assert result.passed
    assert result.top1_agreement is None
    assert "top-1" not in str(result)


def test_feature_maps_are_compared_too():
    def maps(logits):
        return logits.reshape(len(logits), 7, 1, 1)

    assert compare(reference(fault=maps), Computed(maps), IMAGES).passed


def test_batches_are_filled_up_and_every_row_is_compared():
    def last_row_wrong(logits):
        if len(logits) == 8:
            logits[-1] += 1  # the row of image 2, seen a second time
        return logits

    candidate, first = Computed(last_row_wrong), reference()
    result = compare(first, candidate, IMAGES, batch_sizes=(1, 2, 8))
    assert candidate.batches == [1] * 5 + [2] * 3 + [8]
    assert first.batches == [1] * 5
    assert result.outcome == "failed"
    assert "batch 1 and 2 and 8" in str(result)


def test_fixed_batches_are_kept_to():
    candidate, first = Computed(batch=4), reference(batch=2)
    assert compare(first, candidate, IMAGES).passed
    assert candidate.batches == [4, 4]
    assert first.batches == [2, 2, 2]


def test_a_batch_that_is_fixed_inside_is_found():
    with pytest.raises(
        VerificationError, match=r"candidate 1.0 returns 1 rows for a batch of 3: the batch size is fixed"
    ):
        compare(reference(), Computed(lambda logits: logits[:1]), IMAGES, batch_sizes=(1, 3))


def test_a_session_that_cannot_run_is_named():
    def fail(logits):
        raise MemoryError("out of memory")

    with pytest.raises(
        VerificationError, match=r"candidate 1.0 cannot run the network on a batch of 1: out of mem"
    ) as caught:
        compare(reference(), Computed(fail), IMAGES)
    assert "smaller batch" in caught.value.hint


def test_two_images_are_needed():
    with pytest.raises(InvalidArgumentError, match="needs two images or more, but got 1"):
        compare(reference(), Computed(), ImageSet(IMAGES.arrays[:1], IMAGES.kinds[:1]))


def test_a_network_that_amplifies_rounding_is_held_to_the_references_own_error():
    asked = []

    def exact(images):
        asked.append(len(images))
        return images.reshape(len(images), -1).astype(np.float64) @ _WEIGHTS

    ill = reference(fault=lambda logits: logits + 0.05)
    near, far = Computed(lambda logits: logits - 0.2), Computed(lambda logits: logits - 0.8)
    assert compare(ill, near, IMAGES).outcome == "failed"
    passed = compare(ill, near, IMAGES, batch_sizes=(1, 3), exact=exact)
    assert passed.passed
    assert asked == [1] * 5
    assert passed.reference_error == pytest.approx(0.05, rel=1e-3)
    assert passed.max_abs_difference == pytest.approx(0.2, rel=1e-3)
    assert "to float64, from which the reference itself is up to 0.05 away" in str(passed)
    assert compare(ill, far, IMAGES, exact=exact).outcome == "failed"


def test_float64_is_not_asked_where_the_logits_agree():
    def exact(images):
        raise AssertionError("not needed")

    assert compare(reference(), Computed(), IMAGES, exact=exact).reference_error is None


def test_a_sound_reference_excuses_nothing():
    def exact(images):
        return images.reshape(len(images), -1).astype(np.float64) @ _WEIGHTS

    assert compare(reference(), Computed(lambda logits: logits + 0.05), IMAGES, exact=exact).outcome == "failed"


def test_what_could_not_be_verified_says_why():
    result = not_verified("onnxruntime 1.32.0", "tensorrt 11.4", "fp16", "there is no GPU here")
    assert not result.passed
    assert str(result) == "not verified: tensorrt 11.4 against onnxruntime 1.32.0 at fp16: there is no GPU here"
    with pytest.raises(VerificationError, match=r"not verified: .* there is no GPU here"):
        result.require_passed()


def test_what_is_found_inside_fails_whatever_the_end_says():
    def exact(images):
        return images.reshape(len(images), -1).astype(np.float64) @ _WEIGHTS

    wrong = LayerComparison(7, 8, 0.5, "gate", 1e-3, ("Mul gate differs by 0.5 of its size",))
    for bias in (0.0, 0.2):  # the same at its end; or as near to float64 as the reference is
        ill = reference(fault=lambda logits, bias=bias: logits + bias)
        found = compare(ill, Computed(), IMAGES, layers=lambda: wrong, exact=exact)
        assert found.outcome == "failed"
        assert found.reason == "Mul gate differs by 0.5 of its size"
        assert "inside, 7 of 8 tensors, each from the same inputs: largest error 0.5" in str(found)
    sound = LayerComparison(8, 8, 1e-6, "gate", 1e-3)
    assert compare(reference(), Computed(), IMAGES, layers=lambda: sound).passed


@pytest.mark.parametrize(
    ("precision", "inside", "computed", "off", "passed"),
    [
        ("fp16", True, "fp32", 0.05, True),
        ("fp16", True, "fp32", 0.15, False),  # more than any rounding
        ("fp16", True, "fp16", 0.05, False),  # the insides were not run in half
        ("fp16", False, "fp32", 0.05, False),
        ("bf16", True, "bf16", 0.08, True),
        ("bf16", True, "bf16", 0.15, False),
        ("bf16", False, "bf16", 0.08, False),
    ],
)
def test_half_that_was_proved_inside_may_be_amplified(precision, inside, computed, off, passed):
    scale = float(np.abs(reference().run(IMAGES.arrays)).max())
    faults = () if inside else ("Conv stem differs by 0.5 of its size",)
    layers = LayerComparison(8, 8, 1e-6, "gate", 2e-3, faults)
    candidate = Computed(lambda logits: logits + off * scale * np.eye(7)[0], precision=computed)
    found = compare(reference(), candidate, IMAGES, precision=precision, layers=lambda: layers)
    assert found.passed == passed
    assert not compare(reference(), candidate, IMAGES, precision=precision).passed


def test_half_that_is_computed_in_float32_is_called_so():
    for computed, said in (("fp32", "float32"), ("fp16", "half")):
        found = compare(reference(), Computed(precision=computed), IMAGES, precision="fp16")
        assert (found.precision, found.arithmetic) == ("fp16", said)
        assert f"at fp16 computed in {said}" in str(found)
    assert compare(reference(), Computed(), IMAGES).arithmetic == ""
