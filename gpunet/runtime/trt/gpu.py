"""The GPU that this process would use, as an engine depends on it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass


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
    """The first GPU that this process sees; None where there is none.

    Asks torch where it is loaded and can use a GPU, else nvidia-smi, so that a machine whose torch is built without
    CUDA can still build engines. CUDA_VISIBLE_DEVICES is heeded.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        device = torch.cuda.get_device_properties(torch.cuda.current_device())
        return Gpu(str(device.name), f"{device.major}.{device.minor}", int(device.total_memory))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    wanted = None if visible is None else visible.split(",")[0].strip()
    if wanted in ("", "-1") or shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name,compute_cap,memory.total", "--format=csv,noheader,nounits"]
    if wanted is not None and not wanted.startswith("MIG-"):
        command.append(f"--id={wanted}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return gpu_from_csv(done.stdout)


def gpu_from_csv(text: str) -> Gpu | None:
    """The first GPU in the output of nvidia-smi; None where it names none.

    Args:
        text: a line a GPU, 'name, compute capability, MiB', e.g. 'NVIDIA H200, 9.0, 143771'.
    """
    parts = [part.strip() for part in text.strip().partition("\n")[0].split(",")]
    if len(parts) != 3 or not parts[2].isdigit():
        return None
    return Gpu(parts[0], parts[1], int(parts[2]) << 20)
