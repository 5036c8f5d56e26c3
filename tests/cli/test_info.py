from __future__ import annotations

import json

import pytest

from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, UnknownModelError


def test_info_tells_accuracy_counts_input_weights_licence_and_sources(capsys):
    main(["info", "gpunet_2"])
    text = capsys.readouterr().out
    for said in (
        "82.2 % on ImageNet-1k validation",
        "25,798,704",
        "8,386,275,920 for one image",
        "384 px, centre crop 1, bicubic",
        "NGC: https://api.ngc.nvidia.com/v2/models/nvidia/dle/gpunet_2_pyt_ckpt/versions/21.12.0_amp/zip",
        "(1.75ms.pth.tar)",
        "see NGC",
    ):
        assert said in text


def test_info_shows_the_spec_stage_by_stage(capsys):
    main(["info", "gpunet_2"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    stages = {line[1]: line for line in lines if line[:1] == ["stage"]}
    assert len(stages) == 7
    assert stages["1"][2:9] == ["fused_irb", "1", "5", "2", "6", "32", "94"]
    assert " ".join(stages["1"]).endswith("squeeze-excitation, strided layer not padded")
    assert stages["6"][2:8] == ["irb", "7", "5", "1", "2", "832"]


def test_info_shows_each_record_with_kind_and_source(capsys):
    main(["info", "gpunet_p1"])
    text = capsys.readouterr().out
    assert "nominal   tier" in text
    assert "a nominal tier, not a measurement" in text
    assert text.count("measured") >= 18


def test_info_json_holds_the_whole_entry(capsys):
    main(["info", "gpunet_1", "--json"])
    entry = json.loads(capsys.readouterr().out)
    assert entry["name"] == "gpunet_1"
    assert entry["parameters"] == 12_704_192
    assert len(entry["spec"]["stages"]) == 6
    assert len(entry["records"]) == 20
    assert {record["kind"] for record in entry["records"]} == {"measured", "nominal"}


def test_info_of_a_network_that_is_figures_only(capsys):
    main(["info", "alphanet_a2"])
    text = capsys.readouterr().out
    assert "none: only figures are known" in text
    assert "stage" not in text


def test_info_of_timms_network_has_no_spec_but_records(capsys):
    main(["info", "efficientnet_b0"])
    text = capsys.readouterr().out
    assert "architecture   efficientnet_b0" in text
    assert "1.18  measured" in text


def test_info_of_ones_own_entry(zoo, capsys):
    main(["info", "small", "--zoo", str(zoo)])
    assert "70 % on made up (a test)" in capsys.readouterr().out


def test_an_unknown_model_is_an_error_with_close_names():
    with pytest.raises(UnknownModelError, match="the zoo has no model 'gpunet_9'") as error:
        main(["info", "gpunet_9"])
    assert "gpunet_0" in error.value.hint


def test_info_draws_the_stages(tmp_path, capsys):
    main(["info", "gpunet_2", "--plot", str(tmp_path / "stages.svg")])
    drawn = (tmp_path / "stages.svg").read_text(encoding="utf-8")
    assert "drawn" in capsys.readouterr().err
    assert len(drawn) > 10_000
    with pytest.raises(InvalidArgumentError, match="no stages to draw"):
        main(["info", "resnet50", "--plot", str(tmp_path / "none.png")])
    assert not (tmp_path / "none.png").exists()
