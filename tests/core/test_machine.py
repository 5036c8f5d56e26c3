from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gpunet.core import machine
from gpunet.core.machine import Fingerprint, available_threads, fingerprint, processor_name, seconds_waited

ONE = Fingerprint("Intel Xeon", "x86_64", "Linux", 2, "openvino", "2026.4.1", "fp32")


def test_a_fingerprints_id_is_the_same_in_every_process_and_version() -> None:
    assert ONE.id == replace(ONE).id == "85ca3c3afcfe58f9"


@pytest.mark.parametrize(
    "change",
    [
        {"processor": "AMD EPYC"},
        {"machine": "aarch64"},
        {"system": "Darwin"},
        {"threads": 4},
        {"threads": None},
        {"runtime": "onnxruntime"},
        {"runtime_version": "2026.4.2"},
        {"precision": "fp16"},
    ],
)
def test_every_field_changes_the_id(change: dict[str, object]) -> None:
    assert replace(ONE, **change).id != ONE.id


def test_fingerprint_is_of_this_machine() -> None:
    here = fingerprint(runtime="openvino", runtime_version="1", precision="fp32", threads=3)
    assert here == Fingerprint(processor_name(), platform.machine(), platform.system(), 3, "openvino", "1", "fp32")
    assert processor_name()


def test_a_processor_that_is_held_to_less_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "DEFAULT")
    whole = processor_name.__wrapped__()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert processor_name.__wrapped__() == f"{whole}, held to AVX2"


XEON = """processor	: 0
cpu family	: 6
model		: 85
model name	: Intel(R) Xeon(R)  Processor @ 2.50GHz
stepping	: 7
cpu MHz		: 2499.996

processor	: 1
model name	: Intel(R) Xeon(R)  Processor @ 2.50GHz
cpu MHz		: 2731.100
"""
BIG_LITTLE = """processor	: 0
CPU implementer	: 0x41
CPU part	: 0xd46

processor	: 1
CPU implementer	: 0x41
CPU part	: 0xd0c
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (XEON, "Intel(R) Xeon(R) Processor @ 2.50GHz (family 6, model 85, stepping 7)"),
        (BIG_LITTLE, "ARM (implementer 0x41, part 0xd0c and 0xd46)"),
        ("cpu		: POWER9, altivec supported\n", "POWER9, altivec supported"),
        ("", ""),
    ],
)
def test_processor_name_from_cpuinfo(text: str, name: str) -> None:
    assert machine.name_from_cpuinfo(text) == name


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {"proc/self/cgroup": "0::/a/b\n"}
V1 = {"proc/self/cgroup": "7:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n"}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "150000 100000"}, 1.5),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "400000 100000"}, 4.0),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "300000 100000", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "nonsense"}, None),
        (V2 | {"sys/fs/cgroup/a/b/cpu.max": "1 0"}, None),
        ({"proc/self/cgroup": "0::/../..\nodd\n", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/unified/a/cpu.max": "200000 100000"}, 2.0),
        (V1 | {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        (
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
    ],
)
def test_the_least_quota_of_the_cgroups_counts(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert machine._cgroup_quota(_write(tmp_path, files)) == quota


def test_available_threads_are_those_bound_and_paid_for(tmp_path: Path) -> None:
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert available_threads(tmp_path) == bound
    assert available_threads(_write(tmp_path, V2 | {"sys/fs/cgroup/a/b/cpu.max": "150000 100000"})) == 1
    assert available_threads(_write(tmp_path, V2 | {"sys/fs/cgroup/a/b/cpu.max": "50000 100000"})) == 1
    assert available_threads(_write(tmp_path, V2 | {"sys/fs/cgroup/a/b/cpu.max": "99900000 100000"})) == bound


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_available_threads_heed_the_binding() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
    code += "from gpunet.core.machine import available_threads; print(available_threads())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_seconds_waited_are_the_sum_over_threads(tmp_path: Path) -> None:
    tasks = {"proc/self/task/1/schedstat": "100 1500000000 7\n", "proc/self/task/2/schedstat": "5 500000000 2\n",
             "proc/self/task/3/other": "", "proc/self/task/4/schedstat": "nonsense"}  # fmt: skip
    assert seconds_waited(_write(tmp_path, tasks)) == 2.0
    assert seconds_waited(tmp_path / "nowhere") is None


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux says how long threads wait")
def test_seconds_waited_only_grow() -> None:
    first = seconds_waited()
    if first is None:
        pytest.skip("this kernel keeps no scheduling statistics")
    assert 0 <= first <= seconds_waited()


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import gpunet.core.machine, sys; print([m for m in ('torch', 'timm', 'onnx', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
