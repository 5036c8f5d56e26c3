"""OpenVINO on processors with other instructions: half precision is what the processor computes in, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import onnx
import pytest

# What OpenVINO itself says of this processor, beside what the runtime and a file's session make of it.
PROGRAM = """
import json, pathlib, sys
import openvino
from gpunet import runtime
from gpunet.errors import RuntimeUnavailableError
from gpunet.zoo.file_session import session_from_file

core = openvino.Core()
try:
    compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f16"})
    found = {"openvino": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()}
except RuntimeError:  # it has no kernels of half at all
    found = {"openvino": "f32"}

def told(load):
    try:
        session = load()
        return [session.runtime, session.precision, session.conditions.get("arithmetic")]
    except RuntimeUnavailableError as error:
        return str(error)

ir, graph = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[1])
found["runtime"] = told(lambda: runtime.get("openvino").load(sys.argv[1], precision="fp16"))
for name, path in (("ir", ir), ("onnx", graph)):
    for asked in (None, "fp16", "fp32"):
        found[f"{name} {asked}"] = told(lambda: session_from_file(path, precision=asked))
found["onnxruntime"] = told(lambda: session_from_file(graph, runtime="onnxruntime"))[:2]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, half_network: onnx.ModelProto) -> list[str]:
    import openvino

    folder = tmp_path_factory.mktemp("half")
    onnx.save(half_network, str(folder / "half.onnx"))
    openvino.save_model(openvino.Core().read_model(str(folder / "half.onnx")), folder / "half.xml")
    return [str(folder / "half.onnx"), str(folder / "half.xml")]


# The first is the processor as it is; the others take away what it may have. None can add what it has not.
@pytest.mark.parametrize("most_isa", ["DEFAULT", "AVX512_CORE_BF16", "AVX2"])
def test_half_precision_is_what_the_processor_computes_in_or_refused(files: list[str], most_isa: str) -> None:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": most_isa}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *files], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    arithmetic = found["openvino"]
    assert arithmetic in ("f16", "bf16", "f32")
    if most_isa != "DEFAULT":
        assert arithmetic != "f16"
    computed = {"f32": "fp32"}.get(arithmetic, arithmetic)
    refusal = (
        f"the runtime 'openvino' computes in {computed} on this processor, not in fp16.\n"
        "Pass precision='fp32', so that the figure says what it is of."
    )
    in_half, in_single = ["openvino", "fp16", "f16"], ["openvino", "fp32", "f32"]
    has_half = arithmetic == "f16"
    assert found["runtime"] == found["ir fp16"] == (in_half if has_half else refusal)
    for kind in ("ir", "onnx"):  # what was just exported runs, and is called what it is
        assert found[f"{kind} None"] == (in_half if has_half else in_single)
        assert found[f"{kind} fp32"] == in_single
    if has_half:
        assert found["onnx fp16"] == in_half
    elif found["onnxruntime"][1] == "fp32":
        said = f"half.onnx runs nowhere here in fp16: the runtime 'openvino' computes in {computed}"
        assert said in found["onnx fp16"]
        assert "'onnxruntime' computes in fp32 on this processor, not in fp16" in found["onnx fp16"]
