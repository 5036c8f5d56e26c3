"""The NVIDIA GPUs that this process may use, asked without starting one.

CUDA_VISIBLE_DEVICES is heeded. torch is asked where it already runs on the GPU, for starting one takes a second and
hundreds of megabytes; else nvidia-smi, so that a machine whose torch is built without CUDA can still build engines;
and where there is none, torch again, if it is loaded.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Args:
        name: e.g. 'NVIDIA H200'.
        compute_capability: e.g. '9.0'.
        memory_bytes: all of it.
    """

    name: str
    compute_capability: str
    memory_bytes: int


@functools.cache
def find_gpu() -> Gpu | None:
    """The first GPU that this process sees; None where there is none. Asked once."""
    return _find_gpu()


def gpu_name() -> str | None:
    """Its name as it stands now, e.g. 'NVIDIA H200', with that of the slice where it is one; None where there is none.

    Asked each time: a process may come to use another.
    """
    gpu, wanted = _find_gpu(), _first_visible()
    if gpu is None:
        return None
    return f"{gpu.name} ({wanted})" if wanted is not None and wanted.startswith("MIG-") else gpu.name


def visible_gpus() -> list[str]:
    """Names that CUDA_VISIBLE_DEVICES takes of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() and name.strip() != "-1"]
    return [line for line in output_of(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]).split()
            if line.isdigit()]  # fmt: skip


def gpu_from_csv(text: str) -> Gpu | None:
    """The first GPU in the output of nvidia-smi; None where it names none.

    Args:
        text: a line a GPU, 'name, compute capability, MiB', e.g. 'NVIDIA H200, 9.0, 143771'.
    """
    parts = [part.strip() for part in text.strip().partition("\n")[0].split(",")]
    if len(parts) != 3 or not parts[2].isdigit():
        return None
    return Gpu(parts[0], parts[1], int(parts[2]) << 20)


def output_of(command: Sequence[str]) -> str:
    """What a command prints; '' where it fails, is missing or takes longer than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _find_gpu() -> Gpu | None:
    torch: Any = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)  # a torch that is being imported has none yet
    if cuda is not None and cuda.is_initialized():
        return _of_torch(cuda)
    wanted = _first_visible()
    if wanted in ("", "-1"):
        return None
    command = ["nvidia-smi", "--query-gpu=name,compute_cap,memory.total", "--format=csv,noheader,nounits"]
    found = gpu_from_csv(output_of([*command, *visible_choice()]))
    return _of_torch(cuda) if found is None and cuda is not None and cuda.is_available() else found


def visible_choice() -> list[str]:
    """The option by which nvidia-smi tells of the first GPU that this process sees; of a slice it knows its GPU's."""
    wanted = _first_visible()
    return [] if wanted is None or wanted.startswith("MIG-") else [f"--id={wanted}"]


def _of_torch(cuda: Any) -> Gpu:
    device = cuda.get_device_properties(cuda.current_device())
    return Gpu(str(device.name), f"{device.major}.{device.minor}", int(device.total_memory))


def _first_visible() -> str | None:
    """The first name in CUDA_VISIBLE_DEVICES; None where it is not set."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if visible is None else visible.split(",")[0].strip()
