"""A Triton model repository: NAME/config.pbtxt, NAME/labels.txt and NAME/VERSION/ with the network.

    backend       file                         runs on
    onnxruntime   model.onnx                   a GPU through TensorRT; or a processor
    tensorrt      model.plan                   a GPU
    openvino      model.xml and model.bin      a processor

A graph with a symbolic batch axis is batched by the server: up to the profile's most images, at its best size if the
queue holds them soon enough. One of a fixed batch is served at that batch only.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpunet import runtime as runtimes
from gpunet.core.arguments import checked_integer
from gpunet.core.folders import atomic_folder
from gpunet.errors import ABSENT_EXIT_CODE, InvalidArgumentError, MissingDependencyError
from gpunet.exporters.triton.config import QUEUE_DELAY_US, triton_config
from gpunet.exporters.triton.pbtxt import config_text, parsed
from gpunet.model.classes import class_names
from gpunet.runtime.batch import BatchProfile
from gpunet.runtime.formats import Format
from gpunet.runtime.sidecar import sidecar_path

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class TritonReport:
    """What `export_triton` wrote.

    Args:
        folder: of the model, inside the repository.
        path: of the network in it; its sidecar lies beside it, where the artefact had one.
        backend: 'onnxruntime', 'tensorrt' or 'openvino'.
        config: text of its config.pbtxt.
        checked: whether Triton's own definitions read it back: False where tritonclient is not installed.
    """

    folder: Path
    path: Path
    backend: str
    config: str
    checked: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "folder": str(self.folder),
            "path": str(self.path),
            "backend": self.backend,
            "config": self.config,
            "checked": self.checked,
        }

    def __str__(self) -> str:
        checked = (
            "read back with Triton's definitions"
            if self.checked
            else "not read back: pip install 'gpunet[triton]' for Triton's definitions"
        )
        return f"{self.folder}: backend {self.backend}, config.pbtxt {checked}"


def export_triton(
    repository: str | Path,
    artefact: str | Path,
    model: ModelProto,
    *,
    name: str,
    precision: str,
    batch: BatchProfile,
    labels: Sequence[str] | None = None,
    device: str | None = None,
    max_queue_delay_us: int = QUEUE_DELAY_US,
    instances: int = 1,
    engine_cache: str | None = None,
    version: int = 1,
) -> TritonReport:
    """Add a network to a Triton model repository, or replace it there.

    The model's folder appears whole or not at all. One that was there, with this config.pbtxt's kind of content, is
    replaced.

    Args:
        repository: Triton's --model-repository.
        artefact: the network: .onnx, .engine or .plan, or .xml with its .bin beside it; decides the backend.
        model: the ONNX graph that it was made of: names, shapes and types of input and output are read from it.
        name: of the model in the repository.
        precision: 'fp32', 'fp16', 'bf16' or 'int8': what the graph is in.
        batch: the batch sizes that the artefact takes.
        labels: of the classes, in order; None for 'class 0', 'class 1', ...
        device: 'gpu' or 'cpu' for an .onnx; None for the backend's own ('gpu' for .onnx).
        max_queue_delay_us: how long the server may hold a request to fill a batch, in microseconds.
        instances: how many copies of the network a device runs at once.
        engine_cache: a folder on the server where ONNX Runtime keeps the TensorRT engines that it builds, so that a
            restart does not build them again; None for no cache.
        version: the number of the folder inside the model's.

    Raises:
        InvalidArgumentError: (a ValueError) an argument breaks its rule.
        ExportError: (a RuntimeError) the folder cannot be written, or is something else's; or Triton's definitions do
            not accept the configuration.
    """
    artefact = Path(artefact).expanduser()
    served = _format(artefact)
    backend = served.triton
    config = triton_config(
        model, backend, name=name, precision=precision, batch=batch, device=device,
        max_queue_delay_us=max_queue_delay_us, instances=instances, engine_cache=engine_cache,
    )  # fmt: skip
    checked_integer("version", version, 1)
    lines = class_labels(_classes(model), labels)
    text = config_text(config)
    try:
        parsed(text)
        checked = True
    except MissingDependencyError:
        checked = False
    folder = Path(repository).expanduser() / name
    with atomic_folder(folder, ours=lambda path: (path / "config.pbtxt").is_file()) as made:
        inner = made / str(version)
        inner.mkdir()
        target = inner / backend.file_name
        for source, copy in zip(served.files(artefact), served.files(target), strict=True):
            shutil.copyfile(source, copy)
        if sidecar_path(artefact).is_file():
            shutil.copyfile(sidecar_path(artefact), sidecar_path(target))
        (made / "labels.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        (made / "config.pbtxt").write_text(text, encoding="utf-8")
    return TritonReport(folder, folder / str(version) / backend.file_name, backend.name, text, checked)


def class_labels(count: int, labels: Sequence[str] | None = None) -> list[str]:
    """One line a class.

    Args:
        count: of the network's classes.
        labels: given ones; None for 'class 0', 'class 1', ...

    Raises:
        InvalidArgumentError: (a ValueError) there are not as many labels as classes, or one is not one line.
    """
    if labels is None:
        return list(class_names(count))
    lines = [str(label) for label in labels]
    odd = next((line for line in lines if not line.strip() or len(line.splitlines()) != 1), None)
    if len(lines) != count or odd is not None:
        raise InvalidArgumentError(
            f"labels must be {count} lines, one a class, but got {len(lines)}."
            if odd is None
            else f"a label must be one line of text, but got {odd!r}."
        )
    return lines


def _format(artefact: Path) -> Format:
    found = runtimes.format_of(artefact)
    if not found:
        raise InvalidArgumentError(
            f"Triton serves {', '.join(runtimes.suffixes())}, but got {artefact}.",
            "Export the network to one of these first.",
        )
    _, chosen = found[0]
    for path in chosen.files(artefact):
        if not path.is_file():
            raise InvalidArgumentError(
                f"{path}: there is no such file.", "Export the network first.", exit_code=ABSENT_EXIT_CODE
            )
    return chosen


def _classes(model: ModelProto) -> int:
    return int(model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value)
