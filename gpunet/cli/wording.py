"""Errors of the library in the words of a command line: its arguments as options, its calls as commands."""

from __future__ import annotations

import re
from collections.abc import Mapping

_BARE = r"""(?<![\w.'"/?&=-])"""  # not within a name, a path, an address or what a user gave
_RULES = "must|goes|needs|is|are|cannot|takes|has|measures|names"
# What the library tells who calls it, and what a command line has in its place.
_CALLS = {
    "with intervals: estimates=True": "with intervals: gpunet find --estimates",
    "gpunet.export(model, path, batch_size=...)": "gpunet export MODEL -o FILE --batch-size N",
    "gpunet.export(model, path)": "gpunet export MODEL -o FILE",
    "gpunet.benchmark(model, ...)": "gpunet bench MODEL",
    "gpunet.load_exported(path)": "gpunet predict FILE",
    "gpunet.create('local', max_ms=...) or 'gpunet bench' measures it": "--device local and 'gpunet bench' measure it",
    "records of one's own join by zoo=FOLDER": "records of one's own join by --zoo FOLDER",
    ", and so does gpunet.zoo.publish_entry": "",
    "batch=(least, optimal, most)": "--batch-size MIN:OPT:MAX",
    "batch=(1, 8, 64)": "--batch-size 1:8:64",
    "1, or (1, 8, 64)": "1, or 1:8:64",
}


def in_options(text: str, options: Mapping[str, str], said_as: Mapping[str, str]) -> str:
    """'Pass weights=FILE' -> 'Pass --weights FILE', 'max_ms must be' -> '--max-ms must be'.

    Args:
        text: an error's message or hint.
        options: of the command, by the names of its parameters.
        said_as: what the library calls otherwise than the command: an argument's option, or a phrase's wording.
    """
    for call, line in {**_CALLS, **{said: how for said, how in said_as.items() if not said.isidentifier()}}.items():
        text = text.replace(call, line)
    for name, option in {**options, **{said: how for said, how in said_as.items() if said.isidentifier()}}.items():
        text = _in_option(text, name, option)
    return text


def _in_option(text: str, name: str, option: str) -> str:
    text = re.sub(rf"\b{name}=True\b", option, text)
    if name.startswith("no_"):
        text = re.sub(rf"\b{name.removeprefix('no_')}=False\b", option, text)
    text = re.sub(rf"\b(?:Pass|Give) {name}=False\b", f"Leave {option} out", text)
    text = re.sub(rf"\b{name}=False\b", f"leaving {option} out", text)
    text = re.sub(rf"{_BARE}{name}=(['\"]?)([^\s'\",;)]+)\1", rf"{option} \2", text)
    text = re.sub(rf"\b(Leave|Pass|Give) {name}\b", rf"\1 {option}", text)
    # 'batch_size: 3 is odd' is of a recipe's key, which --set names as it stands.
    subject = rf"{_BARE}(?<!, ){name}\b(?!:)" if "_" in name else rf"^{name}(?= (?:{_RULES})\b)"
    return re.sub(subject, option, text)
