from __future__ import annotations

import json

import pytest

from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, NothingFitsError, UnknownDeviceError


def test_find_prints_the_networks_that_fit_the_most_accurate_first(capsys):
    main(["find", "--device", "gv100", "--max-ms", "0.8"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "model", "top-1", "%", "params", "M", "ms", "kind", "statistic", "board", "precision", "runtime", "source"
    ]  # fmt: skip
    assert [line.split()[:5] for line in lines[2:4]] == [
        ["gpunet_p0", "80.3", "22.82", "0.63", "measured"],
        ["gpunet_0", "78.9", "11.89", "0.63", "measured"],
    ]
    assert lines[4] == ""
    assert lines[5] == "Top-1 is on ImageNet-1k validation."
    assert lines[7].startswith("[1] NVIDIA DeepLearningExamples GPUNet Triton report")


def test_find_json_is_json_and_nothing_else(capsys):
    main(["find", "-d", "Tesla V100", "--max-ms", "0.8", "--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    first, second = found.pop("matches")
    assert (found.pop("left_out"), found.pop("left_out_licences"), found.pop("search")) == ({}, {}, None)
    assert found == {"device": "Tesla V100", "batch_size": 1, "dataset": "ImageNet-1k validation"}
    assert (first["name"], first["latency_ms"], first["top1_percent"]) == ("gpunet_p0", 0.63, 80.3)
    assert first["record"]["kind"] == "measured"
    assert second["name"] == "gpunet_0"
    assert said.err == ""


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--min-top1", "82.5"], ["gpunet_d2", "gpunet_d1"]),
        (["--max-params", "12e6", "--max-ms", "1"], ["gpunet_0"]),
        (["--batch-size", "64", "--max-ms", "10.1"], ["gpunet_p0", "gpunet_0"]),
        (["--runtime", "pytorch", "--max-ms", "2"], ["gpunet_0"]),
        (["--max-ms", "1", "--include-nominal", "--min-top1", "80.4"], ["gpunet_p1", "gpunet_1"]),
        (["--max-ms", "1.1", "--include-baselines", "--precision", "fp16", "--min-top1", "80.3"],
         ["gpunet_p1", "gpunet_1", "gpunet_p0", "resnet50"]),
    ],
)  # fmt: skip
def test_each_option_reaches_the_query(options, names, capsys):
    main(["find", "-d", "gv100", *options, "--json"])
    assert [match["name"] for match in json.loads(capsys.readouterr().out)["matches"]] == names


def test_nothing_fits_is_an_error_with_the_nearest():
    with pytest.raises(NothingFitsError, match=r"no network fits gv100 at batch 1 with at most 0\.1 ms") as error:
        main(["find", "-d", "gv100", "--max-ms", "0.1"])
    assert "gpunet_p0: top-1 80.3 %; 0.63 ms" in error.value.hint


def test_an_unknown_device_is_an_error():
    with pytest.raises(UnknownDeviceError, match="unknown device 'a1000x'"):
        main(["find", "-d", "a1000x"])


def test_a_senseless_budget_is_an_error():
    with pytest.raises(InvalidArgumentError, match=r"--max-ms must be .*, but got -1\.0"):
        main(["find", "-d", "gv100", "--max-ms", "-1"])


def test_refresh_is_for_this_machine():
    with pytest.raises(InvalidArgumentError, match="--refresh measures this machine anew, but the device is 'gv100'"):
        main(["find", "-d", "gv100", "--refresh"])
