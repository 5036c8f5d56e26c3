from __future__ import annotations

import onnx
import pytest

from gpunet.errors import InvalidArgumentError
from gpunet.exporters.graph.opset import DEFAULT_OPSET, MIN_OPSET, check_opset


@pytest.mark.parametrize("opset", [MIN_OPSET, DEFAULT_OPSET, 21, 22])
def test_what_onnx_and_onnx_runtime_know_is_accepted(opset):
    check_opset(opset)


@pytest.mark.parametrize("opset", [12, 0, True, 17.0, "17"])
def test_old_opsets_are_refused(opset):
    with pytest.raises(InvalidArgumentError, match=f"opset must be an integer of 13 or more, but got {opset!r}"):
        check_opset(opset)


def test_opsets_newer_than_onnx_are_refused():
    newest = onnx.defs.onnx_opset_version()
    with pytest.raises(InvalidArgumentError, match=f"opset must be at most {newest}, the newest of onnx") as caught:
        check_opset(newest + 1)
    assert "The default, 17" in caught.value.hint


def test_opsets_newer_than_onnx_runtime_are_refused():
    with pytest.raises(InvalidArgumentError, match="opset 99 is newer than the installed ONNX Runtime") as caught:
        check_opset(99, newest=99)
    assert "Upgrade onnxruntime" in caught.value.hint
