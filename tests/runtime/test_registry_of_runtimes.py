from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpunet import runtime as runtimes
from gpunet.errors import InvalidArgumentError, MissingDependencyError, RuntimeUnavailableError
from gpunet.runtime.base import check_interface, installed_version


def test_names_and_get() -> None:
    assert {"openvino", "onnxruntime", "pytorch"} <= set(runtimes.names())
    assert runtimes.get("pytorch").name == runtimes.get("torch").name == "pytorch"


@pytest.mark.parametrize("name", ["onnx", "", None, 3])
def test_an_unknown_name_is_refused_with_the_list(name: object) -> None:
    with pytest.raises(InvalidArgumentError, match=f"runtime must be one of tensorrt, .*torch.*, but got {name!r}"):
        runtimes.get(name)  # type: ignore[arg-type]


def test_the_best_is_the_first_that_can_run() -> None:
    wanted = [n for n in ("tensorrt", "openvino", "onnxruntime") if n in runtimes.names()]
    available = [n for n in wanted if runtimes.get(n).unavailable() is None]
    assert runtimes.best().name == available[0]


def test_asking_is_light() -> None:
    code = """
import sys
from gpunet import runtime
best = runtime.best()
[(runtime.get(n).unavailable(), runtime.get(n).precisions) for n in runtime.names()]
best.version()
print([m for m in ("torch", "onnx", "onnxruntime", "openvino", "numpy") if m in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


WITHOUT = """
import importlib.machinery, sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

class Nothing(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden!r} else super().find_spec(name, path, target)

sys.meta_path[:] = [f for f in sys.meta_path if f is not importlib.machinery.PathFinder] + [Nothing]
from gpunet import errors, runtime
"""


def _without(hidden: list[str], code: str, cwd: Path) -> str:
    """What a program prints where these packages cannot be found."""
    program = WITHOUT.format(hidden=hidden) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_openvino_the_best_is_onnx_runtime(tmp_path: Path) -> None:
    code = "print(runtime.best().name, '|', runtime.get('openvino').unavailable())"
    said = _without(["openvino", "tensorrt", "tensorrt_rtx"], code, tmp_path)
    assert said == "onnxruntime | openvino is not installed (pip install 'gpunet[openvino]').\n"


def test_loading_into_what_is_not_installed_names_the_extra(tmp_path: Path) -> None:
    code = """
try:
    runtime.get('openvino').load(b'')
except errors.MissingDependencyError as error:
    print(error)
"""
    said = _without(["openvino"], code, tmp_path)
    assert said.startswith("openvino is needed to run a network on OpenVINO, but it is not installed.\nInstall it: pip")
    assert issubclass(MissingDependencyError, ImportError)


def test_where_nothing_is_installed_each_reason_is_given(tmp_path: Path) -> None:
    code = """
try:
    runtime.best()
except errors.RuntimeUnavailableError as error:
    print(error)
print(runtime.get('pytorch').unavailable())
"""
    said = _without(["openvino", "onnxruntime", "torch", "tensorrt", "tensorrt_rtx"], code, tmp_path)
    assert "no runtime can run a network here: " in said
    assert "openvino is not installed" in said
    assert "onnxruntime is not installed (pip install onnxruntime)." in said
    assert said.endswith("torch is not installed (pip install torch).\n")


def test_a_package_without_a_version_is_named() -> None:
    with pytest.raises(RuntimeUnavailableError, match="'x' has no version here: none of no-such-a, no-such-b is inst"):
        installed_version("x", ("no-such-a", "no-such-b"))
    assert installed_version("x", ("no-such-a", "pytest")) == pytest.__version__


def test_a_network_without_input_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="runs networks of one input, but this one has none"):
        check_interface("x", [], [("logits", "f32")])
