"""`gpunet pareto --detection`: the paper's Table 4, and beside it the detectors that were trained here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gpunet.core import console
from gpunet.core.frontier import Point, dominator
from gpunet.core.json_files import parsed_json
from gpunet.zoo.published import DETECTION_INPUT_PX, TABLE_4, detections

_DETECTOR, _RESULT, _RUN = "detector.json", "result.json", "run.json"


def print_front(zoo: Sequence[str] | None, *, as_json: bool) -> None:
    """Print what is published, with its frontier, and what is one's own: the runs of detectors in folders of `zoo`."""
    published = detections()
    points = [Point(each.model, each.latency_ms, each.map_percent) for each in published]
    better = {point.name: dominator(point, points) for point in points}
    own = [each for folder in zoo or () for each in _runs(Path(folder).expanduser())]
    if as_json:
        rows = [
            {"backbone": each.model, "detector": each.method, "kind": "published", "latency_ms": each.latency_ms,
             "map_percent": each.map_percent, "top1_percent": each.top1_percent, "source": TABLE_4,
             "on_frontier": better[each.model] is None}
            for each in published
        ]  # fmt: skip
        console.print_json({"input_px": DETECTION_INPUT_PX, "published": rows, "own": own})
        return
    lines = [
        (each.model, each.method, console.milliseconds(each.latency_ms), console.percent(each.map_percent),
         console.percent(each.top1_percent), "published", _place(better[each.model]))
        for each in sorted(published, key=lambda each: each.latency_ms)
    ]  # fmt: skip
    columns = ("backbone", "detector", "ms>", "mAP %>", "top-1 %>", "kind", "on the frontier")
    print(console.table(columns, lines))
    print(f"\n{console.wrapped(_SAID)}")
    if own:
        rows_of_own = [
            (each["run"], each["backbone"], each["kind"], console.percent2(each["ap_percent"]), each["data"])
            for each in own
        ]
        print(f"\nTrained here, on other pictures, and in no frontier:\n{_table_of_own(rows_of_own)}")


_SAID = (
    f"Published alone: {TABLE_4}: COCO, {DETECTION_INPUT_PX} px, by TensorRT; the paper names neither GPU, batch nor "
    "precision. Nothing of it was measured or trained by this project. What a backbone takes here: gpunet bench "
    "gpunet_2 --input 3x800x1333 --backbone."
)


def _table_of_own(rows: Sequence[Sequence[object]]) -> str:
    return console.table(("run", "backbone", "kind", "AP %>", "scored on"), rows)


def _place(better: Point | None) -> str:
    return "yes" if better is None else f"no: {better.name} dominates"


def _runs(folder: Path) -> Iterator[dict[str, Any]]:
    """Finished runs of detectors: the folder itself, or those in it."""
    places = [folder] if (folder / _DETECTOR).is_file() else sorted(folder.glob("*/"))
    for place in places:
        try:
            detector, result, run = (parsed_json((place / name).read_bytes()) for name in (_DETECTOR, _RESULT, _RUN))
            yield {
                "run": str(place), "backbone": detector.get("backbone_name") or detector["backbone"],
                "kind": detector.get("kind", "cascade"), "ap_percent": result["best"].get("ap_percent"),
                "data": None if run.get("validation") is None else run["validation"]["name"],
            }  # fmt: skip
        except (OSError, ValueError, LookupError, AttributeError, TypeError):
            continue  # no detector, or one that has not ended
