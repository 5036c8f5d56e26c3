from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.entries import RECORD, write_zoo
from PIL import Image

from gpunet.cli.main import main
from gpunet.core.frontier import Point, frontier
from gpunet.errors import InvalidArgumentError, MissingDependencyError, NothingFitsError
from gpunet.report.pareto import front_chart
from gpunet.zoo.choice.conditions import Query
from gpunet.zoo.query import candidates

FRONTIER = {"gpunet_p0", "gpunet_1", "gpunet_p1", "gpunet_d1", "gpunet_d2"}


def test_pareto_with_baselines_is_the_papers_figure_1b(capsys):
    main(["pareto", "--device", "gv100", "--baselines", "--json"])
    points = json.loads(capsys.readouterr().out)["points"]
    assert {point["name"] for point in points if point["on_frontier"]} == FRONTIER
    by_name = {point["name"]: point for point in points}
    # Table 3's figures, the rows that are figures only among them.
    assert (by_name["efficientnet_b0"]["latency_ms"], by_name["efficientnet_b0"]["top1_percent"]) == (1.18, 77.1)
    assert (by_name["alphanet_a6"]["latency_ms"], by_name["alphanet_a6"]["buildable"]) == (1.6, False)
    assert by_name["gpunet_2"]["dominated_by"] == "gpunet_d1"
    assert [point["latency_ms"] for point in points] == sorted(point["latency_ms"] for point in points)


def test_pareto_table_marks_the_frontier_and_names_sources(capsys):
    main(["pareto", "-d", "gv100", "--baselines"])
    text = capsys.readouterr().out
    rows = {line.split()[0]: line for line in text.partition("\n\n")[0].splitlines()[2:]}
    assert "  yes  " in rows["gpunet_p0"]
    assert "no: gpunet_p0 dominates" in rows["efficientnet_b0"]
    assert "figures only" in rows["alphanet_a2"]
    assert "5 of 32 networks are on the frontier: gpunet_p0, gpunet_1, gpunet_p1, gpunet_d1, gpunet_d2." in text
    assert "[2] paper, Table 3" in text


def test_without_baselines_only_the_seven_are_compared(capsys):
    main(["pareto", "-d", "a100"])
    assert "5 of 7 networks are on the frontier" in capsys.readouterr().out


def test_pareto_at_another_batch_size(capsys):
    main(["pareto", "-d", "a100", "--batch-size", "64", "--json"])
    points = json.loads(capsys.readouterr().out)["points"]
    assert {point["record"]["batch_size"] for point in points} == {64}


def test_timms_networks_are_on_it_and_what_a_licence_leaves_out_is_said(tmp_path: Path, capsys):
    command = ["pareto", "-d", "rtx4090", "--runtime", "pytorch", "--batch-size", "1024", "--zoo", "timm"]
    main([*command, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {point["role"] for point in found["points"]} == {"timm"}
    assert found["left_out_licences"]["cc-by-nc-4.0"] > 10
    main([*command, "--plot", str(tmp_path / "timm.svg")])
    assert "whose licence is not permissive or not known" in capsys.readouterr().err


def test_every_match_becomes_one_mark_and_those_of_the_front_have_names():
    timm = Query(device="rtx4090", runtime="pytorch", batch_size=1024, licence="any")
    for query, zoo in ((timm, "timm"), (Query(device="gv100", include_baselines=True), None)):
        matches = candidates(query, zoo, figures_only=True)
        chart = front_chart(matches, title="t", dataset=matches.dataset)
        marks = [mark for series in chart.series if series.kind == "points" for mark in series.marks]
        assert sorted((mark.x, mark.y) for mark in marks) == sorted((m.latency_ms, m.top1_percent) for m in matches)
        front = frontier([Point(match.name, match.latency_ms, match.top1_percent) for match in matches])
        named = {mark.label for mark in marks if mark.label}
        if zoo:  # timm's names have room, and no tag
            assert 4 <= len(named) <= min(len(front), 20)
            assert named <= {
                f"{tag.partition('.')[0]}{at}{px}" for tag, at, px in (p.name.partition("@") for p in front)
            }
        else:
            assert len(named) == len(matches)
        assert len(chart.note) < 1500


def test_networks_without_accuracy_are_no_points(tmp_path: Path):
    zoo = write_zoo(tmp_path, records=[RECORD])
    with pytest.raises(NothingFitsError, match=r"no network with a latency on l4 \(1\) has an accuracy on ImageNet-1k"):
        main(["pareto", "-d", "l4", "--zoo", str(zoo)])


def test_no_record_applies_is_an_error():
    with pytest.raises(NothingFitsError, match="no record applies to gv100 at batch 3"):
        main(["pareto", "-d", "gv100", "--batch-size", "3"])


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_plot_is_drawn_in_the_format_its_name_says(suffix, tmp_path: Path, capsys):
    path = tmp_path / f"pareto{suffix}"
    main(["pareto", "-d", "gv100", "--baselines", "--plot", str(path)])
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(begins)
    assert capsys.readouterr().err == f"drawn: {path}\n"
    assert list(tmp_path.iterdir()) == [path]


def test_plot_shows_every_network_by_name(tmp_path: Path):
    from matplotlib import rc_context

    path = tmp_path / "pareto.svg"
    with rc_context({"svg.fonttype": "none"}):
        main(["pareto", "-d", "gv100", "--baselines", "--plot", str(path)])
    text = path.read_text(encoding="utf-8")
    for name in ("gpunet_p0", "EfficientNet-B0", "GPUNet-D3", "AlphaNet-a2", "latency in ms", "top-1 accuracy in %"):
        assert name in text
    assert text.count("RegNet-X") == 3


def test_plot_is_not_blank(tmp_path: Path):
    path = tmp_path / "pareto.png"
    main(["pareto", "-d", "gv100", "--plot", str(path)])
    with Image.open(path) as image:
        colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
    green = (0, 158, 115)  # the released networks' stars
    assert sum(count for count, colour in colours if colour == green) > 500


def test_a_single_point_can_be_drawn(tmp_path: Path, capsys):
    path = tmp_path / "one.png"
    main(["pareto", "-d", "V100 32GB", "--runtime", "pytorch", "--plot", str(path)])
    assert path.stat().st_size > 1000
    assert "gpunet_p0" in capsys.readouterr().out


def test_an_ending_that_is_no_pictures_is_refused_before_anything_is_done(tmp_path: Path, capsys):
    with pytest.raises(InvalidArgumentError, match=r"--plot must end in \.png, \.svg, \.pdf, but got .*pareto\.txt"):
        main(["pareto", "-d", "gv100", "--plot", str(tmp_path / "pareto.txt")])
    assert capsys.readouterr().out == ""


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match=r"cannot write .*pareto\.png"):
        main(["pareto", "-d", "gv100", "--plot", str(tmp_path / "file" / "pareto.png")])


def test_without_matplotlib_the_extra_is_named(tmp_path: Path):
    # An interpreter in which matplotlib cannot be found, as where the extra was not installed.
    code = (
        "import sys\n"
        "from importlib.machinery import PathFinder\n"
        "class WithoutMatplotlib(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        return None if name.startswith('matplotlib') else super().find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutMatplotlib\n"
        "sys.argv = ['gpunet', 'pareto', '-d', 'gv100', '--plot', 'pareto.png']\n"
        "from gpunet.cli.main import run; run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 5
    assert "matplotlib is needed to draw a picture, but it is not installed." in done.stderr
    assert "pip install 'gpunet[plots]'" in done.stderr
    assert done.stdout == ""
    assert issubclass(MissingDependencyError, ImportError)


def test_efficientnetv2_is_a_curve_that_counts_for_no_frontier(capsys):
    main(["pareto", "-d", "gv100", "--baselines", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [(row["title"], row["latency_ms"], row["top1_percent"]) for row in found["efficientnetv2"]] == [
        ("EfficientNetV2-S", 2.6, 83.9), ("EfficientNetV2-M", 4.7, 85.1), ("EfficientNetV2-L", 7.3, 85.7),
    ]  # fmt: skip
    assert all(row["source"] for row in found["efficientnetv2"])
    assert not any(name.startswith("efficientnetv2") for name in found["frontiers"]["all"])
    for options in (["-d", "gv100"], ["-d", "gv100", "--baselines", "--max-ms", "2.5"],
                    ["-d", "a100", "--baselines", "--batch-size", "2"]):  # fmt: skip
        main(["pareto", *options, "--json"])
        assert json.loads(capsys.readouterr().out)["efficientnetv2"] == []
    main(["pareto", "-d", "a100", "--baselines"])
    assert "EfficientNetV2-S  1.80" in " ".join(capsys.readouterr().out.split()).replace(" 1.80", "  1.80")
