"""Publish a trained, measured network as one folder that gpunet's zoo, timm and the Hugging Face hub all read.

entry.json and latency.csv are for `gpunet.find(device, zoo=FOLDER)` and `gpunet.load(name, zoo=FOLDER)`; config.json
and model.safetensors for `timm.create_model('local-dir:FOLDER')`, after `import gpunet.registry`; README.md is the
model card; publication.json holds tier, estimate, recipe, seed and versions, for programs.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import torch

from gpunet.core.files import atomic_path, write_text
from gpunet.core.folders import staging
from gpunet.core.placing import TURN_PART, put, tidied
from gpunet.errors import EntryError
from gpunet.model.origin import weights_bytes
from gpunet.zoo.catalog import catalog
from gpunet.zoo.own import write_entry
from gpunet.zoo.publishing.layout import CARD, CONFIG, LATENCY, LAYOUT, PUBLICATION, WEIGHTS
from gpunet.zoo.publishing.model_card import model_card
from gpunet.zoo.publishing.publication import Publication
from gpunet.zoo.publishing.timm_config import timm_config
from gpunet.zoo.reading import write_records
from gpunet.zoo.weights.cache import read_safetensors
from gpunet.zoo.weights.nvidia import faults


def publish_entry(zoo: str | Path, publication: Publication, *, replace: bool = False) -> Path:
    """Write `zoo/NAME`, whole or not at all; returns that folder.

    The files are written into a hidden folder beside it, read back, and put into place in one step: whoever reads the
    zoo, and whenever this process is killed, there is the old entry or the new one. To publish the same content again
    changes nothing. Others who publish into the same zoo wait.

    Args:
        zoo: the folder of the entries; made if it is not there.
        publication: the network and what is known of it.
        replace: put other content in the place of an entry that is there.

    Raises:
        EntryError: (a ValueError) the package's zoo has the name, another content is there, the folder holds files
            that are not an entry's, or the weights are not the model's.
        ExportError: (a RuntimeError) the zoo cannot be written; what was there is there.
    """
    if publication.name in catalog():
        raise EntryError(f"the package's zoo has an entry {publication.name!r} already.", "Give yours another name.")
    zoo = Path(zoo).expanduser()
    folder = zoo / publication.name
    with tidied(zoo), staging(zoo, suffix=TURN_PART) as made:
        _write(made, publication)
        if catalog(made, strict=True)[publication.name].records != tuple(publication.records):
            raise EntryError(
                f"{publication.name}: its latency records are not the same once written.",
                "Give conditions of plain JSON types, and numbers that are finite.",
            )
        if not _is_there(folder, made, replace=replace):
            put(made, folder)
    return folder


def _is_there(folder: Path, made: Path, *, replace: bool) -> bool:
    """Whether the folder holds what was made already; raises where it may not be replaced."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise EntryError(f"{folder} is no folder.", "Move it away, or publish into another zoo.")
    strays = sorted({path.name for path in folder.iterdir()} - set(LAYOUT))
    if strays:
        raise EntryError(
            f"{folder} holds {strays[0]!r}, which is no file of a published entry.",
            "Publish into a folder of its own: what is not an entry's would be lost.",
        )
    here = {path.name: path.read_bytes() for path in folder.iterdir()}
    if here == {path.name: path.read_bytes() for path in made.iterdir()}:
        return True
    if here and not replace:
        raise EntryError(f"{folder} holds another content.", "Give another name, or replace it: replace=True.")
    return False


def _write(folder: Path, publication: Publication) -> None:
    weights = folder / WEIGHTS
    _write_weights(weights, publication)
    accuracy = publication.accuracy
    write_entry(
        folder,
        publication.name,
        publication.model,
        weights,
        accuracy=dataclasses.replace(accuracy, source=f"{accuracy.source}; {publication.how_trained}"),
        classes=publication.classes,
        licence=publication.licence,
        note=publication.note,
        sources=publication.sources,
    )
    write_records(folder / LATENCY, publication.records)
    config = timm_config(publication.model, licence=publication.licence, classes=publication.classes)
    for name, body in ((CONFIG, config), (PUBLICATION, publication.to_dict())):
        write_text(folder / name, json.dumps(body, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / CARD, model_card(publication))


def _write_weights(path: Path, publication: Publication) -> None:
    own = {name: each.detach().cpu() for name, each in publication.model.state_dict().items()}
    if publication.weights is None:
        whole = {name: each.clone(memory_format=torch.contiguous_format) for name, each in own.items()}
        with atomic_path(path) as part:
            part.write_bytes(weights_bytes(whole, publication.classes))
        return
    given = Path(publication.weights).expanduser()
    found, expected = (
        {name: tuple(each.shape) for name, each in state.items()} for state in (read_safetensors(given), own)
    )
    wrong = faults(found, expected)
    if wrong:
        raise EntryError(f"{given} does not hold the weights of {publication.name}: {wrong}.")
    with atomic_path(path) as part:
        shutil.copyfile(given, part)
