"""The clocks that an NVIDIA GPU runs at, as its driver reports them: what a figure taken on it depends on.

Names and bits of the reasons: NVML's `nvmlClocksEventReasons`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gpunet.core.gpu import output_of, visible_choice

# The drivers before 535 know the last one by its older name alone.
_QUERIES = tuple(f"clocks.sm,clocks.mem,clocks.max.sm,{last}.active" for last in
                 ("clocks_event_reasons", "clocks_throttle_reasons"))  # fmt: skip
_HELD = 0x2
_SLOWED = {
    0x4: "power cap", 0x8: "hardware slowdown", 0x10: "sync boost", 0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown", 0x80: "power brake",
}  # fmt: skip


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
