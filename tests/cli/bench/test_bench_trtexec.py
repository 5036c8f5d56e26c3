from __future__ import annotations

import json

import pytest
from helpers import DATA

import gpunet
from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError

LOG = DATA / "trtexec_10_2.log"


def test_the_commands_are_printed_for_each_version(capsys):
    main(["bench", "gpunet_1", "--trtexec", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["export"] == "gpunet-export gpunet_1 --precision fp16 -b 1 -o gpunet_1.onnx"
    assert set(said["trtexec"]) == {"8.6", "10.4", "11"}
    assert "--stronglyTyped" in said["trtexec"]["10.4"]
    assert "--stronglyTyped" not in said["trtexec"]["11"]
    assert "--noCudaGraph" in said["trtexec"]["11"]
    main(["bench", "gpunet_1", "--trtexec"])
    assert "gpunet bench gpunet_1 --import-trtexec trtexec.log" in capsys.readouterr().out


def test_a_log_feeds_a_zoo(tmp_path, capsys):
    csv = tmp_path / "zoo" / "latency.csv"
    words = ["--import-trtexec", str(LOG), "--device", "a100", "--precision", "fp16", "-o", str(csv)]
    main(["bench", "gpunet_p0", *words])
    assert "measured (median)" in capsys.readouterr().out
    match = next(m for m in gpunet.find("a100", batch_size=8, zoo=csv.parent) if m.name == "gpunet_p0")
    assert any(record.source == "trtexec, from trtexec_10_2.log" for record in match.records)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trtexec"], "name one model for trtexec, but got none"),
        (["gpunet_0", "--import-trtexec", str(LOG)], "--import-trtexec needs the chip it ran on"),
        (
            ["gpunet_0", "--import-trtexec", "nowhere.log", "--device", "a100"],
            "nowhere.log cannot be read: No such file",
        ),
        (["gpunet_0", "--device", "a100"], "--device goes with --import-trtexec"),
        (["gpunet_0", "--trtexec", "-o", "record.json"], "--trtexec prints commands and writes no file"),
        (["gpunet_0", "--trtexec", "--import-trtexec", str(LOG)], "do not go together"),
    ],
)
def test_refusals(words, message):
    with pytest.raises(InvalidArgumentError, match=message):
        main(["bench", *words])
