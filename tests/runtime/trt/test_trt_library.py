from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpunet.errors import InvalidArgumentError, MissingDependencyError, RuntimeUnavailableError
from gpunet.runtime.base import installed
from gpunet.runtime.trt.library import LIBRARIES, TENSORRT, TENSORRT_RTX, Messages, library, messages, version_numbers

needs_rtx = pytest.mark.skipif(not installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")


@pytest.fixture
def lone_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder where a package of a library's name can be put; it is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in LIBRARIES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in LIBRARIES:
        sys.modules.pop(name, None)


def _package(folder: Path, text: str) -> None:
    (folder / "tensorrt.py").write_text(text)


def test_names() -> None:
    assert library("tensorrt") is TENSORRT
    assert library("tensorrt_rtx") is TENSORRT_RTX


@pytest.mark.parametrize("name", ["tensorflow", "", None])
def test_an_unknown_name_is_refused(name: str | None) -> None:
    with pytest.raises(InvalidArgumentError, match="built by one of tensorrt, tensorrt_rtx, but got"):
        library(name)  # type: ignore[arg-type]


@pytest.mark.skipif(installed("tensorrt"), reason="tensorrt is installed")
def test_a_missing_library_says_how_to_install_it() -> None:
    with pytest.raises(
        MissingDependencyError, match="to build or run a TensorRT engine, but it is not installed"
    ) as caught:
        TENSORRT.module()
    assert caught.value.hint == "Install it: pip install 'gpunet[tensorrt]'"


def test_a_library_without_its_libraries_says_so(lone_path: Path) -> None:
    _package(lone_path, "raise ImportError('libnvinfer.so.11: cannot open shared object file')")
    with pytest.raises(
        RuntimeUnavailableError, match=r"TensorRT is installed, but cannot be loaded: libnvinfer\.so\.11"
    ) as caught:
        TENSORRT.module()
    assert "--force-reinstall" in caught.value.hint


def test_an_old_version_is_refused(lone_path: Path) -> None:
    _package(lone_path, "__version__ = '8.6.1'")
    with pytest.raises(
        RuntimeUnavailableError, match=r"TensorRT 10\.0 or later is needed, but 8\.6\.1 is installed"
    ) as caught:
        TENSORRT.module()
    assert "trtexec" in caught.value.hint


@pytest.mark.parametrize("version", ["10.0.1", "10.4.0.26", "11.4.0"])
def test_the_versions_that_the_builder_knows(version: str) -> None:
    TENSORRT.check_version(version)


@pytest.mark.parametrize(
    ("version", "numbers"), [("10.4.0.26", (10, 4, 0, 26)), ("11", (11,)), ("1.7.1.post2", (1, 7, 1)), ("x", ())]
)
def test_version_numbers(version: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(version) == numbers


@needs_rtx
def test_rtx_names_its_compute_capabilities() -> None:
    known = TENSORRT_RTX.compute_capabilities(TENSORRT_RTX.module())
    assert {"7.5", "8.0", "8.6", "8.9", "12.0"} <= set(known)
    assert TENSORRT.compute_capabilities(TENSORRT_RTX.module()) == ()


@needs_rtx
def test_networks_are_strongly_typed_with_and_without_the_flag() -> None:
    module = TENSORRT_RTX.module()
    flag = module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    assert TENSORRT_RTX.network_flags(module) == 1 << int(flag)

    class Later:
        class NetworkDefinitionCreationFlag:
            pass

    assert TENSORRT.network_flags(Later) == 0  # type: ignore[arg-type]


@needs_rtx
def test_one_logger_for_each_library() -> None:
    assert messages(TENSORRT_RTX.module()) is messages(TENSORRT_RTX.module())


@needs_rtx
def test_messages_are_kept_while_one_listens_and_few_otherwise() -> None:
    module = TENSORRT_RTX.module()
    heard = Messages(module)
    severity = module.ILogger.Severity
    for number in range(500):
        heard.logger.log(severity.VERBOSE, str(number))
    assert len(heard.lines) <= 101
    with heard.listen():
        assert heard.lines == []
        for number in range(500):
            heard.logger.log(severity.VERBOSE, str(number))
        heard.logger.log(severity.ERROR, "it broke")
        heard.logger.log(severity.ERROR, "it broke")
        heard.logger.log(severity.INTERNAL_ERROR, "[checkMacros.cpp::catchCudaError::250] no driver")
        heard.logger.log(severity.WARNING, "careful")
    assert len(heard.of("VERBOSE")) == 500
    assert heard.errors == "it broke"
    assert heard.of("WARNING") == ("careful",)
