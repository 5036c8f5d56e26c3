from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from tables import CONDITIONS, KEYS, figures

from gpunet.cli.main import main
from gpunet.errors import MissingLatencyError, TableError
from gpunet.latency.layers import keys_from_spec
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


def test_verify_tells_sound_from_damaged(table: Path, capsys: pytest.CaptureFixture[str]):
    main(["table", "verify", str(table)])
    assert "sound, 20 layers" in capsys.readouterr().out
    with sqlite3.connect(table) as raw:
        raw.execute("UPDATE layers SET key = 'gossip' WHERE latency_ms = 3.0")
    raw.close()
    with pytest.raises(SystemExit) as stopped:
        main(["table", "verify", str(table)])
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert "DAMAGED" in said.out
    assert "no kind 'gossip'" in said.out
    assert "gpunet table merge" in said.err


def test_merge(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["table", "merge", str(tmp_path / "all.sqlite"), str(table), str(table)])
    assert "20 layers added, 0 replaced by steadier figures, 20 kept, 1 networks added" in capsys.readouterr().out
    with pytest.raises(TableError, match="there is no such file"):
        main(["table", "merge", str(tmp_path / "all.sqlite"), str(tmp_path / "none.sqlite")])


def test_estimate_sums_the_layers_and_says_that_it_is_an_estimate(
    table: Path, capsys: pytest.CaptureFixture[str], zoo: Path
):
    keys = keys_from_spec(entry_named("small", [zoo]).spec)
    with pytest.raises(MissingLatencyError, match="no figure for the layer 'input"):
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
