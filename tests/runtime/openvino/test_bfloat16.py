"""bfloat16 is what the processor has instructions for, or refused: never imitated, and never taken in silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

PROGRAM = """
import json, sys, pathlib
from gpunet import runtime
from gpunet.errors import RuntimeUnavailableError
from gpunet.zoo.file_session import session_from_file

def told(load):
    try:
        session = load()
        return [session.precision, session.conditions["arithmetic"]]
    except RuntimeUnavailableError as error:
        return str(error)

path = pathlib.Path(sys.argv[1])
found = {"asked": told(lambda: runtime.get("openvino").load(path, precision="bf16"))}
for name in (path.name, "bf16.xml"):
    for asked in (None, "bf16", "fp32"):
        found[f"{name} {asked}"] = told(lambda: session_from_file(path.with_name(name), runtime="openvino",
                                                                  precision=asked))
print(json.dumps(found))
"""


def _told(folder: Path, most_isa: str) -> dict[str, Any]:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": most_isa}
    command = [sys.executable, "-c", PROGRAM, str(folder / "fp32.onnx")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, network: onnx.ModelProto) -> Path:
    """A network in float32 as fp32.onnx, and with weights in bfloat16 as bf16.xml."""
    import openvino

    from gpunet.exporters.graph.bfloat16 import bfloat16_from_float

    made: Path = tmp_path_factory.mktemp("bf16")
    onnx.save(network, str(made / "fp32.onnx"))
    graph = openvino.Core().read_model(bfloat16_from_float(network).SerializeToString())
    openvino.save_model(graph, made / "bf16.xml", compress_to_fp16=False)
    return made


# Both lack the instructions: one has no kernels at all, on the other OpenVINO takes bfloat16 apart and says nothing.
@pytest.mark.parametrize("most_isa", ["AVX2", "AVX512_CORE"])
def test_without_instructions_it_is_refused_with_the_reason(folder: Path, most_isa: str) -> None:
    found = _told(folder, most_isa)
    refused = [found[key] for key in ("asked", "fp32.onnx bf16", "bf16.xml bf16")]
    assert len(set(refused)) == 1
    assert refused[0].startswith("the runtime 'openvino' computes in fp32 on this processor, not in bf16: it has no ")
    assert f"ONEDNN_MAX_CPU_ISA={most_isa} keeps" in refused[0]
    in_float = ["fp32", "f32"]
    assert [found[f"{name} {asked}"] for name in ("fp32.onnx", "bf16.xml") for asked in (None, "fp32")] == [
        in_float
    ] * 4


@pytest.mark.skipif(not Path("/proc/cpuinfo").is_file(), reason="only Linux says what the processor has")
def test_with_instructions_it_is_computed_where_it_is_asked_for(folder: Path) -> None:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    found = _told(folder, "DEFAULT")
    if not {"avx512_bf16", "amx_bf16"} & set(flags):
        assert "not in bf16: it has no instructions for it (AVX512-BF16 or AMX)" in found["asked"]
        return
    lower = ["bf16", "bf16"]
    assert [found[key] for key in ("asked", "fp32.onnx bf16", "bf16.xml bf16", "bf16.xml None")] == [lower] * 4
    assert [found[key] for key in ("fp32.onnx None", "fp32.onnx fp32", "bf16.xml fp32")] == [["fp32", "f32"]] * 3
