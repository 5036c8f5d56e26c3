"""The conditions of what `gpunet bench` measured, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gpunet.runtime.measurement import MOVED_PERCENT

if TYPE_CHECKING:
    from gpunet.runtime.measurement import Measurement

_SWITCHES = ("cuda_graph", "spin_wait", "transfers")


def conditions(measured: Mapping[str, Measurement]) -> str:
    """What all were measured by, and what was not as it should be."""
    one = next(iter(measured.values()))
    said = one.conditions
    threads = "" if said["threads"] is None else f", {said['threads']} thread(s)"
    all_said = [each.conditions for each in measured.values()]
    used = " and ".join(dict.fromkeys(f"{each['runtime']} {each['runtime_version']}" for each in all_said))
    precisions = " and ".join(dict.fromkeys(str(each["precision"]) for each in all_said))
    text = (
        f"Measured here: {said['processor']}{threads}, {used}, {precisions}, batch {said['batch_size']}, "
        f"{one.repeats} repeats"
    )
    moved = max(each.moved_percent for each in measured.values())
    if len(measured) > 1:
        text += " in turn. What follows compares the lower quartiles"
        text += f", the machine's own movement of {moved:.0f} % taken out." if "reference" in said else "."
    else:
        text += "."
    if "cuda_graph" in said:
        switches = (f"{name.replace('_', ' ')} {'on' if said[name] else 'off'}" for name in _SWITCHES)
        text += f" GPU compute time by CUDA events: {', '.join(switches)}; --json has the end-to-end times too."
    for name, figures in measured.items():
        held = figures.conditions.get("file_precision")
        if held not in (None, figures.conditions["precision"]):
            text += f"\n{name} holds {held}, which is computed in {figures.conditions['precision']} here."
    text += _clocks(said.get("gpu_clocks"))
    noisy = [name for name, figures in measured.items() if figures.noisy]
    if noisy:
        said_of = ", ".join(noisy) if len(noisy) <= 3 else f"{len(noisy)} of {len(measured)} networks"
        text += (
            f"\nThe machine was not quiet: the repeats of {said_of} lie far apart, or its speed moved by more than "
            f"{MOVED_PERCENT:.0f} %. Measure again when it is."
        )
    return text


def _clocks(said: Any) -> str:
    """A GPU's clocks in words, with the advice to lock them where nothing holds them; '' where none are known."""
    if not said:
        return ""
    memory = "" if said["memory_mhz"] is None else f", its memory at {said['memory_mhz']}"
    text = f"\nThe GPU ran at {said['sm_mhz']} MHz{memory}"
    if said["slowed_by"]:
        text += f", kept down by {' and '.join(said['slowed_by'])}"
    if said["held"]:
        return f"{text}; its clocks are held by a setting."
    return (
        f"{text}; nothing holds its clocks, so that they move with heat and load. For figures that can be compared, "
        f"lock them: nvidia-smi --lock-gpu-clocks={said['sm_mhz']}"
    )
