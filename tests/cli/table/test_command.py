from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from helpers.spaces import SMALL_SPACE
from helpers.tables import CONDITIONS, KEYS, PAPER_KEYS, figures, law_ms

from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, MissingLatencyError, TableError
from gpunet.latency.layers.convolutional import keys_from_spec
from gpunet.latency.records import NetworkLatency
from gpunet.latency.table import LatencyTable
from gpunet.zoo.catalog import entry_named


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.sqlite"
    with LatencyTable(path, CONDITIONS) as table:
        for number, key in enumerate(KEYS):
            table.add(key, figures(1.0 + number))
        table.add_network(KEYS[:3], NetworkLatency(5.5, 5.75, 10, "2026-11-24T10:00:00Z"))
        table.add_failure(KEYS[0], "no kernel")
    return path


def test_show(table: Path, capsys: pytest.CaptureFixture[str]):
    main(["table", "show", str(table), "--layers", "--failures"])
    printed = capsys.readouterr().out
    assert "processor        Test processor" in printed
    assert "20 layers: 20 conv" in printed
    assert "1 networks measured whole, 1 layers failed" in printed
    row = next(line for line in printed.splitlines() if line.startswith(KEYS[0].text))
    assert row.removeprefix(KEYS[0].text).split() == ["1.0000", "1.5000", "0.5000", "1.1000", "2.0", "5"]
    assert "no kernel" in printed
    main(["table", "show", str(table), "--json", "--layers"])
    found = json.loads(capsys.readouterr().out)
    assert found["conditions"]["runtime"] == "onnxruntime"
    assert found["layers"][KEYS[3].text]["latency_ms"] == 4.0
    assert found["failures"][KEYS[0].text] == {"reason": "no kernel", "attempts": 1}
    assert found["networks"][0]["latency_ms"] == 5.5


def test_verify_tells_sound_from_damaged(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["table", "verify", str(table)])
    assert "sound, 20 layers" in capsys.readouterr().out
    main(["table", "verify", str(table), "--json"])
    assert json.loads(capsys.readouterr().out) == [{"table": str(table), "sound": True, "layers": 20, "faults": []}]
    with sqlite3.connect(table) as raw:
        raw.execute("UPDATE layers SET key = 'gossip' WHERE latency_ms = 3.0")
    raw.close()
    with pytest.raises(SystemExit) as stopped:
        main(["table", "verify", str(table), str(tmp_path / "none.sqlite")])
    assert stopped.value.code == 6
    said = capsys.readouterr()
    assert "NOT SOUND" in said.out
    assert said.out.count("sound, 20 layers") == 0
    assert "no kind 'gossip'" in said.out
    assert "there is no such file" in said.out
    with pytest.raises(SystemExit) as stopped:
        main(["table", "verify", str(tmp_path / "none.sqlite")])
    assert stopped.value.code == 4
    alone = capsys.readouterr().err
    assert "gpunet table build makes a latency table" in alone
    assert "merge" not in alone
    assert "gpunet table merge" in said.err


def test_merge(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["table", "merge", str(tmp_path / "all.sqlite"), str(table), str(table)])
    assert "20 layers added, 0 improved, 20 kept, 1 networks added" in capsys.readouterr().out
    main(["table", "merge", str(tmp_path / "all.sqlite"), str(table), "--json"])
    assert json.loads(capsys.readouterr().out)["kept"] == 20
    with pytest.raises(TableError, match="there is no such file") as error:
        main(["table", "merge", str(tmp_path / "all.sqlite"), str(tmp_path / "none.sqlite")])
    assert error.value.exit_code == 4


def test_estimate_sums_the_layers_and_says_that_it_is_an_estimate(
    table: Path, capsys: pytest.CaptureFixture[str], zoo: Path
):
    keys = keys_from_spec(entry_named("small", [zoo]).spec)
    with pytest.raises(MissingLatencyError, match="no latency is known of the layer 'input"):
        main(["table", "estimate", str(table), "small", "--zoo", str(zoo)])
    with LatencyTable(table, CONDITIONS) as open_table:
        for number, key in enumerate(dict.fromkeys(keys)):
            open_table.add(key, figures(2.0**number))
    main(["table", "estimate", str(table), "small", "--zoo", str(zoo), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "estimated"
    known = {key: 2.0**number for number, key in enumerate(dict.fromkeys(keys))}
    assert found["models"]["small"]["latency_ms"] == sum(known[key] for key in keys)
    assert found["models"]["small"]["completed_layers"] == 0
    main(["table", "estimate", str(table), "small", "--zoo", str(zoo)])
    assert "estimated, not measured: onnxruntime 1.2.3, fp32, batch 1, threads 1" in capsys.readouterr().out


def test_an_estimate_says_how_well_missing_layers_are_learned_and_when_they_are_far_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / "learned.sqlite"
    with LatencyTable(table, CONDITIONS) as writing:
        writing.add_rows((key.text, figures(law_ms(key))) for key in PAPER_KEYS[:200])
    main(["table", "estimate", str(table), "gpunet_d2"])
    said = capsys.readouterr()
    assert "not calibrated: the table holds fewer than four networks measured whole" in said.out
    assert "learned from the others: held-out error" in said.out
    assert "layers are larger or smaller than any in the table" in said.err
    main(["table", "estimate", str(table), "gpunet_d2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["completion_error_percent"] > 0
    assert found["layers_outside_what_was_measured"]
    with pytest.raises(InvalidArgumentError, match=r"--classes must be an integer"):
        main(["table", "estimate", str(table), "gpunet_d2", "--classes", "0"])


@pytest.fixture(scope="module")
def small_table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small space and its table, measured here."""
    folder = tmp_path_factory.mktemp("measured")
    space = folder / "space.json"
    space.write_text(json.dumps(SMALL_SPACE.to_dict()))
    options = [
        "--space",
        str(space),
        "--resolutions",
        "28",
        "--classes",
        "10",
        "-r",
        "onnxruntime",
        "-t",
        "1",
        "--lone",
    ]
    main(["table", "build", str(folder / "table.sqlite"), *options, "--networks", "4"])
    return space, folder / "table.sqlite"


def test_report_measures_networks_that_the_table_does_not_know(
    small_table: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    space, table = small_table
    options = ["--space", str(space), "--resolutions", "28", "--classes", "10", "--rounds", "2"]
    plot = tmp_path / "fig4.png"
    main(["table", "report", str(table), *options, "--networks", "5", "--seed", "9", "--plot", str(plot)])
    printed = capsys.readouterr().out
    assert "lone layers (the paper's sum)" in printed
    assert "layers in context" in printed
    assert plot.stat().st_size > 10_000
    main(["table", "report", str(table), *options, "--networks", "6", "--seed", "0", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert len(found["measured_ms"]) == 2  # of the six, four are those that the table was calibrated on
    with pytest.raises(InvalidArgumentError, match="calibrated on the networks that were drawn"):
        main(["table", "report", str(table), *options, "--networks", "4", "--seed", "0"])


def test_report_refuses_what_cannot_be_judged_before_it_measures(
    table: Path, small_table: tuple[Path, Path], tmp_path: Path
):
    space, measured = small_table
    with pytest.raises(TableError, match="processor Test processor, not"):
        main(["table", "report", str(table)])
    for arguments, said in (
        (["--networks", "1"], "--networks must be an integer from 2"),
        (["--seed", "-1"], "--seed must be an integer"),
        (["--resolutions", "100"], "100 is not one of 224"),
        (["--plot", "fig4.bmp"], "--plot must end in"),
    ):
        with pytest.raises(InvalidArgumentError, match=said):
            main(["table", "report", str(measured), *arguments])
    few = tmp_path / "few.sqlite"
    main(["table", "build", str(few), "--space", str(space), "--classes", "10", "-r", "onnxruntime", "-t", "1",
          "--max-layers", "3"])  # fmt: skip
    with pytest.raises(MissingLatencyError, match="too few others are measured"):
        main(["table", "report", str(few), "--space", str(space), "--classes", "10"])
