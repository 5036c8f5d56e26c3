"""What an entry and a latency record must keep, whoever wrote them: types, ranges, lengths, plain words.

A zoo may be somebody else's. What its files say is printed on terminals, compared, and handed to timm and to downloads,
so every field is held to a rule before anything uses it. Words of one line hold nothing that a terminal would obey;
notes, licences, sources and classes may, and are printed as escapes (`gpunet.core.text.printable`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from gpunet.core.arguments import PRECISIONS, checked_integer, checked_number
from gpunet.core.text import printable
from gpunet.errors import EntryError
from gpunet.model.entry import Accuracy, Entry, LatencyRecord, Preprocessing, WeightsSource

MOST_CLASSES, MOST_CHANNELS, MOST_PX = 1_000_000, 1024, 8192
_WORDS, _TEXT = 300, 20_000  # letters of a line, of a note
_MOST_NAME_BYTES = 255  # of a file, as file systems take it
_SHOWN = 60  # letters of a value that a message repeats
_ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?/\S{1,2000}")
# Arguments of timm's that load or run something: an entry's network is its architecture, its weights are in `weights`.
_LOADS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "scriptable",
          "exportable", "no_jit")  # fmt: skip
# What can be asked for, and so must be said.
_ASKED_FOR = ("model", "chip", "runtime", "source")


def check_entry(entry: Entry) -> None:
    """Raise EntryError, naming the field, where an entry breaks a rule; its spec is read too."""
    _check_line("title", entry.title, empty=True)
    for name in ("licence", "note"):
        _check_text(name, getattr(entry, name))
    _check_list("sources", entry.sources)
    if entry.architecture is not None and not (
        isinstance(entry.architecture, str) and _ARCHITECTURE.fullmatch(entry.architecture)
    ):
        raise EntryError(
            f"architecture {_shown(entry.architecture)} is no plain name.",
            "Name it as timm does, without a place before it, or 'gpunet' with a spec.",
        )
    for name in ("distilled", "extra_data"):
        if not isinstance(getattr(entry, name), (bool, type(None))):
            raise EntryError(
                f"{name} must be true or false, but is {_shown(getattr(entry, name))}.",
                "Leave it out where it is not known.",
            )
    checked_integer("num_classes", entry.num_classes, 0, MOST_CLASSES, error=EntryError)
    checked_integer("in_chans", entry.in_chans, 1, MOST_CHANNELS, error=EntryError)
    for name in ("parameters_millions", "multiply_adds_billions", "activations_millions"):
        if getattr(entry, name) is not None:
            checked_number(name, getattr(entry, name), 0, 1e7, above=True, error=EntryError)
    _check_classes(entry)
    _check_model_args(entry.model_args)
    if entry.accuracy is not None:
        _check_accuracy(entry.accuracy)
    if entry.weights is not None:
        _check_weights(entry.weights)
    if entry.preprocessing is not None:
        _check_preprocessing(entry.preprocessing)
    if entry.spec_data is not None:
        if not isinstance(entry.spec_data, Mapping):
            raise EntryError(
                f"spec must be an object, but is {_shown(entry.spec_data)}.", "NetworkSpec.to_dict() makes one."
            )
        _ = entry.parameters, entry.multiply_adds  # reads the spec, at the input that the entry says


def check_record(record: LatencyRecord) -> None:
    """Raise EntryError, naming the field, where a record breaks a rule that LatencyRecord leaves to its reader."""
    for name in ("model", "chip", "board", "precision", "runtime", "runtime_version", "statistic"):
        _check_line(name, getattr(record, name), empty=name not in _ASKED_FOR)
    for name in ("source", "same_as"):
        _check_text(name, getattr(record, name))
    if not record.source.strip():
        raise EntryError("source is empty.", "Say who measured, how and when.")
    if not isinstance(record.conditions, Mapping):
        raise EntryError(
            f"conditions must be an object, but is {_shown(record.conditions)}.", "Leave them out, or say {}."
        )
    _check_plain_json("conditions", record.conditions)


def _check_accuracy(accuracy: Accuracy) -> None:
    checked_number("accuracy.top1_percent", accuracy.top1_percent, 0, 100, above=True, error=EntryError)
    if accuracy.top5_percent is not None:
        least = accuracy.top1_percent
        checked_number("accuracy.top5_percent", accuracy.top5_percent, least, 100, error=EntryError)
    if accuracy.precision not in ("", *PRECISIONS):
        raise EntryError(
            f"accuracy.precision must be one of {', '.join(PRECISIONS)}, but is {_shown(accuracy.precision)}.",
            "Leave it out for floating point.",
        )
    _check_line("accuracy.dataset", accuracy.dataset)
    _check_text("accuracy.source", accuracy.source)


def _check_weights(weights: WeightsSource) -> None:
    """Names of places that stay where they are: a file beside the entry, a repository, an https address."""
    file = weights.file
    if file is not None:
        _check_line("weights.file", file)
        if file != PurePosixPath(file).name or file != PureWindowsPath(file).name or file in (".", ".."):
            raise EntryError(
                f"weights.file {_shown(file)} leaves the entry's folder.",
                "Name a file that lies beside the entry, without a folder.",
            )
        if len(file.encode()) > _MOST_NAME_BYTES:
            raise EntryError(
                f"weights.file {_shown(file)} has {len(file.encode())} bytes, but a file's name has at most "
                f"{_MOST_NAME_BYTES}.",
                "Give the file a shorter name.",
            )
    for name, rule, what in (
        ("sha256", _SHA256, "64 digits of hex"),
        ("hf_repo", _REPOSITORY, "a repository such as owner/name"),
        ("ngc_url", _ADDRESS, "an https address"),
    ):
        value = getattr(weights, name)
        if value is not None and not (isinstance(value, str) and rule.fullmatch(value) and printable(value) == value):
            raise EntryError(
                f"weights.{name} must be {what}, but is {_shown(value)}.",
                "Leave it out, and the weights lie elsewhere.",
            )
    if weights.ngc_member is not None:
        _check_line("weights.ngc_member", weights.ngc_member)


def _check_preprocessing(steps: Preprocessing) -> None:
    checked_integer("preprocessing.input_px", steps.input_px, 1, MOST_PX, error=EntryError)
    checked_number("preprocessing.crop_pct", steps.crop_pct, 0, 10, above=True, error=EntryError)
    _check_line("preprocessing.interpolation", steps.interpolation)
    for name, least in (("mean", -1e6), ("std", 0)):
        values = getattr(steps, name)
        if not isinstance(values, tuple) or not 1 <= len(values) <= MOST_CHANNELS:
            raise EntryError(
                f"preprocessing.{name} must be a list of numbers, but is {_shown(values)}.",
                "Give one for each channel.",
            )
        for value in values:
            checked_number(f"preprocessing.{name}", value, least, 1e6, above=name == "std", error=EntryError)


def _check_classes(entry: Entry) -> None:
    if entry.classes is None:
        return
    _check_list("classes", entry.classes)
    if len(entry.classes) > entry.num_classes:  # fewer are those of a part of ImageNet's, and are not used
        raise EntryError(
            f"classes names {len(entry.classes)}, but num_classes is {entry.num_classes}.",
            "Name each class once, in the order of the model's outputs.",
        )


def _check_model_args(arguments: object) -> None:
    if arguments is None:
        return
    if not isinstance(arguments, Mapping):
        raise EntryError(
            f"model_args must be an object, but is {_shown(arguments)}.", "Leave them out where timm needs none."
        )
    loads = sorted(set(arguments) & set(_LOADS))
    if loads:
        raise EntryError(
            f"model_args has {loads[0]!r}, which says what is loaded, not what the network is.",
            "Weights are named under 'weights'.",
        )
    _check_plain_json("model_args", arguments)


def _check_plain_json(name: str, value: Mapping[str, Any]) -> None:
    try:
        text = json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise EntryError(f"{name} is not of plain JSON types: {error}.", "Numbers are finite.") from None
    if len(text) > 50 * _TEXT:
        raise EntryError(f"{name} is longer than {50 * _TEXT:,} letters.", "Keep there only what the entry needs.")


def _check_line(name: str, value: object, *, empty: bool = False) -> None:
    """Raise unless it is a line of plain words."""
    if type(value) is str and len(value) <= _WORDS and value.isascii() and value.isprintable() and value.strip():
        return  # most are
    _check_text(name, value, _WORDS)
    text = str(value)
    if not empty and not text.strip():
        raise EntryError(f"{name} is empty.", "Say something, in plain words.")
    if printable(text) != text:
        raise EntryError(f"{name} {_shown(text)} has letters that a terminal would obey.", "Give plain words.")


def _check_text(name: str, value: object, most: int = _TEXT) -> None:
    if type(value) is str and len(value) <= most and value.isascii():
        return  # most are
    if not isinstance(value, str):
        raise EntryError(f"{name} must be a text, but is {_shown(value)}.", "Put it in quotation marks.")
    if len(value) > most:
        raise EntryError(f"{name} has {len(value):,} letters, but at most {most:,} are read.", "Shorten it.")
    if any("\ud800" <= each <= "\udfff" for each in (() if value.isascii() else value)):
        raise EntryError(f"{name} {_shown(value)} is no Unicode text.", "Write it as UTF-8.")


def _check_list(name: str, values: object) -> None:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise EntryError(f"{name} must be a list of texts, but is {_shown(values)}.", "Put them in square brackets.")
    if len(values) > MOST_CLASSES:
        raise EntryError(f"{name} has {len(values):,} texts, but at most {MOST_CLASSES:,} are read.", "Leave some out.")
    for index, value in enumerate(values):
        _check_text(f"{name}[{index}]", value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
