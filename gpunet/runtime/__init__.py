"""Run a network on what is installed, and deploy it: one protocol (`gpunet.runtime.base`), one folder a runtime.

Importing this package, asking for names, versions and availability is light; a runtime's own package loads with its
first network.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpunet.core.arguments import checked_choice
from gpunet.errors import InvalidArgumentError, RuntimeUnavailableError
from gpunet.runtime.base import Runtime, Session
from gpunet.runtime.formats import PORTABLE_LAYOUT, Format, Int8Layout

__all__ = [
    "PORTABLE_LAYOUT",
    "Format",
    "Int8Layout",
    "Runtime",
    "Session",
    "all_available",
    "available",
    "best",
    "canonical",
    "file_formats",
    "format_named",
    "format_of",
    "get",
    "layout_for",
    "layouts",
    "names",
    "register_runtime",
    "suffixes",
    "unregister_runtime",
]


@dataclass(frozen=True)
class _Home:
    """Where a runtime and the format that it deploys are: 'module:class', '' for none; and its everyday names."""

    runtime: str
    format: str = ""
    aliases: tuple[str, ...] = ()


# A new runtime is a folder, and a line here; the first that can run is the best.
_RUNTIMES = {
    "tensorrt": _Home("gpunet.runtime.trt.runtime:TensorRT", "gpunet.runtime.trt.format:TensorRTFormat", ("trt",)),
    "tensorrt_rtx": _Home("gpunet.runtime.trt.runtime:TensorRTRTX", "gpunet.runtime.trt.format:TensorRTRTXFormat"),
    "openvino": _Home("gpunet.runtime.openvino.runtime:OpenVINO", "gpunet.runtime.openvino.format:OpenVINOFormat"),
    "onnxruntime": _Home(
        "gpunet.runtime.onnxruntime.runtime:OnnxRuntime", "gpunet.runtime.onnxruntime.format:OnnxFormat", ("ort",)
    ),
    "pytorch": _Home("gpunet.runtime.torch:Torch", aliases=("torch",)),
}


def _made(home: str) -> Any:
    module, _, class_name = home.partition(":")
    return getattr(importlib.import_module(module), class_name)()


def register_runtime(
    name: str, runtime: type[Runtime], deployed: type[Format] | None = None, aliases: tuple[str, ...] = ()
) -> None:
    """Let gpunet measure with a runtime that is not its own, and deploy for it.

    Args:
        name: as in records; the class's own `name`.
        runtime: made without arguments; `gpunet.testing.runtimes` holds what it must promise.
        deployed: the format of the files that it runs; None for one that runs ONNX as it is.
        aliases: everyday names, in lower case.

    Raises:
        InvalidArgumentError: (a ValueError) the name is taken.
    """
    if name in _RUNTIMES:
        raise InvalidArgumentError(f"there is a runtime {name!r} already.", "Give yours another name.")
    _RUNTIMES[name] = _Home(_home_of(runtime), "" if deployed is None else _home_of(deployed), aliases)
    file_formats.cache_clear()


def unregister_runtime(name: str) -> None:
    """Forget a runtime that was registered."""
    del _RUNTIMES[name]
    file_formats.cache_clear()


def _home_of(made: type) -> str:
    return f"{made.__module__}:{made.__qualname__}"


def canonical(name: str) -> str:
    """The name that records use for what people call a runtime: 'torch' -> 'pytorch', 'ORT' -> 'onnxruntime'."""
    lower = name.lower()
    return next((known for known, home in _RUNTIMES.items() if lower in home.aliases), lower)


def names() -> tuple[str, ...]:
    """The names of all runtimes that this gpunet knows, installed or not, the best first."""
    return tuple(_RUNTIMES)


def get(name: str) -> Runtime:
    """The runtime of that name, or everyday name ('torch'), installed or not: ask its `unavailable()`.

    Raises:
        InvalidArgumentError: (a ValueError) there is none of that name.
    """
    known = canonical(name) if isinstance(name, str) else name
    checked_choice("runtime", known if known in _RUNTIMES else name, _RUNTIMES)
    runtime: Runtime = _made(_RUNTIMES[known].runtime)
    return runtime


def best() -> Runtime:
    """The best runtime that can run a file here: TensorRT, else TensorRT-RTX, else OpenVINO, else ONNX Runtime.

    Raises:
        RuntimeUnavailableError: (a RuntimeError) none can, with the reason of each.
    """
    return all_available()[0]


def all_available() -> list[Runtime]:
    """The runtimes that can run a file here, the best first.

    Raises:
        RuntimeUnavailableError: (a RuntimeError) none can, with the reason of each.
    """
    reasons, found = [], []
    for name, home in _RUNTIMES.items():
        if home.format:
            runtime = get(name)
            reason = runtime.unavailable()
            if reason is None:
                found.append(runtime)
            else:
                reasons.append(reason)
    if found:
        return found
    raise RuntimeUnavailableError(
        f"no runtime can run a network here: {' '.join(reasons)}", "Install one: pip install 'gpunet[openvino]'"
    )


def available(name: str | None) -> Runtime:
    """The runtime of that name, or the best for None.

    Raises:
        InvalidArgumentError: there is none of that name.
        RuntimeUnavailableError: it cannot run here, with the reason.
    """
    if name is None:
        return best()
    chosen = get(name)
    reason = chosen.unavailable()
    if reason is not None:
        raise RuntimeUnavailableError(
            f"the runtime {name!r} cannot run here: {reason}", "Leave runtime out for the best that can."
        )
    return chosen


# --------------------------------------------------------------------- formats


@functools.cache
def file_formats() -> dict[str, Format]:
    """What can be deployed: the format of each runtime, by the runtime's name."""
    return {name: _made(home.format) for name, home in _RUNTIMES.items() if home.format}


def format_named(target: str, argument: str = "target") -> tuple[str, Format]:
    """The format of that name ('onnx', 'openvino', 'tensorrt', ...), behind the name of its runtime.

    Raises:
        InvalidArgumentError: (a ValueError) there is none.
    """
    known = {each.name: (runtime, each) for runtime, each in file_formats().items()}
    checked_choice(argument, target, sorted(known, key=lambda name: (name != "onnx", name)))
    return known[target]


def format_of(path: Path) -> list[tuple[str, Format]]:
    """The formats whose files end as this path does, each behind the name of its runtime."""
    return [(name, each) for name, each in file_formats().items() if path.suffix.lower() in each.suffixes]


def suffixes() -> tuple[str, ...]:
    """What the files of all formats end in, ONNX's first."""
    known = sorted(file_formats().values(), key=lambda each: not each.any_runtime)
    return tuple(dict.fromkeys(suffix for each in known for suffix in each.suffixes))


def layouts() -> dict[str, Int8Layout]:
    """How 8-bit integers can be laid out, by name: that of a runtime which wants them so."""
    found = [getattr(get(name), "int8_layout", PORTABLE_LAYOUT) for name in file_formats()]
    return {each.name: each for each in found}


def layout_for(runtime: str) -> Int8Layout:
    """How a runtime wants 8-bit integers laid out; as every runtime takes them where it does not say."""
    return getattr(get(runtime), "int8_layout", PORTABLE_LAYOUT)
