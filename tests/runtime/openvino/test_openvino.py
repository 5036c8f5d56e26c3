"""OpenVINO on processors with other instructions: half precision is what the processor computes in, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import onnx
import pytest

# What OpenVINO itself says of this processor, beside what the runtime makes of it.
PROGRAM = """
import json, sys
import openvino
from gpunet import runtime
from gpunet.errors import RuntimeUnavailableError
from gpunet.zoo.file_session import session_from_file

core = openvino.Core()
compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f16"})
found = {"openvino": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()}
for name, load in (
    ("runtime", lambda: runtime.get("openvino").load(sys.argv[1], precision="fp16")),
    ("file", lambda: session_from_file(openvino_file)),
):
    import pathlib
    openvino_file = pathlib.Path(sys.argv[2])
    try:
        session = load()
        found[name] = [session.precision, session.conditions["arithmetic"]]
    except RuntimeUnavailableError as error:
        found[name] = str(error)
single = session_from_file(openvino_file, precision="fp32")
found["fp32"] = [single.precision, single.conditions["arithmetic"]]
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
@pytest.mark.parametrize("most_isa", ["DEFAULT", "AVX512_CORE_BF16", "AVX512_CORE"])
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
    refusal = (
        f"OpenVINO computes in {arithmetic} on this processor, not in fp16.\n"
        "Load the network with precision='fp32', in which every processor computes."
    )
    for way in ("runtime", "file"):
        assert found[way] == (["fp16", "f16"] if arithmetic == "f16" else refusal)
    assert found["fp32"] == ["fp32", "f32"]
