"""The NVIDIA GPUs that this process may use, asked without starting one.

CUDA_VISIBLE_DEVICES is heeded. torch is asked where it already runs on the GPU, for starting one takes a second and
hundreds of megabytes; else nvidia-smi, so that a machine whose torch is built without CUDA can still build engines;
and where there is none, torch again, if it is loaded. Clocks are nvidia-smi's; the names and bits of what slows them
are NVML's (`nvmlClocksEventReasons`).
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# The drivers before 535 know the last one by its older name alone.
_QUERIES = tuple(f"clocks.sm,clocks.mem,clocks.max.sm,{last}.active" for last in
                 ("clocks_event_reasons", "clocks_throttle_reasons"))  # fmt: skip
_HELD = 0x2
_SLOWED = {
    0x4: "power cap", 0x8: "hardware slowdown", 0x10: "sync boost", 0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown", 0x80: "power brake",
}  # fmt: skip


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


@dataclass(frozen=True)
class GpuClocks:
    """Clocks at one time.

    Args:
        sm_mhz, memory_mhz: now; None where the driver does not say.
        sm_max_mhz: that the processors can run at.
        held: whether a setting holds them (`nvidia-smi --lock-gpu-clocks`, or application clocks); None where the
            driver does not say.
        slowed_by: what else keeps them down, in words, e.g. 'power cap'.
    """

    sm_mhz: int
    memory_mhz: int | None
    sm_max_mhz: int | None
    held: bool | None
    slowed_by: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "slowed_by": list(self.slowed_by)}


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


def gpu_clocks() -> GpuClocks | None:
    """The clocks of the GPU that this process uses, now; None where no driver says them."""
    for query in _QUERIES:
        command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits", *visible_choice()]
        found = clocks_from_csv(output_of(command))
        if found is not None:
            return found
    return None


def clocks_from_csv(text: str) -> GpuClocks | None:
    """The first GPU's clocks in the output of nvidia-smi; None where it names none.

    Args:
        text: a line a GPU, MHz of the processors, of the memory, the processors' most, and the reasons as a number,
            e.g. '1980, 2619, 1980, 0x0000000000000002'.
    """
    parts = [part.strip() for part in text.strip().partition("\n")[0].split(",")]
    if len(parts) != 4 or not parts[0].isdigit():
        return None
    memory_mhz, sm_max_mhz = (int(part) if part.isdigit() else None for part in parts[1:3])
    try:
        reasons = int(parts[3], 16)
    except ValueError:
        return GpuClocks(int(parts[0]), memory_mhz, sm_max_mhz, None)
    slowed_by = tuple(name for bit, name in _SLOWED.items() if reasons & bit)
    return GpuClocks(int(parts[0]), memory_mhz, sm_max_mhz, bool(reasons & _HELD), slowed_by)


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
