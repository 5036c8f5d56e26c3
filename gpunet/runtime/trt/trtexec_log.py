"""trtexec's logs, and the JSON of its --exportTimes, as figures: GPU compute time and the switches it was taken under.

A machine with TensorRT but without this package can so measure for the zoo. Source of the formats: trtexec's own
(sampleReporting.cpp and sampleOptions.cpp of TensorRT 7 to 11).
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gpunet.core.json_files import parsed_json
from gpunet.errors import InvalidArgumentError
from gpunet.runtime.trt.library import version_numbers
from gpunet.runtime.trt.timing import WARM_UP_MS, Switches


@dataclass(frozen=True)
class TrtexecResult:
    """What a log or a file of times says. None where it does not.

    Args:
        latency_ms, mean_ms, min_ms, max_ms: GPU compute time: median, mean, least, most.
        p90_ms, p99_ms: its percentiles, as trtexec counts them: the time that this share of the queries did not exceed.
        end_to_end_ms: trtexec's 'Latency', median: the copies and the computation.
        enqueue_ms: median.
        throughput_qps: queries a second.
        iterations: queries that were measured.
        switches: see Switches.
        version: TensorRT's, e.g. '10.2.0'.
        device: name of the GPU.
        compute_capability: of the GPU.
        multiprocessors: of the GPU, or of the part of it that the run had.
        batch_size: images a query.
        input_shape: (N, C, H, W) of the first input; (C, H, W) of an engine with an implicit batch.
        precision: 'fp32', 'fp16' or 'int8' where the build options say; a strongly typed build does not say.
        command: the command line.
    """

    latency_ms: float
    mean_ms: float
    min_ms: float
    max_ms: float
    p90_ms: float | None
    p99_ms: float | None
    end_to_end_ms: float | None
    enqueue_ms: float | None
    throughput_qps: float | None
    iterations: int | None
    switches: Switches
    version: str | None
    device: str | None
    compute_capability: str | None
    multiprocessors: int | None
    batch_size: int | None
    input_shape: tuple[int, ...] | None
    precision: str | None
    command: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"input_shape": None if self.input_shape is None else list(self.input_shape)}


def import_trtexec(
    text: str, *, switches: Switches | None = None, version: str | None = None, warm_up_ms: float = WARM_UP_MS
) -> TrtexecResult:
    """Read a trtexec log, or the JSON that `--exportTimes` wrote.

    Args:
        text: all of it.
        switches: those that the run had; a log says them itself, and then wins. The JSON does not: give these, or
            `version` for the defaults of that trtexec.
        version: TensorRT's, where the text does not say it.
        warm_up_ms: queries that began earlier do not count; TensorRT 8.4 and older put them into the JSON.

    Raises:
        InvalidArgumentError: (a ValueError) it is neither, the run failed, used several streams, or says nothing of its
            switches.
    """
    text = _ANSI.sub("", text.removeprefix("\ufeff"))
    if not re.match(r"\s*\[\s*[{\]]", text):  # a log begins with '&&&& RUNNING' or '[06/17/2025-18:44:33] [I]'
        return _from_log(text, switches, version)
    try:
        queries = parsed_json(text)
    except json.JSONDecodeError as error:
        raise _unreadable(f"it begins as JSON and ends early ({error})") from error
    return _from_times(queries, switches, version, warm_up_ms)


def _unreadable(found: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"this is neither a trtexec log with a performance summary nor the JSON of --exportTimes: {found}.",
        "Keep all that trtexec prints: trtexec ... | tee LOG. Or add --exportTimes=FILE.",
    )


def _from_times(queries: Any, switches: Switches | None, version: str | None, warm_up_ms: float) -> TrtexecResult:
    if switches is None and version is None:
        raise InvalidArgumentError(
            "a file of times does not say whether CUDA graph, spin-wait and transfers were on; they move the figures.",
            "Give the switches, or the TensorRT version for its defaults; or import the log instead.",
        )
    if not isinstance(queries, list) or not all(
        isinstance(each, Mapping) and isinstance(each.get("computeMs"), (int, float)) for each in queries
    ):
        raise _unreadable("it is JSON, but no list of queries with computeMs")
    kept = [each for each in queries if float(each.get("startComputeMs", warm_up_ms)) >= warm_up_ms]
    if not kept:
        raise _unreadable(f"it holds {len(queries)} queries, none of them after a warm-up of {warm_up_ms:g} ms")
    compute = sorted(float(each["computeMs"]) for each in kept)
    if not all(0 < each < math.inf for each in compute):
        raise _unreadable("it holds times that are no numbers above 0")
    switches = switches or Switches.of_trtexec(version or "")
    return TrtexecResult(
        latency_ms=_median(compute), mean_ms=sum(compute) / len(compute), min_ms=compute[0], max_ms=compute[-1],
        p90_ms=_percentile(compute, 90), p99_ms=_percentile(compute, 99),
        end_to_end_ms=_median_of(kept, lambda each: each["latencyMs"]),
        enqueue_ms=_median_of(kept, lambda each: each["endEnqMs"] - each["startEnqMs"]),
        throughput_qps=None, iterations=len(kept), switches=switches, version=version, device=None,
        compute_capability=None, multiprocessors=None, batch_size=None, input_shape=None, precision=None, command=None,
    )  # fmt: skip


def _from_log(text: str, switches: Switches | None, version: str | None) -> TrtexecResult:
    lines = [_body(line) for line in text.splitlines()]
    found = _said(lines)
    if "&&&& FAILED" in text:
        raise _unreadable("this run failed, its log says '&&&& FAILED'")
    summaries = len(re.findall("=== Performance (?:summary|statistics) ===", text))
    if not summaries and re.search(r"--(dump|export)Profile|=== Profile \(", text):
        raise InvalidArgumentError(
            "this run profiled its layers, and trtexec then prints no summary: profiling slows the network.",
            "Run it again with --separateProfileRun, or without --dumpProfile and --exportProfile.",
        )
    if summaries != 1 or "compute" not in found:
        raise _unreadable(
            f"it holds {summaries} performance summaries" if summaries != 1 else "no GPU compute time in it"
        )
    streams = found.get("streams", "1")
    if streams != "1":
        raise InvalidArgumentError(
            f"this run had {streams} streams, whose queries share the GPU: their times are no latency.",
            "Run trtexec with one stream, its default.",
        )
    version = found.get("version") or _version_of_banner(found.get("banner", "")) or version
    compute = _figures(found["compute"])
    if not {"min", "max", "mean", "median"} <= set(compute) or not all(
        0 < each < math.inf for each in compute.values()
    ):
        raise _unreadable("its line of the GPU compute time is cut off, or holds times that are no numbers above 0")
    shape = _shape_of(found)
    return TrtexecResult(
        latency_ms=compute["median"], mean_ms=compute["mean"], min_ms=compute["min"], max_ms=compute["max"],
        p90_ms=compute.get("90"), p99_ms=compute.get("99"),
        end_to_end_ms=_figures(found.get("latency", "")).get("median"),
        enqueue_ms=_figures(found.get("enqueue", "")).get("median"),
        throughput_qps=float(found["throughput"]) if "throughput" in found else None,
        iterations=int(found["iterations"]) if "iterations" in found else None,
        switches=_switches_of(found, switches, ignored_graph="--useCudaGraph flag has been ignored" in text),
        version=version, device=found.get("device"), compute_capability=found.get("capability"),
        multiprocessors=int(found["multiprocessors"]) if "multiprocessors" in found else None,
        batch_size=_batch_of(found, shape), input_shape=shape, precision=_precision_of(found, version),
        command=found.get("command"),
    )  # fmt: skip


# What a line of a log says, after its '[date] [I] '. The last line that says it counts.
_LINES = {
    "banner": r"&&&& RUNNING TensorRT\.\S+ \[TensorRT v([\d.]+)\]",
    "command": r"&&&& RUNNING TensorRT\.\S+ \[[^\]]*\](?: \[[^\]]*\])? # (.+)",
    "version": r"TensorRT version: ([\d.]+)",
    "device": r"Selected Device: (.+)",
    "capability": r"Compute Capability: ([\d.]+)",
    "multiprocessors": r"SMs: (\d+)",
    "implicit_batch": r"Batch: (\d+)$",
    "precision": r"Precision: (\S+)",
    "streams": r"(?:Inference )?Streams: (\d+)",
    "transfers": r"Data transfers: (Enabled|Disabled)",
    "spin_wait": r"Spin-wait: (Enabled|Disabled)",
    "cuda_graph": r"CUDA Graph: (Enabled|Disabled)",
    "input_shape": r"(?:Created input|Input) binding for \S+ with dimensions (\d+(?:x\d+)+)",
    "iterations": r"Timing trace has (\d+) queries",
    "throughput": r"Throughput: ([\d.]+(?:e[+-]?\d+)?) qps",
    "compute": r"GPU Compute Time: (min = .+)",
    "latency": r"Latency: (min = .+)",
    "enqueue": r"Enqueue Time: (min = .+)",
}
_PRECISIONS = {"FP32": "fp32", "FP32+FP16": "fp16", "FP32+INT8": "int8", "FP32+FP16+INT8": "int8"}


_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DATED = re.compile(r"\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] (?:\[[A-Z]\] )?(.*)|(&&&& .*)|(?:^|\s)\[[IWEVF]\] (.*)")
_SECTIONS = {"GPU Compute": "compute", "Host Latency": "latency", "Enqueue Time": "enqueue"}  # of TensorRT 7


def decoded(data: bytes) -> str:
    """A log as text: UTF-8, or UTF-16, which PowerShell's `>` and Tee-Object write."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:200]:
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", errors="replace")
    return data.decode("utf-8-sig", errors="replace")


def _body(line: str) -> str:
    """What trtexec said in a line, without its date and level and whatever docker, kubectl or journald put before."""
    match = _DATED.search(line)
    return (next(part for part in match.groups() if part is not None) if match else line).strip()


def _said(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    section = None
    for body in lines:
        section = _SECTIONS.get(body, section)
        if section and (old := re.match(r"(min|max|mean|median|percentile): ([\d.e+-]+) ms(?: at ([\d.]+)%)?", body)):
            name = old[1] if old[3] is None else f"percentile({old[3]}%)"
            found[section] = f"{found.get(section, '')}{name} = {old[2]} ms, "
        for name, pattern in _LINES.items():
            match = re.match(pattern, body)
            if match:
                found[name] = match[1].strip()
    return found


def _figures(text: str) -> dict[str, float]:
    """'min = 1.5 ms, ..., percentile(99%) = 2 ms' -> {'min': 1.5, ..., '99': 2.0}."""
    pairs = re.findall(r"(\w+)(?:\(([\d.]+)%\))? = ([\d.]+(?:e[+-]?\d+)?) ms", text)
    return {percent or name: float(value) for name, percent, value in pairs}


def _version_of_banner(number: str) -> str | None:
    """'8603' -> '8.6.3', '100200' -> '10.2.0', '11.1.0' -> '11.1.0'."""
    if not number.isdigit():
        return number or None
    scale = 1000 if len(number) <= 4 else 10000
    value = int(number)
    middle = value % scale // 100
    return f"{value // scale}.{middle}.{value % 100}"


def _switches_of(found: Mapping[str, str], given: Switches | None, *, ignored_graph: bool) -> Switches:
    said = {name: found[name] == "Enabled" for name in ("cuda_graph", "spin_wait", "transfers") if name in found}
    if len(said) < 3 and given is None:
        raise InvalidArgumentError(
            "the log does not say whether CUDA graph, spin-wait and transfers were on, and they move the figures.",
            "Keep its head too ('=== Inference Options ==='), or give the switches.",
        )
    switches = dataclasses.replace(given or Switches(), **said)
    return dataclasses.replace(switches, cuda_graph=False) if ignored_graph else switches


def _precision_of(found: Mapping[str, str], version: str | None) -> str | None:
    """What the build options allow; None where the graph decides: 'Strongly Typed', and always from TensorRT 11 on."""
    graph_decides = version_numbers(version or "") >= (11,)
    return None if graph_decides else _PRECISIONS.get(found.get("precision", ""))


def _shape_of(found: Mapping[str, str]) -> tuple[int, ...] | None:
    shape = found.get("input_shape")
    if shape is None:
        asked = re.search(r"--shapes=[^ :]*:(\d+(?:x\d+)+)", found.get("command", ""))
        shape = asked[1] if asked else None
    return None if shape is None else tuple(int(side) for side in shape.split("x"))


def _batch_of(found: Mapping[str, str], shape: tuple[int, ...] | None) -> int | None:
    """The first of four dimensions; of an engine with an implicit batch, which has three, what the options say."""
    if shape is not None and len(shape) == 4:
        return shape[0]
    return int(found["implicit_batch"]) if "implicit_batch" in found else None


def _median_of(queries: Sequence[Mapping[str, Any]], value: Any) -> float | None:
    try:
        return _median(sorted(float(value(each)) for each in queries))
    except KeyError:
        return None


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _percentile(ordered: Sequence[float], percent: float) -> float:
    """trtexec's: leave out the highest (100 - percent) %, rounded down, and take the highest that stays."""
    return ordered[max(len(ordered) - 1 - int((1 - percent / 100) * len(ordered)), 0)]
