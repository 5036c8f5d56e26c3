from __future__ import annotations

import json
from typing import Any

import pytest

from gpunet.cli.main import main
from gpunet.errors import ExportError, InvalidArgumentError, UnknownModelError
from gpunet.exporters.deployment import deploy
from gpunet.runtime.onnxruntime.arithmetic import computes_half
from gpunet.zoo.catalog import entry_named
from gpunet.zoo.models import model_from_entry

TORCH = ["--runtime", "pytorch", "--threads", "1", "--rounds", "2"]


def _bench(zoo, *arguments: str) -> None:
    main(["bench", "--zoo", str(zoo), *TORCH, *arguments])


def test_bench_measures_the_networks_named(zoo, capsys):
    _bench(zoo, "small", "large", "--json")
    said = json.loads(capsys.readouterr().out)
    assert list(said["measurements"]) == ["small", "large"]
    small, large = said["measurements"]["small"], said["measurements"]["large"]
    assert 0 < small["p25_ms"] < large["p25_ms"]
    assert small["repeats"] == 6
    assert small["conditions"]["runtime"] == "pytorch"
    assert small["conditions"]["input_shape"] == [1, 3, 32, 32]
    assert said["claims"] == []


def test_bench_says_plainly_where_the_claim_holds_and_where_it_does_not(zoo, capsys):
    _bench(zoo, "small", "slow_baseline", "sharp_baseline", "--rounds", "5")
    text = capsys.readouterr().out
    rows = {line.split()[0]: line for line in text.splitlines() if line.endswith(("holds", "HOLD", "as accurate"))}
    assert rows["slow_baseline"].endswith("holds")
    assert "small" in rows["slow_baseline"]
    assert rows["sharp_baseline"].endswith("nothing as accurate")
    assert "at least as accurate is faster, holds here for 1 of 1 baselines." in text


def test_bench_names_the_baselines_for_which_the_claim_does_not_hold(zoo, capsys):
    entry = json.loads((zoo / "sharp_baseline.json").read_text(encoding="utf-8"))
    entry["accuracy"]["top1_percent"] = 74.0
    (zoo / "sharp_baseline.json").write_text(json.dumps(entry), encoding="utf-8")
    _bench(zoo, "large", "sharp_baseline", "--rounds", "5")
    text = capsys.readouterr().out
    assert "DOES NOT HOLD" in text
    assert "holds here for 0 of 1 baselines; it does NOT hold for sharp_baseline." in text


def test_bench_measures_files_beside_networks(zoo, tmp_path, capsys):
    path = tmp_path / "small.onnx"
    deploy(model_from_entry(entry_named("small", [zoo]), pretrained=False), path, target="onnx", precision="fp16")
    main(["bench", str(path), "--zoo", str(zoo), "--runtime", "onnxruntime", "--rounds", "1"])
    text = capsys.readouterr().out
    row = next(line.split() for line in text.splitlines() if line.startswith(str(path)))
    computed = "fp16" if computes_half() else "fp32"
    assert row[1:6] == ["file", "-", "onnxruntime", computed, "32"]
    assert (f"{path} holds fp16, which is computed in fp32 here." in text) == (computed == "fp32")
    assert "order by latency" not in text
    assert "compares" not in text
    out = tmp_path / "told.json"
    main(["bench", "small", str(path), "--zoo", str(zoo), "-r", "onnxruntime", "--rounds", "1", "-o", str(out)])
    told = json.loads(out.read_text())["measurements"]
    assert [told[name]["conditions"]["precision"] for name in ("small", str(path))] == ["fp32", computed]
    assert told[str(path)]["conditions"]["file_precision"] == "fp16"


def test_bench_tells_the_conditions(zoo, capsys):
    _bench(zoo, "small", "--threads", "1", "--batch-size", "2")
    said = capsys.readouterr()
    assert "1 thread(s), pytorch " in said.out
    assert "fp32, batch 2, 6 repeats.\n" in said.out
    assert "measuring 1 network, 2 rounds of 3 runs" in said.err


def test_one_network_is_compared_with_nothing(zoo, capsys):
    for name in ("small", "slow_baseline"):
        _bench(zoo, name)
        said = capsys.readouterr().out
        for word in ("claim", "order", "in turn", "compares", "baselines"):
            assert word not in said
    _bench(zoo, "slow_baseline", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["claims"] == said["swapped"] == []


def test_what_was_measured_is_written(zoo, tmp_path, capsys):
    out = tmp_path / "new" / "small.json"
    _bench(zoo, "small", "-o", str(out), "--json")
    assert json.loads(out.read_text(encoding="utf-8")) == json.loads(capsys.readouterr().out)
    _bench(zoo, "small", "--output", str(out))
    said = capsys.readouterr()
    assert f"{out}: what was measured, as JSON" in said.out
    assert "warning: --output is called --out now" in said.err
    with pytest.raises(ExportError, match="is a folder"):
        _bench(zoo, "small", "-o", str(tmp_path))
    assert "measuring" not in capsys.readouterr().err


def test_a_file_that_is_not_there_has_an_exit_code_of_its_own(tmp_path):
    with pytest.raises(InvalidArgumentError, match="there is no such file") as error:
        main(["bench", str(tmp_path / "nothing.onnx")])
    assert error.value.exit_code == 4


def test_order_says_which_networks_changed_places():
    from gpunet.cli.bench.command import order_of
    from gpunet.cli.bench.comparison import swapped
    from gpunet.core.frontier import Point

    published = [Point("gpunet_1", 0.82, 80.5), Point("gpunet_p1", 0.96, 81.1)]
    here = [Point("gpunet_1", 30.0, 80.5), Point("gpunet_p1", 20.0, 81.1)]
    text = order_of(swapped(published, here), here, published)
    assert text == (
        "The order by latency is NOT the published one (GV100): gpunet_1 is slower than gpunet_p1 here (30.0 and 20.0 "
        "ms), published as faster (0.82 and 0.96 ms)."
    )
    assert "is the published one" in order_of([], here, published)
    assert order_of([], here[:1], published) == ""
    assert order_of([], here, published[1:]) == ""


def test_a_network_of_which_only_figures_are_known_is_refused(zoo):
    with pytest.raises(InvalidArgumentError, match="alphanet_a2 cannot be measured: only its published figures"):
        _bench(zoo, "alphanet_a2")


def test_an_unknown_name_is_refused_before_anything_is_measured(zoo, capsys):
    with pytest.raises(UnknownModelError, match="no model 'nothing'"):
        _bench(zoo, "small", "nothing")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runtime", "caffe"], "runtime must be one of"),
        (["--batch-size", "0"], "--batch-size must be an integer of 1 or more, but got 0"),
        (["--rounds", "0"], "--rounds must be an integer of 1 or more, but got '0'"),
        (["--threads", "0"], "--threads must be an integer of 1 or more, but got '0'"),
    ],
)
def test_wrong_options_are_known_errors(zoo, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        main(["bench", "--zoo", str(zoo), "--runtime", "pytorch", "small", *options])


def test_which_networks_are_measured(zoo):
    from gpunet.cli.bench.subjects import RunsBy, subjects

    def names(*given: str, **which: Any) -> list[str]:
        return [each.name for each in subjects(given, RunsBy(), **which)]

    assert names() == ["gpunet_0", "gpunet_1", "gpunet_2", "gpunet_d1", "gpunet_d2", "gpunet_p0", "gpunet_p1"]
    assert names("gpunet_1") == ["gpunet_1"]
    assert names("resnet50", "gpunet_1") == ["gpunet_1", "resnet50"]
    assert names("resnet50", "a.onnx", "gpunet_1") == ["gpunet_1", "a.onnx", "resnet50"]
    assert names("b.xml", "a.engine") == ["b.xml", "a.engine"]
    everything = names(baselines=True)
    assert {"gpunet_d2", "efficientnet_b0", "resnet50", "resnest50d", "regnetx_320", "fbnetv3_g"} <= set(everything)
    assert "alphanet_a2" not in everything
    assert {"small", "large"} <= set(names(zoo=[zoo]))


def test_another_size_and_a_backbone_alone(zoo, tmp_path, capsys):
    deep = {"type": "irb", "filters": 8, "stride": 2, "expansion": 2}
    entry = json.loads((zoo / "small.json").read_text(encoding="utf-8"))
    entry["name"], entry["spec"]["stages"] = "deep", [*entry["spec"]["stages"], deep, deep, deep]
    (zoo / "deep.json").write_text(json.dumps(entry), encoding="utf-8")
    _bench(zoo, "deep", "slow_baseline", "--input", "3x64x96", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["measurements"]["deep"]["conditions"]["input_shape"] == [1, 3, 64, 96]
    assert said["claims"] == []  # accuracies are of another size
    for runtime in ("pytorch", "onnxruntime"):
        _bench(zoo, "deep", "--input", "64x96", "--backbone", "--runtime", runtime)
        assert " 64x96 " in capsys.readouterr().out
    deploy(model_from_entry(entry_named("deep", [zoo]), pretrained=False), tmp_path / "deep.onnx", input_px=(64, 96))
    _bench(zoo, str(tmp_path / "deep.onnx"), "--input", "64x96", "--runtime", "onnxruntime", "--json")
    assert json.loads(capsys.readouterr().out)["measurements"]
    for wrong, message in (
        ([str(tmp_path / "deep.onnx"), "--input", "64x64", "--runtime", "onnxruntime"], "is fixed at input_px=96"),
        ([str(tmp_path / "deep.onnx"), "--backbone"], "--backbone is of a network, but a file is named"),
        (["deep", "--input", "4x64x64"], "has 4 channels"),
        (["deep", "--input", "0x64"], "is no size of an image"),
        (["deep", "--trtexec", "--backbone"], "--backbone is of what is measured here"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            _bench(zoo, *wrong)
