"""What an engine is bound to, whether this machine has it, and what an engine must be rebuilt for."""

from __future__ import annotations

import platform
import shlex
from dataclasses import dataclass
from pathlib import Path

from gpunet.core.gpu import Gpu, find_gpu
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.sidecar import Sidecar, read_sidecar
from gpunet.runtime.trt.library import LIBRARIES, library, version_numbers
from gpunet.runtime.trt.options import OLDEST_PORTABLE, BuildOptions
from gpunet.runtime.trt.session import TensorRTSession

_NO_ENGINES = (".onnx", ".xml")


@dataclass(frozen=True)
class Machine:
    """What of a machine decides whether an engine can run on it.

    Args:
        runtime_version: of the library that is to run it.
        gpu: None where there is none.
        os, machine: e.g. 'Linux', 'x86_64'.
    """

    runtime_version: str
    gpu: Gpu | None
    os: str
    machine: str


def this_machine(runtime: str) -> Machine:
    """What of this machine concerns an engine of 'tensorrt' or 'tensorrt_rtx'.

    Raises:
        MissingDependencyError: (an ImportError) the library is not installed.
    """
    version = str(library(runtime).module().__version__)
    return Machine(version, find_gpu(), platform.system(), platform.machine())


def differences(sidecar: Sidecar, machine: Machine) -> list[str]:
    """What of an engine's key this machine does not match, each as a sentence's part; empty where it can run.

    A TensorRT engine is bound to the version, the GPU, the system and the instruction set. Version compatibility frees
    it within a major version, hardware compatibility from the GPU. An engine of TensorRT-RTX is bound to the version
    and to the compute capabilities that it was built for; its kernels are compiled where it runs.
    """
    found = []
    ours, theirs = machine.runtime_version, sidecar.runtime_version
    built, present = version_numbers(theirs), version_numbers(ours)
    same_major = built[:1] == present[:1] and built <= present
    if theirs != ours and not (sidecar.builder_flags.get("version_compatible") and same_major):
        title = LIBRARIES[sidecar.runtime].title
        found.append(f"it was built by {title} {theirs}, here is {ours}")
    if machine.gpu is None:
        return [*found, "it needs a GPU, here is none"]
    if sidecar.runtime == "tensorrt_rtx":
        return found + _capability_difference(sidecar, machine.gpu)
    found += [
        f"it was built on {name} {theirs}, here is {ours}"
        for name, theirs, ours in (
            ("the system", sidecar.os, machine.os),
            ("the processor", sidecar.machine, machine.machine),
        )
        if theirs != ours
    ]
    level = sidecar.builder_flags.get("hardware_compatibility")
    capability = machine.gpu.compute_capability
    if level == "ampere+" and version_numbers(capability) >= (8, 0):
        return found
    if capability not in sidecar.compute_capabilities:
        built_for = ", ".join(sidecar.compute_capabilities)
        found.append(f"it was built for compute capability {built_for}, the {machine.gpu.name} has {capability}")
    elif level is None and machine.gpu.name != sidecar.gpu:
        found.append(f"it was built on a {sidecar.gpu}, here is a {machine.gpu.name}")
    return found


def _capability_difference(sidecar: Sidecar, gpu: Gpu) -> list[str]:
    capability, named = gpu.compute_capability, sidecar.compute_capabilities
    fits = capability in named if named else version_numbers(capability) >= version_numbers(OLDEST_PORTABLE)
    built_for = ", ".join(named) or f"{OLDEST_PORTABLE} and later"
    return [] if fits else [f"it was built for compute capability {built_for}, the {gpu.name} has {capability}"]


def load_engine(path: str | Path) -> TensorRTSession:
    """Load an engine that gpunet exported: `session.run(images)` runs it, `session.measure(images)` times it.

    Args:
        path: the engine; its sidecar, PATH.json, lies beside it.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file or no sidecar, or it is no engine.
        ChecksumError: (a RuntimeError) the file is not the one that its sidecar describes.
        MissingDependencyError: (an ImportError) its library is not installed.
        RuntimeUnavailableError: (a RuntimeError) this machine is not what it was built for: all that differs, and how
            to build it again.
    """
    path = Path(path)
    sidecar = None if path.suffix.lower() in _NO_ENGINES else read_sidecar(path)
    if sidecar is None or sidecar.format not in LIBRARIES:
        raise InvalidArgumentError(
            f"{path} is no engine{'' if sidecar is None else f', but {sidecar.format}'}.",
            "gpunet.load_exported(path) opens ONNX and OpenVINO files too.",
        )
    built_by = library(sidecar.runtime)
    machine = this_machine(built_by.name)
    found = differences(sidecar, machine)
    if found:
        raise RuntimeUnavailableError(f"{path} cannot run here: {'; '.join(found)}.", _rebuild(sidecar, path))
    return TensorRTSession(built_by, path.read_bytes(), sidecar.precision)


def _rebuild(sidecar: Sidecar, path: Path) -> str:
    if sidecar.command:
        return f"Build it again here: {shlex.join(sidecar.command)}"
    flag = "--trt" if sidecar.runtime == "tensorrt" else "--trt-rtx"
    name = sidecar.model or "MODEL"
    return f"Build it again here: gpunet-export {name} {flag} --precision {sidecar.precision} -o {path}"


def stale(
    artefact: Path, *, onnx_sha256: str, options: BuildOptions, batch: tuple[int, int, int], machine: Machine
) -> list[str]:
    """Why an engine must be built (again); empty where the file is what a build would give.

    Args:
        artefact: the engine, which may not exist.
        onnx_sha256: of the ONNX that it is to be built of.
        options: how.
        batch: (least, optimal, most) images a run.
        machine: that builds. On one without a GPU, what it is bound to besides the version is not compared.
    """
    try:
        sidecar = read_sidecar(artefact)
    except (ValueError, RuntimeError) as error:
        return [str(error).partition("\n")[0].rstrip(".")]
    wanted = {
        "the network": (sidecar.onnx_sha256, onnx_sha256),
        "the precision": (sidecar.precision, options.precision),
        "the batch": (tuple(sidecar.batch), batch),
        "the build options": ({key: sidecar.builder_flags.get(key) for key in options.flags()}, options.flags()),
    }
    found = [f"{name} changed" for name, (have, want) in wanted.items() if have != want]
    if sidecar.runtime == "tensorrt_rtx":
        same_version = sidecar.runtime_version == machine.runtime_version
        return found if same_version else [*found, "the version of TensorRT-RTX changed"]
    return found + differences(sidecar, machine)
