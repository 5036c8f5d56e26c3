"""Logs and times in the formats of trtexec 8.6, 10 and 11 (tests/data)."""

from __future__ import annotations

import json
import statistics

import pytest
from helpers import DATA

from gpunet.errors import InvalidArgumentError
from gpunet.runtime.trt.timing import Switches
from gpunet.runtime.trt.trtexec_log import decoded, import_trtexec

OLD, NEW = Switches(), Switches(cuda_graph=True, spin_wait=True, transfers=False)


def _log(name: str) -> str:
    return (DATA / f"trtexec_{name}.log").read_text()


def test_a_log_of_8_6() -> None:
    result = import_trtexec(_log("8_6"))
    assert (result.latency_ms, result.mean_ms, result.min_ms, result.max_ms) == (0.618408, 0.619771, 0.610352, 0.752197)
    assert (result.p90_ms, result.p99_ms) == (0.625488, 0.655396)
    assert result.end_to_end_ms == 0.680664
    assert result.enqueue_ms == 0.428223
    assert result.throughput_qps == 1503.14
    assert result.iterations == 4512
    assert result.switches == OLD
    assert (result.version, result.device, result.compute_capability) == ("8.6.3", "Quadro GV100", "7.0")
    assert (result.batch_size, result.precision) == (1, "fp16")
    assert result.command == "/usr/src/tensorrt/bin/trtexec --onnx=gpunet_0.onnx --fp16 --memPoolSize=workspace:10240"
    assert result.to_dict()["switches"] == {"cuda_graph": False, "spin_wait": False, "transfers": True}


def test_a_log_of_10_2_of_a_strongly_typed_graph() -> None:
    result = import_trtexec(_log("10_2"))
    assert result.latency_ms == 1.34912
    assert result.switches == Switches(cuda_graph=True, spin_wait=True, transfers=True)
    assert (result.version, result.device, result.batch_size) == ("10.2.0", "NVIDIA A100-SXM4-80GB", 8)
    assert result.precision is None


def test_a_log_of_11_1_that_loaded_an_engine() -> None:
    result = import_trtexec(_log("11_1"))
    assert result.latency_ms == result.end_to_end_ms == 0.244873
    assert result.switches == NEW
    assert (result.version, result.device, result.batch_size, result.precision) == ("11.1.0", "NVIDIA H200", 1, None)


@pytest.mark.parametrize(
    ("number", "version"),
    [("8603", "8.6.3"), ("8001", "8.0.1"), ("100200", "10.2.0"), ("110300", "11.3.0"), ("11.1.0.106", "11.1.0.106")],
)
def test_the_version_in_the_banner(number: str, version: str) -> None:
    lines = [line for line in _log("8_6").splitlines() if "TensorRT version" not in line]
    text = "\n".join(lines).replace("[TensorRT v8603]", f"[TensorRT v{number}]")
    result = import_trtexec(text)
    assert result.version == version
    assert result.precision == (None if version.startswith("11") else "fp16")


def test_a_graph_that_trtexec_gave_up_is_no_graph() -> None:
    warning = "[07/30/2024-15:30:36] [W] The specified --useCudaGraph flag has been ignored.\n"
    text = _log("10_2").replace("[07/30/2024-15:30:36] [I] Starting inference\n", warning)
    assert import_trtexec(text).switches == Switches(cuda_graph=False, spin_wait=True, transfers=True)


def test_the_batch_of_the_command_line_where_no_binding_says_it() -> None:
    text = "\n".join(line for line in _log("10_2").splitlines() if "binding for" not in line)
    assert import_trtexec(text).batch_size == 8
    assert import_trtexec("\n".join(x for x in _log("8_6").splitlines() if "binding for" not in x)).batch_size is None


def test_a_log_without_its_head_needs_the_switches() -> None:
    text = "\n".join(line for line in _log("8_6").splitlines() if "CUDA Graph" not in line)
    with pytest.raises(
        InvalidArgumentError, match="the log does not say whether CUDA graph, spin-wait and transfers were on"
    ):
        import_trtexec(text)
    assert import_trtexec(text, switches=NEW).switches == Switches(cuda_graph=True, spin_wait=False, transfers=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("&&&& PASSED", "&&&& FAILED"), "this run failed"),
        (lambda text: text[: text.index("=== Performance")], "it holds 0 performance summaries"),
        (lambda text: text + text, "it holds 2 performance summaries"),
        (lambda text: text.replace("GPU Compute Time: min", "GPU Time: min"), "no GPU compute time in it"),
        (lambda text: "", "it holds 0 performance summaries"),
        (lambda text: text.replace("Inference Streams: 1", "Inference Streams: 2"), "this run had 2 streams"),
    ],
)
def test_what_is_no_measurement_is_refused(change, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        import_trtexec(change(_log("8_6")))


@pytest.mark.parametrize("keep", [25, 40, 70, 92])
def test_a_log_that_is_cut_off_in_the_line_of_the_compute_time_is_refused(keep: int) -> None:
    text = _log("8_6")
    with pytest.raises(InvalidArgumentError, match="is cut off"):
        import_trtexec(text[: text.index("GPU Compute Time: min") + keep])


@pytest.mark.parametrize("bad", ["nan", "-0.6", "inf", "0"])
def test_times_that_are_none_are_refused(bad: str) -> None:
    with pytest.raises(InvalidArgumentError, match="no numbers above 0"):
        import_trtexec(_log("8_6").replace("median = 0.618408 ms", f"median = {bad} ms"))


@pytest.mark.parametrize("option", ["--dumpProfile", "--exportProfile=layers.json"])
def test_a_profile_in_place_of_a_summary_names_the_switch(option: str) -> None:
    text = _log("8_6").replace("--fp16", f"--fp16 {option}")
    with pytest.raises(InvalidArgumentError, match="prints no summary") as error:
        import_trtexec(text[: text.index("=== Performance")])
    assert "--separateProfileRun" in error.value.hint


# ------------------------------------------------------------ as logs arrive

_PREFIXES = {
    "docker compose": "trt-1  | ",
    "kubectl": "[pod/trt-7f9c/trtexec] ",
    "kubectl --timestamps": "2024-03-28T07:10:11.123456789Z ",
    "journald": "Mar 28 07:10:11 node7 trtexec[4711]: ",
    "GitLab": "\x1b[0;m",
}


@pytest.mark.parametrize("prefix", _PREFIXES.values(), ids=_PREFIXES)
@pytest.mark.parametrize("name", ["8_6", "10_2", "11_1"])
def test_what_stands_before_each_line_is_passed_over(prefix: str, name: str) -> None:
    lines = _log(name).splitlines()
    assert import_trtexec("\n".join(prefix + line for line in lines)) == import_trtexec(_log(name))


def test_colours_and_line_ends_are_passed_over() -> None:
    coloured = "\r\n".join(f"\x1b[32m{line}\x1b[0m" for line in _log("8_6").splitlines())
    assert import_trtexec(coloured) == import_trtexec(_log("8_6"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_that_shells_write(encoding: str) -> None:
    assert decoded(_log("8_6").encode(encoding)).lstrip("\ufeff") == _log("8_6")


def test_a_log_of_7() -> None:
    """In the layout of trtexec 7.0 to 7.2: a figure a line."""
    old = _log("8_6")
    head = (
        old[: old.index("=== Performance summary ===")]
        .replace("v8603", "v7202")
        .replace("version: 8.6.3", "version: 7.2.2")
    )
    blocks = {"Host Latency": 0.70, "Enqueue Time": 0.43, "GPU Compute": 0.62}
    lines = ["=== Performance summary ==="]
    for title, ms in blocks.items():
        lines += [title, f"min: {ms - 0.01} ms (end to end 0.9 ms)", f"max: {ms + 0.1} ms", f"mean: {ms + 0.01} ms",
                  f"median: {ms} ms", f"percentile: {ms + 0.05} ms at 99%"]  # fmt: skip
    found = import_trtexec(head + "\n".join(f"[I] {line}" for line in lines))
    assert (found.latency_ms, found.mean_ms, found.p99_ms) == (0.62, 0.63, pytest.approx(0.67))
    assert found.end_to_end_ms == 0.70
    assert found.version == "7.2.2"


# -------------------------------------------------------------- --exportTimes


def _times(count: int = 360) -> str:
    """As trtexec writes them: a query every 1.01 ms or so, each ninetieth late, warm-up included (8.4 and older)."""
    queries, now = [], 0.0
    for number in range(count):
        compute = 0.93 + 0.02 * (number * 7 % 10) / 10 + (0.4 if number % 90 == 89 else 0)
        start, end = now + 0.054, now + 0.054 + compute
        times = {
            "startEnqMs": now, "endEnqMs": now + 0.43, "startH2dMs": now, "endH2dMs": start, "startComputeMs": start,
            "endComputeMs": end, "startD2hMs": end, "endD2hMs": end + 0.004, "h2dMs": 0.054, "computeMs": compute,
            "d2hMs": 0.004, "latencyMs": 0.058 + compute,
        }  # fmt: skip
        queries.append("{ " + ", ".join(f'"{name}" : {value:g}' for name, value in times.items()) + " }")
        now = end + 0.004
    return "[\n  " + "\n, ".join(queries) + "\n]\n"


def test_times_without_the_warm_up() -> None:
    queries = [each for each in json.loads(_times()) if each["startComputeMs"] >= 200]
    assert 100 < len(queries) < 360
    compute = sorted(each["computeMs"] for each in queries)
    result = import_trtexec(_times(), version="10.4")
    assert result.iterations == len(queries)
    assert (result.min_ms, result.max_ms) == (compute[0], compute[-1])
    assert result.latency_ms == pytest.approx(statistics.median(compute))
    assert result.mean_ms == pytest.approx(statistics.mean(compute))
    assert result.p90_ms == compute[len(compute) - 1 - int(0.1 * len(compute))]
    assert result.p99_ms == compute[len(compute) - 1 - int(0.01 * len(compute))] > 1.3
    assert result.end_to_end_ms == pytest.approx(result.latency_ms + 0.058, abs=0.002)
    assert result.enqueue_ms == pytest.approx(0.43, abs=1e-3)
    assert (result.switches, result.version, result.device) == (OLD, "10.4", None)


def test_times_need_switches_or_a_version() -> None:
    with pytest.raises(InvalidArgumentError, match="a file of times does not say whether CUDA graph") as caught:
        import_trtexec(_times())
    assert "import the log instead" in caught.value.hint
    assert import_trtexec(_times(), version="11").switches == NEW
    assert import_trtexec(_times(), switches=NEW).switches == NEW


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[ { "startEnqMs" : 0.1, "end', "it begins as JSON and ends early"),
        ('[ { "name": "conv", "timeMs": 3 } ]', "no list of queries with computeMs"),
        ("[]", "it holds 0 queries, none of them after a warm-up of 200 ms"),
        ('[ { "startComputeMs": 5, "computeMs": 1 } ]', "it holds 1 queries, none of them after a warm-up"),
    ],
)
def test_json_of_another_kind_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        import_trtexec(text, version="10")


def test_old_times_without_latency_and_enqueue() -> None:
    result = import_trtexec('[ { "computeMs": 1 }, { "computeMs": 3 } ]', switches=OLD)
    assert (result.latency_ms, result.end_to_end_ms, result.enqueue_ms) == (2, None, None)
