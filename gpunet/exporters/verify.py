"""Whether two sessions compute the same: one network by two runtimes, or at two precisions, on the same images.

    r, c        logits of the reference and of the candidate, images x classes
    scale       the largest |r|
    signal      root mean square of r minus its mean over the images: how far the image moves the logits
    difference  the largest |r - c|; it may reach min(relative * scale, max(of_signal * signal, rounding * scale))

The signal matters because an untrained network's logits hardly depend on the image: measured against their size alone,
a broken convolution would pass. On GPUNets and other families, untrained, the signal was 7e-4 to 0.14 of the scale.
Rounding in float32 cost 4e-6 to 7e-4 of the signal, 2e-7 to 3e-6 of the scale; `rounding` leaves room for that. Where
half and integers cost as much as the image moves the logits, the end tells little: `gpunet.exporters.layers` looks
inside.

Some networks amplify rounding so much that two sound runtimes disagree: an untrained FBNetV3 is up to 6 % off in
PyTorch itself. Where the difference is not allowed and the reference can be had in float64, the candidate passes if it
is as near to that as the reference is, within a factor of 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet.errors import InvalidArgumentError, VerificationError
from gpunet.exporters.images import ImageSet
from gpunet.runtime import Session

if TYPE_CHECKING:
    from gpunet.exporters.layers import LayerComparison

VERIFIED, FAILED, NOT_VERIFIED = "verified", "failed", "not verified"
_OF_OWN_ERROR = 8.0
_ARITHMETIC = {"fp32": "float32", "fp16": "half", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Tolerance:
    """How far a candidate may be from its reference.

    Args:
        relative: difference over scale.
        of_signal: difference over signal; infinite for not held.
        rounding: difference over scale that is allowed whatever the signal.
        cosine: least cosine between the logits of one image.
        top1_agreement: least share of images with the same first class.
    """

    relative: float
    of_signal: float = math.inf
    rounding: float = 4e-6
    cosine: float = -1.0
    top1_agreement: float = 0.0


# By the candidate's precision; docs/decisions/0031 has what sound exports show, to which these leave a factor of two or
# three. Top-1 agreement is reported, but held at no precision: where two classes are nearly equal, which of them is
# first is chance.
TOLERANCES = {
    "fp32": Tolerance(relative=1e-4, of_signal=2e-3, cosine=0.9999),
    "fp16": Tolerance(relative=5e-3, of_signal=0.05, rounding=2e-3, cosine=0.999),
    "bf16": Tolerance(relative=4e-2, of_signal=0.4, rounding=1.6e-2, cosine=0.99),
    "int8": Tolerance(relative=0.5, of_signal=6.0, rounding=0.1, cosine=0.9),
}
# Of a graph that was proved inside, by its precision and the arithmetic that it is run in here: what is left at its end
# is rounding, which some networks (of random weights, without residuals) make a hundred times larger: 0.056 of the
# scale at fp16; 0.06, and a cosine of 0.987, at bf16.
AMPLIFIED = {
    ("fp16", "float32"): Tolerance(relative=0.12, cosine=0.99),
    ("bf16", "bfloat16"): Tolerance(relative=0.12, cosine=0.97),
}


@dataclass(frozen=True)
class Verification:
    """The outcome of a comparison, with the figures it rests on; None where there are none.

    Args:
        outcome: 'verified', 'failed' or 'not verified'.
        reference, candidate: what was compared, e.g. 'pytorch 2.15.0', 'onnxruntime 1.32.0'.
        precision: of the candidate.
        images: what it was compared on, e.g. '2 photographs and 2 random images'.
        batch_sizes: at which the candidate ran.
        max_abs_difference, mean_abs_difference: of the logits.
        allowed_difference: what the largest may be.
        reference_error: the reference's own rounding error, where it was measured against float64; the differences are
            to float64 then.
        scale, signal: of the reference's logits; see the module.
        cosine: the least of the images.
        top1_agreement: share of the images, 0 to 1; None where there is one output only.
        arithmetic: 'float32', 'half' or 'bfloat16': what a candidate in fp16 or bf16 was computed in here; '' for other
            precisions.
        layers: what was found inside; None where only the ends were compared.
        reason: why it failed, or was not verified.
    """

    outcome: str
    reference: str
    candidate: str
    precision: str
    images: str = ""
    batch_sizes: tuple[int, ...] = ()
    max_abs_difference: float | None = None
    mean_abs_difference: float | None = None
    allowed_difference: float | None = None
    scale: float | None = None
    signal: float | None = None
    cosine: float | None = None
    top1_agreement: float | None = None
    reference_error: float | None = None
    arithmetic: str = ""
    layers: LayerComparison | None = None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the outcome is 'verified'."""
        return self.outcome == VERIFIED

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        layers = None if self.layers is None else self.layers.to_dict()
        return {**asdict(self), "batch_sizes": list(self.batch_sizes), "layers": layers}

    def require_passed(self) -> None:
        """Raise VerificationError, with the figures, unless the outcome is 'verified'."""
        if not self.passed:
            raise VerificationError(str(self), "Nothing has been written. Report it with the name of the model.")

    def __str__(self) -> str:
        pair = f"{self.candidate} against {self.reference} at {self.precision}"
        pair += f" computed in {self.arithmetic}" if self.arithmetic else ""
        text = f"{self.outcome}: {pair}" + (f": {self.reason}" if self.reason else "")
        if self.max_abs_difference is None:
            return text
        agreement = "" if self.top1_agreement is None else f", top-1 agreement {100 * self.top1_agreement:.0f} %"
        if self.reference_error is not None:
            agreement += f"; to float64, from which the reference itself is up to {self.reference_error:.2g} away"
        return (
            f"{text}; on {self.images}, batch {' and '.join(map(str, self.batch_sizes))}: largest difference "
            f"{self.max_abs_difference:.2g} (allowed {self.allowed_difference:.2g}, logits up to {self.scale:.3g}), "
            f"mean {self.mean_abs_difference:.2g}, cosine {self.cosine:.6f}{agreement}"
            f"{'' if self.layers is None else f'; {self.layers}'}"
        )


def not_verified(reference: str, candidate: str, precision: str, reason: str) -> Verification:
    """The outcome of a comparison that could not be made, e.g. for want of a GPU."""
    return Verification(NOT_VERIFIED, reference, candidate, precision, reason=reason)


def compare(
    reference: Session,
    candidate: Session,
    images: ImageSet,
    *,
    batch_sizes: Sequence[int] | None = None,
    precision: str | None = None,
    tolerance: Tolerance | None = None,
    wanted: np.ndarray | None = None,
    layers: Callable[[], LayerComparison] | None = None,
    exact: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Verification:
    """Run both sessions on the images and compare their logits.

    Args:
        reference: is run at its own batch size, or on one image at a time.
        candidate: is run at each of `batch_sizes`, the images repeated to fill the last batch.
        images: two at least; of the shape that both sessions take.
        batch_sizes: None for the candidate's own, 1 where it takes any.
        precision: that the candidate holds, where it was loaded to be computed in another; None for the session's.
        tolerance: None for that of the candidate's precision.
        wanted: what `logits_of` gave of the reference on these images; None to run it.
        layers: what compares the insides: see `gpunet.exporters.verify_graph.insides`.
        exact: the reference's logits in float64 for a batch of images; called only where the difference is not allowed.

    Raises:
        InvalidArgumentError: (a ValueError) fewer than two images, or a precision without a tolerance.
        VerificationError: (a RuntimeError) a session cannot be run on the images.
    """
    precision = precision or candidate.precision
    if tolerance is None and precision not in TOLERANCES:
        raise InvalidArgumentError(
            f"precision must be one of {', '.join(TOLERANCES)}, but the candidate's is {precision!r}.",
            "Pass a tolerance.",
        )
    given, tolerance = tolerance, tolerance or TOLERANCES[precision]
    sizes = tuple(batch_sizes or (candidate.input_shape[0] or 1,))
    wanted = logits_of(reference, images) if wanted is None else wanted
    found = [_logits(candidate, images, size) for size in sizes]
    wanted = np.concatenate([wanted[np.arange(len(rows)) % len(images)] for rows in found])
    compared = Verification(
        VERIFIED, _name(reference), _name(candidate), precision, str(images), tuple(sizes),
        arithmetic=_ARITHMETIC.get(candidate.precision, "") if precision in ("fp16", "bf16") else "",
    )  # fmt: skip
    result = _judge(compared, wanted, np.concatenate(found), tolerance)
    if result.max_abs_difference is None:
        return result
    if not result.passed and exact is not None:
        true = np.concatenate([np.asarray(exact(images.arrays[i : i + 1])).reshape(1, -1) for i in range(len(images))])
        true = np.concatenate([true[np.arange(len(rows)) % len(images)] for rows in found])
        result = _judge(compared, true, np.concatenate(found), tolerance, float(np.abs(true - wanted).max()))
    if layers is None:
        return result
    inside = layers()
    amplified = AMPLIFIED.get((precision, compared.arithmetic)) if given is None else None
    if not result.passed and inside.passed and amplified is not None:
        result = _judge(compared, wanted, np.concatenate(found), amplified)
    return _with_layers(result, inside)


def logits_of(reference: Session, images: ImageSet) -> np.ndarray:
    """What a reference computes, `images x classes` in float64; of one that stays the same, for several comparisons.

    Raises:
        InvalidArgumentError: (a ValueError) fewer than two images.
        VerificationError: (a RuntimeError) the session cannot be run on them.
    """
    if len(images) < 2:
        raise InvalidArgumentError(f"a comparison needs two images or more, but got {len(images)}.")
    return _logits(reference, images, reference.input_shape[0] or 1)[: len(images)]


def _with_layers(result: Verification, layers: LayerComparison) -> Verification:
    reasons = [*([result.reason] if result.reason else []), *layers.faults, *layers.coarse]
    return replace(
        result, outcome=result.outcome if layers.passed else FAILED, layers=layers, reason="; ".join(reasons)
    )


def _name(session: Session) -> str:
    return f"{session.runtime} {session.runtime_version}"


def _logits(session: Session, images: ImageSet, batch_size: int) -> np.ndarray:
    """Logits in float64, one row an image; the images start again where they do not fill the last batch."""
    rows = -(-len(images) // batch_size) * batch_size
    order = np.arange(rows) % len(images)
    results = []
    for start in range(0, rows, batch_size):
        batch = images.arrays[order[start : start + batch_size]]
        try:
            logits = session.run(batch)
        except Exception as error:  # runtimes raise classes of many kinds; the cause is kept
            raise VerificationError(
                f"{_name(session)} cannot run the network on a batch of {batch_size}: {error}",
                "Export it with a smaller batch where memory is short.",
            ) from error
        if len(logits) != batch_size:
            raise VerificationError(
                f"{_name(session)} returns {len(logits)} rows for a batch of {batch_size}: "
                "the batch size is fixed inside the network."
            )
        results.append(np.asarray(logits, dtype=np.float64).reshape(batch_size, -1))
    return np.concatenate(results)


def _judge(
    compared: Verification,
    wanted: np.ndarray,
    found: np.ndarray,
    tolerance: Tolerance,
    reference_error: float | None = None,
) -> Verification:
    """The figures and the outcome for logits `rows x classes`."""
    if wanted.shape != found.shape:
        reason = f"{found.shape[1]} outputs an image in place of {wanted.shape[1]}"
        return replace(compared, outcome=FAILED, reason=reason)
    for name, logits in ((compared.reference, wanted), (compared.candidate, found)):
        if not np.isfinite(logits).all():
            return replace(compared, outcome=FAILED, reason=f"{name} computes NaN or infinite logits")
    differences = np.abs(wanted - found)
    scale = float(np.abs(wanted).max())
    signal = float(np.sqrt(np.mean((wanted - wanted.mean(axis=0)) ** 2)))
    allowed = tolerance.relative * scale
    if math.isfinite(tolerance.of_signal):
        allowed = min(allowed, max(tolerance.of_signal * signal, tolerance.rounding * scale))
    allowed = max(allowed, _OF_OWN_ERROR * (reference_error or 0.0))
    norms = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    products = (wanted * found).sum(axis=1)
    cosine = float(np.divide(products, norms, out=np.ones_like(norms), where=norms > 0).min())
    agreement = None if wanted.shape[1] < 2 else float(np.mean(wanted.argmax(axis=1) == found.argmax(axis=1)))
    reasons = []
    if differences.max() > allowed:
        reasons.append("the logits differ by more than is allowed")
    if cosine < tolerance.cosine and reference_error is None:
        reasons.append(f"their cosine is below {tolerance.cosine:g}")
    if agreement is not None and agreement < tolerance.top1_agreement:
        reasons.append(f"their first classes agree on fewer than {100 * tolerance.top1_agreement:g} % of the images")
    return replace(
        compared,
        outcome=FAILED if reasons else VERIFIED,
        max_abs_difference=float(differences.max()),
        mean_abs_difference=float(differences.mean()),
        allowed_difference=allowed,
        scale=scale,
        signal=signal,
        cosine=cosine,
        top1_agreement=agreement,
        reference_error=reference_error,
        reason=", ".join(reasons),
    )
