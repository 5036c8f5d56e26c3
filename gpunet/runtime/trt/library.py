"""TensorRT and TensorRT-RTX behind one description: all that differs between them and their versions stands here.

Both have the same Python API. What this project found in it (tensorrt_rtx 1.7.1, ran without a GPU):

- A logger must outlive all that was made with it, so each library has one, made once and never freed. A library whose
  first logger is another package's says that it ignores ours, but ours hears everything.
- An IErrorRecorder set from Python crashes the process when a parsed network is freed. All messages reach the logger
  too, so no recorder is used.
- An exception in a callback, KeyboardInterrupt too, is printed and swallowed (see monitor.py).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gpunet.core.files import require
from gpunet.errors import InvalidArgumentError, MissingDependencyError, RuntimeUnavailableError
from gpunet.runtime.base import installed_version

_log = logging.getLogger(__name__)
_KEPT = 100


@dataclass(frozen=True)
class Library:
    """One of the two libraries, and what it can do that the other cannot.

    Args:
        name: the Python module and the name in records: 'tensorrt' or 'tensorrt_rtx'.
        title: its name in sentences.
        extra: the extra of gpunet that installs it.
        distributions: the packages that may carry its version.
        oldest: the oldest version that the builder knows.
        ahead_of_time: builds for named compute capabilities, without a GPU; kernels are compiled when an engine loads.
        timing_cache: keeps timings of kernels from one build to the next.
        compatibility: can build for other GPUs or later versions, at the cost of speed.
    """

    name: str
    title: str
    extra: str
    distributions: tuple[str, ...]
    oldest: tuple[int, int]
    ahead_of_time: bool
    timing_cache: bool
    compatibility: bool

    def module(self) -> ModuleType:
        """The imported module.

        Raises:
            MissingDependencyError: (an ImportError) it is not installed; the hint installs it.
            RuntimeUnavailableError: (a RuntimeError) it is installed, but its libraries are not, or it is too old.
        """
        try:
            module = require(self.name, self.extra, purpose=f"to build or run a {self.title} engine")
        except MissingDependencyError:
            raise
        except (ImportError, OSError) as error:
            raise RuntimeUnavailableError(
                f"{self.title} is installed, but cannot be loaded: {error}.",
                f"Install it whole: pip install --force-reinstall '{self.distributions[0]}'",
            ) from error
        self.check_version(str(module.__version__))
        return module

    def version(self) -> str:
        """The installed version, found without importing it; RuntimeUnavailableError where it is not installed."""
        return installed_version(self.name, self.distributions)

    def check_version(self, version: str) -> None:
        """Raise RuntimeUnavailableError where the version is older than the oldest that the builder knows."""
        if version_numbers(version)[:2] < self.oldest:
            oldest = ".".join(map(str, self.oldest))
            raise RuntimeUnavailableError(
                f"{self.title} {oldest} or later is needed, but {version} is installed.",
                f"Upgrade: pip install '{self.distributions[0]}>={oldest}'. An older one can build the ONNX file by "
                "trtexec, whose log gpunet reads.",
            )

    def network_flags(self, module: ModuleType) -> int:
        """What a network is created with: strongly typed, so that precision is what the ONNX graph says.

        TensorRT 10 and TensorRT-RTX take a flag for it; TensorRT 11 knows nothing else and may drop the flag.
        """
        flag = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def compute_capabilities(self, module: ModuleType) -> tuple[str, ...]:
        """Compute capabilities that it can build for ahead of time, e.g. ('7.5', '8.0'); () where it cannot."""
        if not self.ahead_of_time:
            return ()
        names = [re.fullmatch(r"SM(\d+)(\d)", name) for name in module.ComputeCapability.__members__]
        return tuple(f"{found[1]}.{found[2]}" for found in names if found)


TENSORRT = Library("tensorrt", "TensorRT", "tensorrt", ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"), (10, 0),
                   ahead_of_time=False, timing_cache=True, compatibility=True)  # fmt: skip
TENSORRT_RTX = Library("tensorrt_rtx", "TensorRT-RTX", "rtx", ("tensorrt-rtx", "tensorrt_rtx"), (1, 0),
                       ahead_of_time=True, timing_cache=False, compatibility=False)  # fmt: skip
LIBRARIES = {library.name: library for library in (TENSORRT, TENSORRT_RTX)}


def library(name: str) -> Library:
    """The library of that name.

    Raises:
        InvalidArgumentError: (a ValueError) there is none.
    """
    if not isinstance(name, str) or name not in LIBRARIES:
        raise InvalidArgumentError(f"an engine is built by one of {', '.join(LIBRARIES)}, but got {name!r}.")
    return LIBRARIES[name]


def version_numbers(version: str) -> tuple[int, ...]:
    """'10.4.0.26' -> (10, 4, 0, 26); what is no number ends it."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()


class Messages:
    """What a library says while one listens, in order.

    Attributes:
        logger: the library's ILogger.
        lines: (severity, text), severity being one of INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE.
    """

    def __init__(self, module: ModuleType) -> None:
        self.lines: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._listening = False
        messages = self

        class Logger(module.ILogger):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                module.ILogger.__init__(self)

            def log(self, severity: Any, text: str) -> None:
                messages._hear(severity.name, text)

        self.logger = Logger()

    @contextlib.contextmanager
    def listen(self) -> Iterator[Messages]:
        """Begin anew; one listener at a time, so that builds do not mix their messages."""
        with self._lock:
            self.lines.clear()
            self._listening = True
            try:
                yield self
            finally:
                self._listening = False

    def _hear(self, severity: str, text: str) -> None:
        if severity != "VERBOSE":
            _log.debug("%s: %s", severity, text)
        if not self._listening:  # an engine that runs for months must not fill the memory
            del self.lines[:-_KEPT]
        self.lines.append((severity, text))

    def of(self, *severities: str) -> tuple[str, ...]:
        """The texts of these severities, each once, in order."""
        return tuple(dict.fromkeys(text.strip() for severity, text in self.lines if severity in severities))

    @property
    def errors(self) -> str:
        """The errors as one text; '' for none. What TensorRT says of the missing GPU after each error is left out."""
        return "; ".join(text for text in self.of("INTERNAL_ERROR", "ERROR") if "catchCudaError" not in text)


@functools.cache
def messages(module: ModuleType) -> Messages:
    """The one logger of a library in this process; it is never freed (see the module's docstring)."""
    return Messages(module)
