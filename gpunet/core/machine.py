"""What a latency depends on in this machine: processor, usable threads, GPU; and the fingerprint made of them.

Nothing heavy is imported here: records of an earlier run are found again without torch or a runtime being loaded.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from gpunet.core.gpu import gpu_name, output_of

_LIMIT, _NO_LIMITS = "ONEDNN_MAX_CPU_ISA", ("", "ALL", "DEFAULT")
_CGROUP_MOUNT = "sys/fs/cgroup"


@dataclass(frozen=True)
class Fingerprint:
    """What two latencies must have in common to be comparable.

    Args:
        processor: name of the processor or GPU that computes, as `processor_name` or `gpu_name` gives it.
        machine: instruction set, e.g. 'x86_64'.
        system: operating system, e.g. 'Linux'.
        threads: threads that compute; None where it does not apply (a GPU).
        runtime, runtime_version: e.g. 'openvino', '2026.4.1'.
        precision: e.g. 'fp32'.
    """

    processor: str
    machine: str
    system: str
    threads: int | None
    runtime: str
    runtime_version: str
    precision: str

    @property
    def id(self) -> str:
        """16 hex digits: equal for equal fingerprints, on every machine and in every later run."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, str | int | None]:
        """The fields as plain JSON types."""
        return asdict(self)


def process_has_ended(process: str) -> bool:
    """Whether 'host:pid' was a process of this machine that has ended; of another machine's nothing is known."""
    import socket

    host, _, pid = process.rpartition(":")
    if host != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def fingerprint(
    *, runtime: str, runtime_version: str, precision: str, threads: int | None, on_gpu: bool = False
) -> Fingerprint:
    """The fingerprint of this machine for a runtime; `on_gpu` names the GPU in place of the processor."""
    return Fingerprint(
        processor=(gpu_name() or "unknown GPU") if on_gpu else processor_name(),
        machine=platform.machine(),
        system=platform.system(),
        threads=threads,
        runtime=runtime,
        runtime_version=runtime_version,
        precision=precision,
    )


@functools.cache
def processor_name() -> str:
    """Name of the processor, e.g. 'Intel(R) Xeon(R) Processor @ 2.50GHz (family 6, model 85, stepping 7)'.

    Where ONEDNN_MAX_CPU_ISA keeps runtimes from some of its instructions, that is said: figures are of less then.

    Linux reads /proc/cpuinfo, macOS asks sysctl, Windows its registry; elsewhere Python's `platform`.
    """
    system = platform.system()
    name = ""
    if system == "Linux":
        name = name_from_cpuinfo(_read(Path("/proc/cpuinfo")))
    elif system == "Darwin":
        name = output_of(["sysctl", "-n", "machdep.cpu.brand_string"])
    elif system == "Windows":
        name = _windows_processor()
    name = name or platform.processor() or platform.machine() or "unknown processor"
    held = os.environ.get(_LIMIT, "")
    return name if held.upper() in _NO_LIMITS else f"{name}, held to {held}"


def name_from_cpuinfo(text: str) -> str:
    """The name in the text of /proc/cpuinfo; '' where it holds none.

    Virtual machines often give one name to several generations, so family, model and stepping are added. ARM has
    numbers alone; a machine with two kinds of core gets both.
    """
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and value.strip() not in fields.setdefault(key.strip().lower(), []):
            fields[key.strip().lower()].append(value.strip())

    def first(key: str) -> str:
        return fields.get(key, [""])[0]

    name = first("model name") or first("cpu model") or first("cpu")
    numbers = [f"{label} {first(key)}" for label, key in _X86_NUMBERS if first(key)]
    if first("cpu part"):
        name = name or "ARM"
        numbers = [f"implementer {first('cpu implementer')}", f"part {' and '.join(sorted(fields['cpu part']))}"]
    name = re.sub(r"\s+", " ", name)
    return f"{name} ({', '.join(numbers)})" if name and numbers else name


_X86_NUMBERS = (("family", "cpu family"), ("model", "model"), ("stepping", "stepping"))


def _windows_processor() -> str:
    if sys.platform == "win32":
        import winreg

        place = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with contextlib.suppress(OSError), winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    return ""


def available_threads(root: str | Path = "/") -> int:
    """Threads that this process can keep running at once; 1 or more.

    The processors it is bound to, and no more than the whole processors that a container's quota (cgroup version 1 or
    2) pays for: more threads than that are stopped in mid-run, which ruins latency.

    Args:
        root: where /proc and /sys are found; other than '/' only in tests.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota(Path(root))
    return bound if quota is None else max(1, min(bound, int(quota)))


def _cgroup_quota(root: Path) -> float | None:
    """Processors that the cgroups of this process allow it, the least of its group's and all groups' above it."""
    quotas = []
    mount = root / _CGROUP_MOUNT
    for line in _read(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        controllers, group = parts[1].split(","), parts[2].strip("/")
        if parts[1] == "":
            quotas += [_quota_v2(folder) for base in (mount, mount / "unified") for folder in _upwards(base, group)]
        elif "cpu" in controllers:
            bases = (mount / "cpu", mount / parts[1])
            quotas += [_quota_v1(folder) for base in bases for folder in _upwards(base, group)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _upwards(base: Path, group: str) -> list[Path]:
    """The folder of a group and those above it, up to the mount point."""
    names = [name for name in group.split("/") if name not in ("", "..")]
    return [base.joinpath(*names[:depth]) for depth in range(len(names), -1, -1)]


def _quota_v2(folder: Path) -> float | None:
    return _ratio(_read(folder / "cpu.max").split())


def _quota_v1(folder: Path) -> float | None:
    return _ratio([_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()])


def _ratio(words: list[str]) -> float | None:
    """Quota over period; None for 'max', for -1, and for anything unreadable: then nothing limits."""
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def seconds_waited(root: str | Path = "/") -> float | None:
    """Seconds that this process's threads were ready to run and had no processor, in sum, since they began.

    Near nothing on a quiet machine; it grows while something else computes. None where only Linux would say.

    Args:
        root: where /proc is found; other than '/' only in tests.
    """
    fields = [_read(task / "schedstat").split() for task in Path(root, "proc/self/task").glob("*")]
    waited = [int(words[1]) for words in fields if len(words) == 3]
    return sum(waited) / 1e9 if waited else None


def _read(path: Path) -> str:
    """A file of the kernel; '' where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
