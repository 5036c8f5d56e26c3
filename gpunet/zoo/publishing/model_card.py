"""The model card of a published entry: README.md with the front matter that Hugging Face reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from gpunet.core.text import printable
from gpunet.model.entry import LatencyRecord
from gpunet.model.preprocessing import image_config, num_classes_of
from gpunet.model.spec import NetworkSpec
from gpunet.model.spec_table import parts_of
from gpunet.runtime.beside import speed_of
from gpunet.zoo.measured import measurement_from_record
from gpunet.zoo.publishing.publication import Publication

# Names that the hub takes as they are; anything else is 'other', with its own name beside it.
_LICENCES = (
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc-by-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-sa-4.0", "cc0-1.0", "ecl-2.0", "epl-2.0", "eupl-1.2", "gpl-2.0",
    "gpl-3.0", "isc", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "ncsa", "openrail", "postgresql", "unlicense", "zlib",
)  # fmt: skip
_CLASSES_SHOWN = 100
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "[": r"\[", "]": r"\]", "`": r"\`"}
_IMPORT = "import gpunet.registry  # makes 'gpunet' a model of timm's\n"


def model_card(publication: Publication) -> str:
    """The card's Markdown, front matter first; every figure in it is the publication's or counted from its model."""
    spec = getattr(publication.model, "spec", None)
    sections = [
        f"---\n{_front_matter(publication)}\n---\n\n# {publication.name}\n\n{_what_it_is(publication, spec)}",
        f"## Latency\n\n{_latency(publication)}",
        f"## Accuracy\n\n{_accuracy(publication)}",
        *([] if publication.classes is None else [f"## Classes\n\n{_classes(publication.classes)}"]),
        f"## Use\n\n{_use(publication, spec)}",
        *([] if spec is None else [f"## Architecture\n\n{_architecture(publication, spec)}"]),
        f"## Training\n\n{_training(publication)}",
        f"## Limitations\n\n{_limitations(publication)}",
    ]
    return "\n\n".join(sections) + "\n"


# ----------------------------------------------------------------- front matter


def _front_matter(publication: Publication) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    accuracy = publication.accuracy
    figures = {"Top-1 accuracy, percent": accuracy.top1_percent, "Top-5 accuracy, percent": accuracy.top5_percent}
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=_slug(accuracy.dataset),
            dataset_name=accuracy.dataset,
            metric_type="accuracy",
            metric_name=name,
            metric_value=value,
        )
        for name, value in figures.items()
        if value is not None
    ]
    licence = publication.licence.strip()
    known = licence.lower() in _LICENCES
    data = ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm", "gpunet", "latency"],
        license=licence.lower() if known else "other",
        license_name=None if known else _slug(licence),
        metrics=["accuracy"],
        model_name=publication.name,
        eval_results=results,
    )
    text: str = data.to_yaml()
    return text.strip()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-") or "unnamed"


# ------------------------------------------------------------------------- text


def _what_it_is(publication: Publication, spec: NetworkSpec | None) -> str:
    channels, side, _ = image_config(publication.model)["input_size"]
    classes = num_classes_of(publication.model)
    if spec is None:
        cost = f"{sum(each.numel() for each in publication.model.parameters()):,} parameters"
    else:
        parameters = spec.count_parameters(in_channels=channels, num_classes=classes)
        multiply_adds = spec.count_multiply_adds(in_channels=channels, num_classes=classes, resolution_px=side)
        cost = f"{parameters:,} parameters, {multiply_adds:,} multiply-adds for one image"
    lines = [
        f"An image classifier: {classes} classes, images of {side} x {side} px in {channels} channels, {cost}.",
        f"Top-1 accuracy {publication.accuracy.top1_percent:g} % on {_words(publication.accuracy.dataset)}; "
        f"{_short(publication.records[0])}.",
    ]
    if publication.tier_ms is not None:
        lines.append(_tier(publication, publication.tier_ms))
    if publication.note:
        lines.append(_words(publication.note))
    return "\n\n".join(lines)


def _short(record: LatencyRecord) -> str:
    return _words(
        f"{record.latency_ms:.4g} ms ({record.kind}, {record.statistic}) on {record.board or record.chip}, batch "
        f"{record.batch_size}, {record.precision}, {_runtime(record)}"
    )


def _tier(publication: Publication, tier_ms: tuple[float, float]) -> str:
    low, high = tier_ms
    record = publication.records[0]
    fits = "within it" if low <= record.latency_ms <= high else "outside it"
    text = f"Its tier is {low:g} to {high:g} ms: it is {record.kind} at {record.latency_ms:.4g} ms, {fits}."
    if publication.estimated_ms is not None:
        text += f" It was searched by an estimate of {publication.estimated_ms:.4g} ms."
    return text


def _runtime(record: LatencyRecord) -> str:
    return f"{record.runtime} {record.runtime_version}".strip()


def _speed(record: LatencyRecord) -> str | None:
    measurement = measurement_from_record(record)
    return None if measurement is None else speed_of(measurement)


def _latency(publication: Publication) -> str:
    columns = ("ms", "kind", "statistic", "chip", "board", "batch", "precision", "runtime", "threads",
               "machine's speed", "source")  # fmt: skip
    rows = [
        (
            f"{record.latency_ms:.4g}", record.kind, record.statistic, record.chip, record.board, record.batch_size,
            record.precision, _runtime(record), record.threads, _speed(record), record.source,
        )
        for record in publication.records
    ]  # fmt: skip
    lines = ["Milliseconds for the whole batch.", _table(columns, rows)]
    if any(_speed(record) for record in publication.records):
        lines.append(
            "The machine's speed, by which figures of two days are compared: what gpunet's reference of two fixed "
            "networks took beside the figure, or a GPU's clock."
        )
    if publication.estimated_ms is not None:
        first = publication.records[0]
        off = 100 * (publication.estimated_ms / first.latency_ms - 1)
        lines.append(
            f"The estimate by which it was searched, {publication.estimated_ms:.4g} ms, is {abs(off):.1f} % "
            f"{'above' if off >= 0 else 'below'} the first of these."
        )
    lines.append("latency.csv holds these records with all their conditions.")
    return "\n\n".join(lines)


def _accuracy(publication: Publication) -> str:
    accuracy = publication.accuracy
    rows = [("top-1", f"{accuracy.top1_percent:g}", accuracy.dataset, accuracy.source)]
    if accuracy.top5_percent is not None:
        rows.append(("top-5", f"{accuracy.top5_percent:g}", accuracy.dataset, accuracy.source))
    return f"{_table(('metric', '%', 'images', 'source'), rows)}\n\nThe network was {_words(publication.how_trained)}."


def _classes(classes: Sequence[str]) -> str:
    """Their names in the order of the outputs, as code, which nothing of Markdown or HTML gets out of."""
    names = [printable(re.sub(r"[\s`]+", " ", name).strip()) for name in classes[:_CLASSES_SHOWN]]
    more = "" if len(classes) <= _CLASSES_SHOWN else f" and {len(classes) - _CLASSES_SHOWN} more, which entry.json has"
    return f"In the order of the outputs: {', '.join(f'`{name}`' for name in names)}{more}."


def _use(publication: Publication, spec: NetworkSpec | None) -> str:
    name = publication.name
    registry = "" if spec is None else _IMPORT
    return f"""`FOLDER` is this folder; from a repository, `FOLDER = huggingface_hub.snapshot_download("USER/{name}")`.

```python
import gpunet

model = gpunet.load("{name}", zoo=FOLDER)
transform = model.transforms()
```

```python
import timm
{registry}
model = timm.create_model(f"local-dir:{{FOLDER}}", pretrained=True)  # or "hf-hub:USER/{name}"
```

```console
$ gpunet-export FOLDER -o {name}.onnx
```"""


def _architecture(publication: Publication, spec: NetworkSpec) -> str:
    channels = int(image_config(publication.model)["input_size"][0])
    columns = ("part", "type", "layers", "kernel", "stride", "expansion", "filters", "out px", "activation",
               "parameters", "multiply-adds", "")  # fmt: skip
    rows = [
        (
            part.name, part.kind, part.layers, part.kernel_size, part.stride,
            None if part.expansion is None else f"{part.expansion:g}", part.filters, part.out_px, part.activation,
            f"{part.parameters:,}", f"{part.multiply_adds:,}", part.extras,
        )
        for part in parts_of(spec, in_chans=channels, num_classes=num_classes_of(publication.model))
    ]  # fmt: skip
    return f"{_table(columns, rows)}\n\nThe whole spec is in config.json and entry.json."


def _training(publication: Publication) -> str:
    recipe = printable(json.dumps(dict(publication.recipe), indent=2, ensure_ascii=False), keep="\n")
    seed = "" if publication.seed is None else f", seed {publication.seed}"
    told = _words(f"Data: {publication.data}. Recipe {publication.recipe_name}{seed}")
    text = f"{told}:\n\n```json\n{recipe}\n```"
    if publication.versions:
        text += f"\n\n{_table(('software', 'version'), sorted(publication.versions.items()))}"
    if publication.sources:
        text += "\n\nSources:\n\n" + "\n".join(f"- {_words(source)}" for source in publication.sources)
    return text


def _limitations(publication: Publication) -> str:
    boards = _words(", ".join(sorted({record.board or record.chip for record in publication.records})))
    dataset, licence = _words(publication.accuracy.dataset), _words(publication.licence)
    lines = [
        f"- The latencies are of {boards}, under the conditions stated; other boards, runtimes, versions, "
        "precisions and batch sizes differ, and nothing is extrapolated to them.",
        f"- The accuracy is that of one training run on {dataset}; on other images it differs.",
        "- The network knows its own classes only, and was not examined for bias or for robustness.",
        f"- Licence of the weights: {licence}. The licence of the training data is not stated here.",
    ]
    return "\n".join(lines)


def _words(text: str) -> str:
    """Words of anybody's as one line of Markdown, in which they are no HTML, no link, no picture and no code."""
    return re.sub(
        r"[\[\]`<>]", lambda found: _MARKUP[found[0]], printable(" ".join(text.split())).replace("&", "&amp;")
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    def line(cells: Iterable[Any]) -> str:
        texts = ("-" if cell is None else _words(str(cell)).replace("|", r"\|") for cell in cells)
        return f"| {' | '.join(texts)} |"

    return "\n".join([line(columns), f"|{'---|' * len(columns)}", *(line(row) for row in rows)])
