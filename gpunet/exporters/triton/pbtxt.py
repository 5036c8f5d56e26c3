"""Protobuf's text format, as Triton's config.pbtxt has it: written from plain dicts, read back by Triton's definitions.

A message is a dict by field name: a str is quoted, an `Enum` is not, a list repeats its field, a dict in a dict is a
message. Writing needs no package; reading needs the definitions that `tritonclient` ships.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from gpunet.errors import ExportError, MissingDependencyError


class Enum(str):
    """The name of a protobuf enumeration's value, written without quotes."""


def config_text(config: Mapping[str, Any]) -> str:
    """A message in protobuf's text format, one field a line.

    >>> print(config_text({"name": "net", "input": [{"dims": [3, 224, 224]}]}), end="")
    name: "net"
    input {
      dims: [ 3, 224, 224 ]
    }
    """
    return "".join(f"{line}\n" for line in _lines(config, ""))


def _lines(message: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in message.items():
        if isinstance(value, (list, tuple)) and value and not isinstance(value[0], Mapping):
            yield f"{indent}{name}: [ {', '.join(_scalar(each) for each in value)} ]"
            continue
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, Mapping):
                yield f"{indent}{name} {{"
                yield from _lines(each, f"{indent}  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_scalar(each)}"


def _scalar(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, str) else str(value)


def definitions() -> ModuleType:
    """Triton's protobuf definitions (`ModelConfig` among them), as the package tritonclient ships them.

    Read from their file: importing them by name would need gRPC as well.

    Raises:
        MissingDependencyError: (an ImportError) tritonclient is not installed.
    """
    package = importlib.util.find_spec("tritonclient")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder, "grpc", "model_config_pb2.py")
        if path.is_file():
            spec = importlib.util.spec_from_file_location("gpunet_triton_model_config_pb2", path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise MissingDependencyError(
        "tritonclient is needed to read a Triton configuration back, but it is not installed.",
        "Install it: pip install 'gpunet[triton]'",
    )


def parsed(text: str) -> Any:
    """A `ModelConfig` from the text of a config.pbtxt.

    Raises:
        ExportError: (a RuntimeError) Triton's definitions do not accept it; the message names line and field.
        MissingDependencyError: (an ImportError) tritonclient is not installed.
    """
    message = definitions().ModelConfig()
    from google.protobuf import text_format

    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise ExportError(f"Triton's definitions do not accept the configuration: {error}.") from error
    return message
