"""Prove an exported file again where it lies: whole, of the shape that it says, and computing what it should.

Each proof is made, fails, or cannot be made, which is said with the reason. A failed one ends those that follow: a file
that is not what was exported is not run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet import runtime as runtimes
from gpunet.core.files import not_a
from gpunet.errors import (
    ChecksumError,
    ExportError,
    InvalidArgumentError,
    MissingDependencyError,
    RuntimeUnavailableError,
    VerificationError,
)
from gpunet.exporters.images import Images
from gpunet.exporters.metadata import FileFacts, facts_of_file
from gpunet.exporters.second_opinion import SecondOpinion, check_second_opinion, second_opinion
from gpunet.exporters.verify import FAILED, NOT_VERIFIED, VERIFIED, Verification
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.onnx_precision import read_onnx
from gpunet.runtime.sidecar import read_sidecar, sidecar_path
from gpunet.zoo.catalog import Zoo
from gpunet.zoo.compared_numbers import compare_numbers, images_for
from gpunet.zoo.file_session import session_from_file
from gpunet.zoo.reference import onnx_beside

if TYPE_CHECKING:
    from gpunet.runtime import Session

HASH, INTERFACE, NUMBERS, POLYGRAPHY = "hash", "inputs and outputs", "numbers", "polygraphy"
_HALF_PORTS = "half at input and output is not what the comparison feeds"


@dataclass(frozen=True)
class Proof:
    """One thing that was to be proved.

    Args:
        name: HASH, INTERFACE, NUMBERS or POLYGRAPHY.
        outcome: 'verified', 'failed' or 'not verified'.
        said: what was found, or why it could not be.
    """

    name: str
    outcome: str
    said: str


@dataclass(frozen=True)
class FileProof:
    """What was proved of a file.

    Args:
        path: the file.
        proofs: in the order in which they were made.
        verification: the figures of the comparison; None where none was made.
        opinion: Polygraphy's; None where it was not asked.
    """

    path: Path
    proofs: tuple[Proof, ...]
    verification: Verification | None = None
    opinion: SecondOpinion | None = None

    @property
    def outcome(self) -> str:
        """'failed' where one proof failed, 'verified' where all were made, else 'not verified'."""
        outcomes = {each.outcome for each in self.proofs}
        return FAILED if FAILED in outcomes else NOT_VERIFIED if NOT_VERIFIED in outcomes else VERIFIED

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": str(self.path),
            "outcome": self.outcome,
            "proofs": [{"name": each.name, "outcome": each.outcome, "said": each.said} for each in self.proofs],
            "verification": None if self.verification is None else self.verification.to_dict(),
            "polygraphy": None if self.opinion is None else self.opinion.to_dict(),
            **self._error(),
        }

    def _error(self) -> dict[str, Any]:
        """Of a failed proof, what every error says as JSON."""
        try:
            self.require_passed()
        except VerificationError as error:
            return error.to_dict()
        return {}

    def require_passed(self) -> None:
        """Raise VerificationError, with what failed, where a proof failed."""
        failed = [each for each in self.proofs if each.outcome == FAILED]
        if failed:
            raise VerificationError(
                f"{self.path} failed its proof: {'; '.join(f'{each.name}: {each.said}' for each in failed)}.",
                "Do not use it. Export it again: gpunet-export MODEL -o FILE.",
            )


def prove_file(
    path: str | Path,
    *,
    against: str | Path | None = None,
    weights: str | Path | None = None,
    images: Images | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    polygraphy: bool = False,
    zoo: Zoo = None,
) -> FileProof:
    """Prove an exported file: its hash, its inputs and outputs, its numbers.

    The numbers are compared with the ONNX file `against`; else with PyTorch, by `weights` or those that the cache has,
    if the file was made of them; else with the ONNX file of the same name beside it, if it was made of that.

    Args:
        path: .onnx, OpenVINO's .xml, or an engine.
        against: the ONNX file that it was made of, or one of the same network at another precision.
        weights: a file of the network's weights: safetensors, or NVIDIA's `.pth.tar` or zip.
        images: pictures to compare on; see `gpunet.export`.
        runtime: that runs an ONNX file; None for ONNX Runtime. With polygraphy, what is compared with ONNX Runtime.
        threads: that compute; None for all available.
        polygraphy: ask Polygraphy too, over ONNX Runtime and TensorRT.
        zoo: folders of one's own entries, for the network.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file, it is of no format, or an argument is wrong.
        MissingDependencyError: (an ImportError) Polygraphy is asked for, but not installed.
        RuntimeUnavailableError: (a RuntimeError) Polygraphy cannot run here; it needs a GPU.
        WeightsError: (a RuntimeError) the weights given cannot be had.
    """
    path = Path(path).expanduser()
    against = None if against is None else Path(against).expanduser()
    _check(path, against, None if polygraphy else runtime)
    second = check_second_opinion(_for_polygraphy(path, runtime)) if polygraphy else None
    proof = _hash(path)
    if proof.outcome == FAILED:
        return FileProof(path, (proof, *_unmade(proof, polygraphy)))
    facts = facts_of_file(path)
    session, interface = _interface(path, facts, None if second else runtime, threads)
    proofs = [proof, interface]
    if interface.outcome == FAILED:
        return FileProof(path, (*proofs, *_unmade(interface, polygraphy)[1:]))
    precision = runtimes.format_of(path)[0][1].precision_of(path)
    verification, opinion = None, None
    if session is None:
        proofs.append(Proof(NUMBERS, NOT_VERIFIED, interface.said))
    else:
        compared = compare_numbers(
            path, facts, session, precision, _sizes(session, facts), _outputs(session, facts), against=against,
            weights=weights, images=images, zoo=zoo,
        )  # fmt: skip
        verification = compared.verification
        proofs.append(Proof(NUMBERS, compared.outcome, compared.said))
    if second:
        reference = path if path.suffix.lower() == ".onnx" and against is None else against or onnx_beside(path, facts)
        if reference is None:
            raise InvalidArgumentError(
                f"Polygraphy compares {path} with the ONNX file that it was made of.", "Name it: --against FILE."
            )
        batch = facts.batch or BatchProfile.parse(1)
        compared_on = images_for(facts, _graph_shape(reference), images, precision)
        opinion = second_opinion(
            path, reference, compared_on, runtime=second, precision=precision, batch_sizes=batch.ends
        )
        proofs.append(Proof(POLYGRAPHY, VERIFIED if opinion.passed else FAILED, str(opinion)))
    return FileProof(path, tuple(proofs), verification, opinion)


def _check(path: Path, against: Path | None, runtime: str | None) -> None:
    """What can be wrong with the request, before anything is proved."""
    for each, hint in ((path, "Write one: gpunet-export MODEL -o FILE."), (against, "--against names an ONNX file.")):
        if each is not None and not each.is_file():
            raise not_a("file", each, InvalidArgumentError, hint)
    known = runtimes.format_of(path)
    if not known:
        raise InvalidArgumentError(f"a file to verify ends in {', '.join(runtimes.suffixes())}, but got {path}.")
    if against is not None and against.suffix.lower() != ".onnx":
        raise InvalidArgumentError(f"--against names an ONNX file, but got {against}.")
    if runtime is None:
        return
    if known[0][1].any_runtime:
        runtimes.available(runtime)
    elif runtimes.get(runtime).name not in (own := [name for name, _ in known]):
        raise InvalidArgumentError(
            f"{path} runs on {' or '.join(own)}, but the runtime is {runtime!r}.", "Leave --runtime out."
        )


def _for_polygraphy(path: Path, runtime: str | None) -> str | None:
    """An engine is run by the library that built it; OpenVINO's IR not at all."""
    known = runtimes.format_of(path)[0][1]
    if known.is_engine:
        return read_sidecar(path, check=False).runtime
    if not known.any_runtime:
        raise InvalidArgumentError(
            f"Polygraphy reads ONNX files and engines, but {path} is {known.title}.", "Leave --polygraphy out."
        )
    return runtime


def _unmade(failed: Proof, polygraphy: bool) -> list[Proof]:
    names = (INTERFACE, NUMBERS, POLYGRAPHY) if polygraphy else (INTERFACE, NUMBERS)
    return [Proof(name, NOT_VERIFIED, f"the proof of its {failed.name} failed") for name in names]


# ------------------------------------------------------------------ the proofs


def _hash(path: Path) -> Proof:
    beside = sidecar_path(path)
    if not beside.is_file():
        return Proof(HASH, NOT_VERIFIED, f"there is no {beside.name} beside it, which would say its SHA-256")
    try:
        sidecar = read_sidecar(path)
    except ChecksumError as error:
        return Proof(HASH, FAILED, error.message.rstrip("."))
    files = sidecar.hashes(path)
    made = f"written by gpunet {sidecar.gpunet_version} at {sidecar.created}" if sidecar.created else "as written"
    return Proof(
        HASH, VERIFIED, f"SHA-256 of {' and '.join(each.name for each in files)} as {beside.name} has it, {made}"
    )


def _interface(path: Path, facts: FileFacts, runtime: str | None, threads: int | None) -> tuple[Session | None, Proof]:
    """The file opened, and whether it takes and gives what it says."""
    known = runtimes.format_of(path)[0][1]
    try:
        if known.any_runtime:
            half = _check_onnx(path)
            if half:
                return None, Proof(INTERFACE, NOT_VERIFIED, _HALF_PORTS)
        session = session_from_file(
            path, runtime=(runtime or "onnxruntime") if known.any_runtime else runtime, threads=threads
        )
    except (RuntimeUnavailableError, MissingDependencyError) as error:
        return None, Proof(INTERFACE, NOT_VERIFIED, error.message.rstrip("."))
    except (InvalidArgumentError, ExportError) as error:
        return None, Proof(INTERFACE, FAILED, error.message.rstrip("."))
    wrong = _differences(path, facts, session)
    if wrong:
        return None, Proof(INTERFACE, FAILED, "; ".join(wrong))
    shape = " x ".join("N" if size is None else str(size) for size in session.input_shape)
    batch = "" if facts.batch is None else f", batch {facts.batch}"
    found = known.precision_of(path)
    return session, Proof(
        INTERFACE, VERIFIED, f"{found}, images of {shape} to {_outputs(session, facts)} classes{batch}"
    )


def _check_onnx(path: Path) -> bool:
    """Whether an ONNX file, which ONNX's checker finds valid, has half at input or output."""
    from gpunet.exporters.onnx import check_graph

    model = read_onnx(path)
    check_graph(model)
    ports = [*model.graph.input, *model.graph.output]
    return any(each.type.tensor_type.elem_type == 10 for each in ports)  # onnx.TensorProto.FLOAT16


def _differences(path: Path, facts: FileFacts, session: Session) -> list[str]:
    """What of a file is not as it says, each as a sentence's part."""
    found, wrong = runtimes.format_of(path)[0][1].precision_of(path), []
    if facts.sidecar is not None and facts.sidecar.precision != found:
        wrong.append(f"it is in {found}, not in {facts.sidecar.precision}")
    sizes = tuple((facts.preprocessing or {}).get("input_size", ()))
    if sizes and session.input_shape[1:] != sizes:
        wrong.append(f"it takes images of {session.input_shape[1:]}, not of {sizes}")
    if facts.batch is not None and session.input_shape[0] not in (None, facts.batch.min, facts.batch.max):
        wrong.append(f"it takes batches of {session.input_shape[0]}, not of {facts.batch}")
    outputs = _outputs(session, facts)
    if facts.classes and len(facts.classes) != outputs:
        wrong.append(f"it has {outputs} outputs for {len(facts.classes)} classes")
    return wrong


def _outputs(session: Session, facts: FileFacts) -> int:
    """How many numbers the file gives for an image."""
    batch = session.input_shape[0] or (facts.batch.min if facts.batch else 1)
    shape = (batch, *_sizes(session, facts))
    return int(session.run(np.zeros(shape, np.float32)).reshape(batch, -1).shape[1])


def _sizes(session: Session, facts: FileFacts) -> tuple[int, int, int]:
    sizes = [own or said for own, said in zip(
        session.input_shape[1:], (facts.preprocessing or {}).get("input_size", (3, 224, 224)), strict=True
    )]  # fmt: skip
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def _graph_shape(path: Path) -> tuple[int, int, int]:
    sizes = [size.dim_value for size in read_onnx(path).graph.input[0].type.tensor_type.shape.dim]
    if len(sizes) != 4 or not all(sizes[1:]):
        raise InvalidArgumentError(f"{path} does not say the size of its images.", "Export it by gpunet-export.")
    return sizes[1], sizes[2], sizes[3]
