"""A second opinion on an exported file: NVIDIA's Polygraphy runs it beside ONNX Runtime, and compares the outputs.

Which of TensorRT and TensorRT-RTX Polygraphy uses is settled when it is imported, for the whole process, so it runs in
a process of its own: `gpunet.exporters.polygraphy_process`. An ONNX file is built into an engine by Polygraphy itself,
an engine is run as it is; docs/decisions/0008-one-engine-builder.md says why gpunet does not build by it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_choice
from gpunet.core.files import require
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.exporters.verify import TOLERANCES
from gpunet.runtime.base import installed
from gpunet.runtime.onnx_ports import image_input
from gpunet.runtime.onnx_precision import read_onnx

if TYPE_CHECKING:
    from onnx import ModelProto

    from gpunet.exporters.images import ImageSet
    from gpunet.runtime.sidecar import Sidecar

RUNTIMES = ("tensorrt", "tensorrt_rtx", "onnxruntime")
_RTX = "POLYGRAPHY_USE_TENSORRT_RTX"


@dataclass(frozen=True)
class OutputOpinion:
    """What Polygraphy found of one output, over all images.

    Args:
        name: of the output.
        passed: whether it holds everywhere.
        max_abs_difference, mean_abs_difference: to ONNX Runtime.
        allowed_difference: what the largest may be.
    """

    name: str
    passed: bool
    max_abs_difference: float
    mean_abs_difference: float
    allowed_difference: float


@dataclass(frozen=True)
class SecondOpinion:
    """What Polygraphy found.

    Args:
        polygraphy: its version.
        reference, candidate: what it compared, e.g. 'onnxruntime 1.32.0', 'tensorrt_rtx 1.7.1'.
        outputs: of the network.
    """

    polygraphy: str
    reference: str
    candidate: str
    outputs: tuple[OutputOpinion, ...]

    @property
    def passed(self) -> bool:
        """Whether every output holds."""
        return all(each.passed for each in self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "outputs": [asdict(each) for each in self.outputs], "passed": self.passed}

    def __str__(self) -> str:
        outputs = "; ".join(
            f"{each.name} {'passed' if each.passed else 'FAILED'}, largest difference {each.max_abs_difference:.2g} "
            f"(allowed {each.allowed_difference:.2g}), mean {each.mean_abs_difference:.2g}"
            for each in self.outputs
        )
        return f"Polygraphy {self.polygraphy}, {self.candidate} against {self.reference}: {outputs}"


def check_second_opinion(runtime: str | None) -> str:
    """The runtime that Polygraphy is to compare with ONNX Runtime here; cheap, so that it can come first.

    Args:
        runtime: one of RUNTIMES; None for TensorRT, else TensorRT-RTX: the first that is installed.

    Raises:
        InvalidArgumentError: (a ValueError) Polygraphy does not know that runtime.
        MissingDependencyError: (an ImportError) Polygraphy is not installed.
        RuntimeUnavailableError: (a RuntimeError) the runtime cannot run here.
    """
    if runtime is None:
        runtime = next((name for name in RUNTIMES[:2] if installed(name)), RUNTIMES[0])
    chosen = checked_choice("--runtime", runtimes.canonical(runtime), RUNTIMES)
    require("polygraphy", "rtx" if chosen == "tensorrt_rtx" else "tensorrt", purpose="for a second opinion")
    reason = runtimes.get(chosen).unavailable()
    if reason is not None:
        raise RuntimeUnavailableError(
            f"Polygraphy cannot run {chosen} here: {reason}",
            "Ask it on a machine with the GPU; the other proofs are made here without --polygraphy.",
        )
    return chosen


def second_opinion(
    path: Path, reference: Path, images: ImageSet, *, runtime: str, precision: str, batch_sizes: tuple[int, ...]
) -> SecondOpinion:
    """Let Polygraphy compare a file with an ONNX file that ONNX Runtime runs.

    Args:
        path: an engine, which is run as it is; or an ONNX file, which Polygraphy builds into one.
        reference: the ONNX file.
        images: to compare on.
        runtime: that runs `path`; see `check_second_opinion`.
        precision: of `path`; its tolerance is what the largest difference may be, of the largest output.
        batch_sizes: to try; the images are repeated to fill the last batch.

    Raises:
        RuntimeUnavailableError: (a RuntimeError) Polygraphy could not run them, with what it said.
    """
    graph = read_onnx(reference)
    if len(graph.graph.input) != 1:
        raise InvalidArgumentError(f"{reference} has {len(graph.graph.input)} inputs, but a classifier has one.")
    with tempfile.TemporaryDirectory() as folder:
        arrays, asked, answer = (Path(folder, name) for name in ("images.npy", "request.json", "answer.json"))
        np.save(arrays, images.arrays)
        request = {
            "path": str(path.absolute()), "reference": str(reference.absolute()), "images": str(arrays),
            "input": graph.graph.input[0].name, "runtime": runtime, "relative": TOLERANCES[precision].relative,
            "engine": path.suffix.lower() != ".onnx", "batch_sizes": list(batch_sizes), "answer": str(answer),
        }  # fmt: skip
        asked.write_text(json.dumps(request), encoding="utf-8")
        # Its own choice of library, and nothing installed while it runs.
        env = {**os.environ, _RTX: str(int(runtime == "tensorrt_rtx")), "POLYGRAPHY_AUTOINSTALL_DEPS": "0"}
        command = [sys.executable, "-m", "gpunet.exporters.polygraphy_process", str(asked)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode or not answer.is_file():
            said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            errors = [line[3:].strip() for line in said if line.startswith(("[E]", "[!]"))] or said[-1:]
            raise RuntimeUnavailableError(
                f"Polygraphy could not compare {path} with {reference}: {'; '.join(errors) or 'it does not say why'}",
                f"Its own command line says more: {_run_line(path.name, reference.name, runtime, [])}",
            )
        found = json.loads(answer.read_text(encoding="utf-8"))
    return SecondOpinion(
        found["polygraphy"], f"onnxruntime {runtimes.get('onnxruntime').version()}",
        f"{runtime} {runtimes.get(runtime).version()}", tuple(OutputOpinion(**each) for each in found["outputs"]),
    )  # fmt: skip


def polygraphy_line(name: str, model: ModelProto, sidecar: Sidecar) -> str:
    """The command line by which Polygraphy compares a file with ONNX Runtime; '' where it reads no such file.

    An engine is compared with the ONNX file of the same name beside it, which the same export without --trt writes.

    Args:
        name: of the file.
        model: the graph that it was made of.
        sidecar: of the file, for its precision, batch and comparison.
    """
    if not (sidecar.format == "onnx" or runtimes.format_named(sidecar.format)[1].is_engine):
        return ""
    source = image_input(model)
    image = [size.dim_value for size in source.type.tensor_type.shape.dim[1:]]

    def shape(batch: int) -> str:
        return f"{source.name}:[{','.join(map(str, (batch, *image)))}]"

    least, best, most = sidecar.batch
    words = ["--input-shapes", shape(best)]
    if sidecar.format == "onnx" and least != most:
        words += ["--trt-min-shapes", shape(least), "--trt-opt-shapes", shape(best), "--trt-max-shapes", shape(most)]
    compared = sidecar.verification or {}
    scale = compared.get("scale") or (compared.get("graph") or {}).get("scale") or 1.0
    words += ["--atol", f"{TOLERANCES[sidecar.precision].relative * scale:.2g}", "--rtol", "0"]
    onnx_name = str(Path(name).with_suffix(".onnx"))
    return _run_line(name, onnx_name, sidecar.runtime, [*words, "--check-error-stat", "max"])


def _run_line(name: str, onnx_name: str, runtime: str, words: list[str]) -> str:
    rtx = f"{_RTX}=1 " if runtime == "tensorrt_rtx" else ""
    if Path(name).suffix.lower() == ".onnx":
        return rtx + shlex.join(["polygraphy", "run", name, "--onnxrt", "--trt", "--strongly-typed", *words])
    # It reads one model a run: the outputs of the first go into a file that the second compares with.
    kept = f"{Path(name).stem}-outputs.json"
    first = ["polygraphy", "run", onnx_name, "--onnxrt", *words[:2], "--save-outputs", kept]
    second = ["polygraphy", "run", name, "--model-type", "engine", "--trt", *words, "--load-outputs", kept]
    return f"{shlex.join(first)} && {rtx}{shlex.join(second)}"
