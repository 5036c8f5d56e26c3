"""`gpunet info`: everything that is known of one model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from gpunet.cli import options
from gpunet.cli.command import command
from gpunet.cli.options import opt
from gpunet.core import console
from gpunet.core.pictures import checked_picture
from gpunet.core.text import printable
from gpunet.errors import InvalidArgumentError
from gpunet.model.spec_table import parts_of

if TYPE_CHECKING:
    from gpunet.model.entry import Entry, LatencyRecord
    from gpunet.model.spec import NetworkSpec

_SHOWN_CONCURRENCIES = (8, 64, 128, 256)


@command("info", panel="Ask", examples=["gpunet info gpunet_1 --plot stages.png", "gpunet info run0 --json"])
def info(
    name: options.Model,
    plot: Annotated[
        Path | None,
        opt("--plot", metavar="FILE", help="draw its stages as .png, .svg or .pdf (needs the extra 'plots')"),
    ] = None,
    zoo: options.Zoo = None,
    as_json: options.Json = False,
) -> None:
    """Everything that is known of one model.

    Accuracy, preprocessing, weights, licence, architecture stage by stage, and its latency records with kind and
    source. The folder of an entry or of a run is a model too. --plot draws the stages as the paper's Fig. 6 does.
    """
    if plot is not None:
        checked_picture(plot, "--plot")
    from gpunet.zoo.timm_zoo.names import entry_by_name

    entry = entry_by_name(name, zoo)
    if plot is not None:
        if entry.spec is None:
            raise InvalidArgumentError(
                f"{entry.name} has no stages to draw.",
                "Leave out --plot: timm builds it, and describes no stages.",
            )
        from gpunet.report.architecture import draw_spec
        from gpunet.report.png import save_picture

        save_picture(draw_spec(entry.name, entry.spec), plot)
        console.note(f"drawn: {plot}")
    if as_json:
        console.print_json({**entry.to_dict(), **_published(entry)})
        return
    print(printable(f"{entry.name} ({entry.title})" if entry.title else entry.name))
    facts = list(_facts(entry))
    width = max(len(label) for label, _ in facts)
    for label, value in facts:
        print(console.wrapped(f"  {label:{width}}  {printable(value)}", hanging=width + 4))
    if entry.spec is not None:
        print(f"\n{_stages(entry.spec, entry.in_chans, entry.num_classes)}")
    if entry.records:
        print(f"\n{_records(entry)}")
    for said in _beside(entry):
        print(f"\n{said}")


def _facts(entry: Entry) -> Iterator[tuple[str, str]]:
    yield "role", entry.role
    yield "architecture", entry.architecture or "none: only figures are known"
    if entry.accuracy is not None:
        yield "top-1", f"{entry.accuracy.top1_percent:g} % on {entry.accuracy.dataset} ({entry.accuracy.source})"
    if entry.distilled is not None:
        yield "trained", f"with{'' if entry.distilled else 'out'} distillation"
    if entry.parameters is not None:
        yield "parameters", f"{entry.parameters:,}"
    if entry.multiply_adds is not None:
        yield "multiply-adds", f"{entry.multiply_adds:,} for one image"
    steps = entry.preprocessing
    if steps is not None:
        yield "input", f"{steps.input_px} px, centre crop {steps.crop_pct:g}, {steps.interpolation}"
    for place in _weights(entry):
        yield "weights", place
    yield "licence", entry.licence
    for source in entry.sources:
        yield "source", source
    if entry.note:
        yield "note", entry.note


def _weights(entry: Entry) -> Iterator[str]:
    weights = entry.weights
    if weights is None:
        return
    if weights.file:
        yield weights.file
    if weights.hf_repo:
        yield f"Hugging Face: {weights.hf_repo}"
    if weights.ngc_url:
        yield f"NGC: {weights.ngc_url} ({weights.ngc_member})"


def _stages(spec: NetworkSpec, in_chans: int, num_classes: int) -> str:
    rows = [
        (
            part.name,
            part.kind,
            part.layers,
            part.kernel_size,
            part.stride,
            None if part.expansion is None else f"{part.expansion:g}",
            part.filters,
            part.out_px,
            part.activation,
            console.millions(part.parameters),
            console.billions(part.multiply_adds),
            part.extras,
        )
        for part in parts_of(spec, in_chans=in_chans, num_classes=num_classes)
    ]
    columns = (
        "part", "type", "layers>", "kernel>", "stride>", "expansion>", "filters>", "out px>", "activation",
        "params M>", "multiply-adds G>", "",
    )  # fmt: skip
    return console.table(columns, rows)


def _records(entry: Entry) -> str:
    sources = console.Footnotes()
    rows = [
        (
            console.milliseconds(record.latency_ms),
            record.kind,
            record.statistic,
            record.chip,
            record.board,
            record.batch_size,
            record.precision,
            f"{record.runtime} {record.runtime_version}".strip(),
            sources.number(record.source) + _repeats(record, sources),
        )
        for record in entry.records
    ]
    columns = ("ms>", "kind", "statistic", "chip", "board", "batch>", "precision", "runtime", "source")
    return f"{console.table(columns, rows)}\n\n{sources}"


def _repeats(record: LatencyRecord, sources: console.Footnotes) -> str:
    return f", the measurement of {sources.number(record.same_as)} again" if record.same_as else ""


def _published(entry: Entry) -> dict[str, Any]:
    """What was published of it beside its latencies: Triton under load, the paper's Table 4."""
    from gpunet.zoo import published

    own = entry.role != "own"  # another's entry may have the name
    online = [asdict(each) for each in published.online_figures() if own and each.model == entry.name]
    detection = [asdict(each) for each in published.detections() if own and each.model == entry.name]
    return {"triton_online": online, "detection": detection}


def _beside(entry: Entry) -> Iterator[str]:
    from gpunet.zoo import published

    found = _published(entry)
    if found["triton_online"]:
        columns = ("requests at a time>", "images/s>", "p50 ms>", "p99 ms>", "board")
        rows = [
            (each["concurrency"], f"{each['throughput_ips']:g}", each["p50_ms"], each["p99_ms"], each["board"])
            for each in found["triton_online"]
            if each["concurrency"] in _SHOWN_CONCURRENCIES
        ]
        count = len(found["triton_online"])
        heading = console.wrapped(f"Under load, {len(rows)} of {count} rows (--json has all):")
        yield f"{heading}\n{console.table(columns, rows)}"
        yield console.wrapped(f"Source: {published.TRITON_SOURCE}")
    for each in found["detection"]:
        said = (
            f"As the backbone of {each['method']} at {published.DETECTION_INPUT_PX} px: {each['latency_ms']:g} ms by "
            f"TensorRT, mAP {each['map_percent']:g} % on COCO",
            f"Source: {published.TABLE_4}, which states neither GPU nor batch size nor precision",
        )
        yield "\n".join(map(console.wrapped, said))
