from __future__ import annotations

import json
from pathlib import Path

import pytest

import gpunet
from gpunet.cli.main import main
from gpunet.errors import UsageError

SEVEN = ["gpunet_0", "gpunet_1", "gpunet_2", "gpunet_d1", "gpunet_d2", "gpunet_p0", "gpunet_p1"]


def test_list_prints_the_seven_with_their_figures(capsys):
    main(["list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == SEVEN
    assert lines[3].split()[:6] == ["gpunet_1", "released", "80.5", "12.70", "3.31", "288"]


def test_list_json(capsys):
    main(["list", "--json"])
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == SEVEN
    assert entries[1]["parameters"] == 12_704_192
    assert entries[1]["multiply_adds"] == 3_308_369_280


def test_list_baselines_says_of_which_only_figures_are_known(capsys):
    main(["list", "--baselines"])
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}
    assert len(rows) > 25
    assert "figures only" in rows["alphanet_a2"]
    assert "figures only" not in rows["efficientnet_b0"]


def test_list_with_ones_own_zoo(zoo, capsys):
    main(["list", "--zoo", str(zoo), "--json"])
    own = [entry for entry in json.loads(capsys.readouterr().out) if entry["role"] == "own"]
    assert [entry["name"] for entry in own] == ["large", "small"]
    assert own[0]["top1_percent"] == 75.0


def test_list_devices_names_chips_boards_and_what_is_recorded(capsys):
    main(["list", "--devices"])
    text = capsys.readouterr().out
    assert "a100   A100 80GB" in text
    assert "Quadro GV100 (PCIe)" in text
    assert "nominal" in text
    assert "'local' is this machine" in text


def test_devices_that_can_be_estimated_are_listed_when_asked_for(capsys):
    main(["list", "--devices", "--estimates"])
    assert "in FP16 by TensorRT: " in capsys.readouterr().out.replace("\n", " ")
    main(["list", "--devices", "--estimates", "--json"])
    assert {"chip": "l4", "kinds": ["estimated"]} in json.loads(capsys.readouterr().out)
    with pytest.raises(UsageError, match="--estimates is of devices"):
        main(["list", "--estimates"])


def test_list_devices_json_counts_every_published_record(capsys):
    main(["list", "--devices", "--json"])
    devices = json.loads(capsys.readouterr().out)
    assert {device["chip"] for device in devices} == {"a100", "gv100"}
    assert "v100" in next(device["aliases"] for device in devices if device["chip"] == "gv100")
    baselines = 25
    repeated = 14  # NVIDIA's README has Triton's figures of batch 1 once more
    assert sum(device["records"] for device in devices) == 138 - repeated + baselines
    assert "tensorrt 8" in next(device["runtimes"] for device in devices if device["board"] == "V100 32GB")


def test_names_by_wildcard(capsys):
    main(["list", "gpunet_p*", "gpunet_d?", "--json"])
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == [
        name for name in gpunet.list_models() if name[7] in "pd"
    ]
    assert gpunet.list_models("gpunet_p*") == ["gpunet_p0", "gpunet_p1"]
    assert gpunet.list_models(["gpunet_p*", "gpunet_0"]) == ["gpunet_0", "gpunet_p0", "gpunet_p1"]
    assert gpunet.list_models("nothing*") == []


def test_the_folder_of_an_entry_is_a_model(zoo: Path, tmp_path: Path, capsys):
    run = tmp_path / "run0"
    run.mkdir()
    (zoo / "small.json").rename(run / "entry.json")
    main(["info", str(run), "--json"])
    assert json.loads(capsys.readouterr().out)["name"] == "small"
    assert gpunet.load(run, pretrained=False).entry.name == "small"
    main(["list", "small", "--zoo", str(run), "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 1
