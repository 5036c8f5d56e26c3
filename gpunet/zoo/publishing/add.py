"""Add a network to a zoo of one's own, with an accuracy that one measured: any of the zoo's or timm's, or a run's."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

from gpunet.core.files import sha256_of, write_text
from gpunet.core.folders import staging
from gpunet.core.placing import TURN_PART, put, tidied
from gpunet.errors import EntryError, UnknownModelError
from gpunet.model.entry import TIMM, Accuracy, Entry, Preprocessing, check_entry_name
from gpunet.zoo.catalog import Zoo, catalog, entry_named
from gpunet.zoo.entry_rules import check_entry
from gpunet.zoo.publishing.layout import ENTRY, LATENCY
from gpunet.zoo.publishing.measured_accuracy import accuracy_from_file
from gpunet.zoo.reading import entry_body, write_records


def add_entry(
    zoo: str | Path,
    model: str | Path,
    accuracy: Accuracy | str | Path,
    *,
    name: str | None = None,
    among: Zoo = None,
    replace: bool = False,
) -> Path:
    """Write an entry of a network with an accuracy of one's own as `zoo/NAME`, whole or not at all.

    What is known of the network travels: preprocessing, classes, licence, sources, counts, latency records; and weights
    that lie in a file. Those of timm's stay where timm finds them.

    Args:
        zoo: the folder of the entries; made if it is not there.
        model: an entry of the zoo, a tag of timm's (TAG@PX where it has several input sizes), or the folder of a
            training run or an entry.
        accuracy: or the file that says it; see `gpunet.zoo.publishing.measured_accuracy`.
        name: of the new entry. None for a run's or an entry's own; of a network of the zoo or of timm's, NAME-own or
            TAG-own@PX.
        among: folders of one's own entries, in which `model` is looked for too.
        replace: put it in the place of another entry of this name.

    Returns:
        The entry's folder.

    Raises:
        UnknownModelError: (a LookupError) nothing is called so, or only its figures are known.
        EntryError: (a ValueError) the file holds no accuracy, or the name is taken.
        ExportError: (a RuntimeError) the zoo cannot be written; what was there is there.
    """
    source = _source(model, among)
    measured = accuracy if isinstance(accuracy, Accuracy) else accuracy_from_file(accuracy, str(model))
    entry = _added(source, measured, name or _name_beside(source))
    zoo = Path(zoo).expanduser()
    folder = zoo / entry.name
    with tidied(zoo), staging(zoo, suffix=TURN_PART) as made:
        _check_free(entry.name, zoo, folder)
        _write(made, entry, source)
        catalog(made, strict=True)
        if not _is_there(folder, made, replace=replace):
            put(made, folder)
    return folder


def _source(model: str | Path, among: Zoo) -> Entry:
    """The network, as an entry."""
    places = [among] if isinstance(among, (str, Path)) else list(among or ())
    try:
        entry = entry_named(model, [*places, TIMM])
    except UnknownModelError as error:
        tags = sorted(each.name for each in catalog(TIMM).values() if each.role == TIMM and each.architecture == model)
        if tags:
            hint = f"Name one: {', '.join(tags)}."
            raise UnknownModelError(f"{model} has several input sizes.", hint, nearest=tags) from None
        if Path(model).is_dir() or not (found := _of_timm(str(model))):
            raise error
        return found
    if not entry.buildable:
        raise UnknownModelError(f"{entry.name} cannot be built: only its published figures are known.")
    return entry


def _of_timm(name: str) -> Entry | None:
    """A network of timm's without a published accuracy; None where timm has none of this name."""
    import timm
    import torch

    cfg = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if cfg is None:
        return None
    with torch.device("meta"):
        parameters = sum(each.numel() for each in timm.create_model(name).parameters())
    steps = Preprocessing(cfg.input_size[-1], cfg.crop_pct, cfg.interpolation, tuple(cfg.mean), tuple(cfg.std))
    return Entry(
        name=name, role=TIMM, architecture=name, accuracy=None, preprocessing=steps, num_classes=cfg.num_classes,
        in_chans=cfg.input_size[0], licence=cfg.license or "not stated", parameters_millions=round(parameters / 1e6, 3),
        sources=(f"timm {timm.__version__}",),
    )  # fmt: skip


def _name_beside(source: Entry) -> str:
    """'mine' for 'mine', 'resnet50.a1_in1k-own@288' for 'resnet50.a1_in1k@288', which has its name in another zoo."""
    tag, at, px = source.name.partition("@")
    return source.name if source.role == "own" else f"{tag}-own{at}{px}"


def _added(source: Entry, accuracy: Accuracy, name: str) -> Entry:
    check_entry_name(name)
    check_entry(dataclasses.replace(source, accuracy=accuracy))
    classes = source.classes
    if classes is None and source.role != "own" and "imagenet" not in accuracy.dataset.lower():
        # An entry without names is taken for ImageNet's by the data that its accuracy is of.
        from gpunet.model.classes import imagenet_words

        classes = imagenet_words(source.num_classes)
    records = tuple(dataclasses.replace(each, model=name) for each in source.records)
    return dataclasses.replace(source, name=name, role="own", accuracy=accuracy, classes=classes, records=records)


def _write(folder: Path, entry: Entry, source: Entry) -> None:
    body = {key: value for key, value in entry_body(entry).items() if key != "role"}
    if entry.weights is not None and entry.weights.file is not None and source.folder is not None:
        weights = source.folder / entry.weights.file
        if not weights.is_file():
            raise EntryError(f"the weights of {source.name} are not there: {weights}.", "Put them there, or train it.")
        shutil.copyfile(weights, folder / entry.weights.file)
        body["weights"]["sha256"] = sha256_of(folder / entry.weights.file)
    write_text(folder / ENTRY, json.dumps(body, indent=2, ensure_ascii=False) + "\n")
    if entry.records:
        write_records(folder / LATENCY, entry.records)


def _check_free(name: str, zoo: Path, folder: Path) -> None:
    """Raise where an entry that is not in that folder has the name."""
    other = catalog([zoo, TIMM]).get(name)
    if other is not None and (other.folder is None or other.folder.resolve() != folder.resolve()):
        raise EntryError(f"the zoo has an entry {name!r} already.", "Give yours another name: --name NAME.")


def _is_there(folder: Path, made: Path, *, replace: bool) -> bool:
    """Whether the folder holds what was made already; raises where it may not be replaced."""
    if not folder.exists():
        return False
    if not (folder / ENTRY).is_file():
        raise EntryError(f"{folder} is there, and is no entry's folder.", "Move it away, or give another name.")
    here, new = (
        {each.name: each.read_bytes() for each in place.iterdir() if each.is_file()} for place in (folder, made)
    )
    if here == new:
        return True
    if not replace:
        raise EntryError(f"{folder} holds another entry.", "Give another name: --name NAME, or replace it: --replace.")
    strays = sorted(each.name for each in folder.iterdir() if each.name not in {ENTRY, LATENCY, *_files_of(folder)})
    if strays:
        raise EntryError(f"{folder} holds {strays[0]!r} too, which would be lost.", "Give another name: --name NAME.")
    return False


def _contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def _files_of(folder: Path) -> set[str]:
    weights = [each.weights.file for each in catalog(folder).values() if each.role == "own" and each.weights]
    return {file for file in weights if file}
