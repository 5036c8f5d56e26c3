"""What an exported file is: NAME.json beside it, whatever its format. Versioned, checked when it is read.

The file itself carries nothing of this: an engine is what its library reads, an ONNX file what ONNX reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gpunet.core.files import sha256_of, write_text
from gpunet.core.json_files import parsed_json
from gpunet.core.versions import body_of
from gpunet.errors import ABSENT_EXIT_CODE, FAILED_EXIT_CODE, ChecksumError, InvalidArgumentError
from gpunet.runtime import format_named

SIDECAR_VERSION = 2
# Fields that version 1 may lack.
_LATER: Mapping[str, Any] = {
    "preprocessing": None, "classes": [], "weights": {}, "other_files_sha256": {}, "polygraphy": "", "opset": None,
    "inputs": [], "outputs": [], "versions": {}, "reparameterized": False, "run": {},
}  # fmt: skip
_LISTS = ("batch", "compute_capabilities", "classes", "inputs", "outputs", "command")
_MAPPINGS = ("weights", "versions", "run")


@dataclass(frozen=True)
class Sidecar:
    """Everything that is known of an exported file.

    Args:
        format: its name; see `gpunet.runtime.formats`.
        artefact_sha256, artefact_bytes: of the file itself (for OpenVINO IR, of its .bin).
        other_files_sha256: of its other files (OpenVINO's .xml), by their suffix.
        onnx_sha256: of the ONNX it was made of; for an ONNX file, its own.
        precision: 'fp32', 'fp16', 'bf16' or 'int8'.
        batch: (least, optimal, most) images a run.
        runtime, runtime_version: what it was made by or, for ONNX, checked with.
        model: name of the zoo's entry; None for a network of one's own.
        spec_sha256: of the network's spec; None for a network without one.
        gpu: that it was built on; None for none.
        compute_capabilities: GPUs that it was built for; () for an engine of TensorRT-RTX means all from 8.0 on.
        os, machine: operating system and instruction set, e.g. 'Linux', 'x86_64'.
        builder_flags: what else shaped it, as plain JSON types.
        verification: the outcome, as plain JSON types: {'outcome': 'verified' | 'not verified', ...}.
        report: what the builder said and proved; plain JSON types.
        preprocessing: how a picture becomes its input (input_size, mean, std, interpolation, crop_pct), where the
            network says so.
        classes: their names in order, where the network's entry says them.
        weights: sha256 (see `gpunet.exporters.metadata.weights_sha256`), state ('trained', 'untrained' or 'not
            stated'), source and licence.
        inputs, outputs: of the network: name, dtype, shape ('batch' for an open axis) and layout; of an input range,
            mean and std, by which pictures become it, where the network says so.
        opset: of the ONNX that it was made of.
        reparameterized: branches of the network are fused for inference.
        versions: of the packages that the graph is made by; its own runtime has `runtime_version`.
        run: how it is run, by runtime: lines of Python or of a shell, in the file's folder.
        polygraphy: the command line by which Polygraphy compares the file with ONNX Runtime, in the file's folder; ''
            where it reads no such file.
        command: the command line that made it; () for a call from Python.
        gpunet_version: of this package.
        created: UTC, ISO 8601.
    """

    format: str
    artefact_sha256: str
    artefact_bytes: int
    onnx_sha256: str
    precision: str
    batch: tuple[int, int, int]
    runtime: str
    runtime_version: str
    model: str | None = None
    spec_sha256: str | None = None
    gpu: str | None = None
    compute_capabilities: tuple[str, ...] = ()
    os: str = ""
    machine: str = ""
    builder_flags: Mapping[str, Any] = field(default_factory=dict, hash=False)
    verification: Mapping[str, Any] | None = field(default=None, hash=False)
    report: Mapping[str, Any] | None = field(default=None, hash=False)
    preprocessing: Mapping[str, Any] | None = field(default=None, hash=False)
    classes: tuple[str, ...] = ()
    weights: Mapping[str, Any] = field(default_factory=dict, hash=False)
    inputs: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    outputs: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    opset: int | None = None
    reparameterized: bool = False
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    run: Mapping[str, Any] = field(default_factory=dict, hash=False)
    other_files_sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    polygraphy: str = ""
    command: tuple[str, ...] = ()
    gpunet_version: str = ""
    created: str = ""

    def __post_init__(self) -> None:
        format_named(self.format, "a sidecar's format")

    @property
    def weights_sha256(self) -> str | None:
        """Of the network's weights; None where the sidecar does not say."""
        return self.weights.get("sha256")

    def hashes(self, artefact: Path) -> dict[Path, str]:
        """The SHA-256 of each file of the artefact, as far as the sidecar says it."""
        chosen = format_named(self.format)[1]
        hashed = chosen.hashed(artefact)
        others = {file: self.other_files_sha256.get(file.suffix) for file in chosen.files(artefact) if file != hashed}
        return {hashed: self.artefact_sha256, **{file: known for file, known in others.items() if known}}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        body = {"sidecar_version": SIDECAR_VERSION, **asdict(self)}
        return {**body, **{name: list(body[name]) for name in _LISTS}}

    @classmethod
    def from_dict(cls, data: object, where: str = "") -> Sidecar:
        """The sidecar that `to_dict` wrote, in this version or the first.

        Raises:
            InvalidArgumentError: (a ValueError) it is of another version, or a key is unknown, missing or wrong.
        """
        first = isinstance(data, Mapping) and data.get("sidecar_version") == 1
        version = 1 if first else SIDECAR_VERSION
        body = body_of(data, "sidecar", "sidecar_version", version, error=InvalidArgumentError, where=where)
        if first:
            sha256 = body.pop("weights_sha256", None)
            body = {**_LATER, "weights": {"sha256": sha256} if sha256 else {}, **body}
        known = {each.name for each in fields(cls)}
        odd = sorted(set(body) ^ known)
        if odd:
            raise InvalidArgumentError(f"{where}: {odd[0]} is {'unknown' if odd[0] in body else 'missing'}.")
        lists = {name: body[name] for name in _LISTS}
        texts = {
            name: body[name] for name in ("artefact_sha256", "onnx_sha256", "precision", "runtime", "runtime_version")
        }
        mappings = {name: body[name] for name in _MAPPINGS}
        for name, value in (*lists.items(), *texts.items(), *mappings.items()):
            kind = list if name in lists else dict if name in mappings else str
            if not isinstance(value, kind):
                raise InvalidArgumentError(f"{where}: {name} must be a {kind.__name__}, but is {value!r}.")
        return cls(**{**body, **{name: tuple(value) for name, value in lists.items()}})


def sidecar_path(artefact: str | Path) -> Path:
    """'gpunet_0.engine' -> 'gpunet_0.engine.json': its own, though several formats of a model lie in one folder."""
    artefact = Path(artefact)
    return artefact.with_name(artefact.name + ".json")


def write_sidecar(artefact: str | Path, sidecar: Sidecar) -> Path:
    """Write the sidecar of a file, atomically; returns its path."""
    path = sidecar_path(artefact)
    write_text(path, json.dumps(sidecar.to_dict(), indent=2) + "\n")
    return path


def read_sidecar(artefact: str | Path, *, check: bool = True) -> Sidecar:
    """The sidecar of a file.

    Args:
        artefact: the exported file.
        check: whether the file must be the one that the sidecar describes.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such file or no sidecar, or it cannot be read as one.
        ChecksumError: (a RuntimeError) the file is not the one that the sidecar describes.
    """
    artefact = Path(artefact)
    path = sidecar_path(artefact)
    again = f"Export it again: gpunet-export ... -o {artefact}"
    if not artefact.is_file():
        raise InvalidArgumentError(f"{artefact}: there is no such file.", again, exit_code=ABSENT_EXIT_CODE)
    if not path.is_file():
        raise InvalidArgumentError(
            f"{artefact}: there is no {path.name} beside it, which says what it is.", again, exit_code=ABSENT_EXIT_CODE
        )
    try:
        data = parsed_json(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{path}: not JSON: {error}.", again, exit_code=FAILED_EXIT_CODE) from error
    sidecar = Sidecar.from_dict(data, str(path))
    if check:
        for file, sha256 in sidecar.hashes(artefact).items():
            if not file.is_file() or sha256_of(file) != sha256:
                raise ChecksumError(f"{file} is not the file that {path.name} describes: its SHA-256 differs.", again)
    return sidecar


def now_utc() -> str:
    """The time, in UTC, as ISO 8601 to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
