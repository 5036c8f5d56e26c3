"""The process in which Polygraphy compares a file with ONNX Runtime; `gpunet.exporters.second_opinion` starts it.

python -m gpunet.exporters.polygraphy_process REQUEST.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpunet.core.files import write_text


def main(request: dict[str, Any]) -> None:
    """Run both on the images and write what Polygraphy's Comparator found of each output."""
    import polygraphy
    from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx
    from polygraphy.comparator import Comparator, CompareFunc

    reference = OnnxrtRunner(SessionFromOnnx(request["reference"], providers=["CPUExecutionProvider"]), "reference")
    results = Comparator.run([reference, _candidate(request)], data_loader=list(_batches(request)))
    first, second = (name for name, _ in results)
    outputs = []
    for name in results[first][0]:
        scale = max(float(np.abs(_array(each[name])).max()) for each in results[first])
        allowed = request["relative"] * scale
        how = CompareFunc.simple(atol={name: allowed}, rtol={name: 0.0}, check_error_stat={name: "max"})
        compared = Comparator.compare_accuracy(results, compare_func=how)[0][first, second]
        found = [each[name] for each in compared]
        outputs.append(
            {
                "name": name,
                "passed": all(map(bool, found)),
                "max_abs_difference": max(float(each.max_absdiff) for each in found),
                "mean_abs_difference": float(np.mean([float(each.mean_absdiff) for each in found])),
                "allowed_difference": allowed,
            }
        )
    write_text(request["answer"], json.dumps({"polygraphy": polygraphy.__version__, "outputs": outputs}))


def _candidate(request: dict[str, Any]) -> Any:
    path = request["path"]
    if request["runtime"] == "onnxruntime":
        from polygraphy.backend.onnxrt import OnnxrtRunner, SessionFromOnnx

        return OnnxrtRunner(SessionFromOnnx(path, providers=["CPUExecutionProvider"]), "candidate")
    from polygraphy.backend.common import BytesFromPath
    from polygraphy.backend.trt import (
        CreateConfig,
        EngineFromBytes,
        EngineFromNetwork,
        NetworkFromOnnxPath,
        Profile,
        TrtRunner,
    )

    if request["engine"]:
        return TrtRunner(EngineFromBytes(BytesFromPath(path)), "candidate")
    if request["runtime"] == "tensorrt_rtx":
        from polygraphy.backend.tensorrt_rtx import CreateConfigRTX as CreateConfig
    shape = np.load(request["images"], mmap_mode="r").shape[1:]
    least, most = min(request["batch_sizes"]), max(request["batch_sizes"])
    profile = Profile().add(request["input"], min=(least, *shape), opt=(most, *shape), max=(most, *shape))
    network = NetworkFromOnnxPath(path, strongly_typed=True)
    return TrtRunner(EngineFromNetwork(network, CreateConfig(profiles=[profile])), "candidate")


def _batches(request: dict[str, Any]) -> Iterator[dict[str, np.ndarray]]:
    """The images in batches of each size, repeated to fill the last; in the type of the network's input."""
    import onnx

    images = np.load(request["images"])
    (source,) = onnx.load(request["reference"], load_external_data=False).graph.input
    images = images.astype(onnx.helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type))
    for size in request["batch_sizes"]:
        order = np.arange(-(-len(images) // size) * size) % len(images)
        for start in range(0, len(order), size):
            yield {request["input"]: images[order[start : start + size]]}


def _array(value: Any) -> np.ndarray:
    """A tensor of Polygraphy's, which may be torch's, as an array."""
    return np.asarray(value.cpu() if hasattr(value, "cpu") else value, dtype=np.float64)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
