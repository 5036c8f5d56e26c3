from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gpunet.cli.main import main
from gpunet.errors import InvalidArgumentError, MissingDependencyError, ReportError
from gpunet.report.data import Report, Sample, TierReport, TrialPoint, read_report, write_report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trials = tuple(TrialPoint(number, "complete", 1.5, 70.0 + number) for number in range(3))
    tier = TierReport("only", 1, 2, Sample(5, (1, 1.5, 2), (2, 3)), trials)
    report = Report(
        "A search", "local", "a processor", "openvino", "2026.1", "fp32", 1, "digits", "2026-01-31", (tier,), ()
    )
    write_report(report, tmp_path / "found")
    return tmp_path / "found"


def test_report_writes_the_page_and_the_pictures(folder: Path, capsys):
    main(["report", str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A search: 1 tiers, 3 trials, 0 winners"
    names = ("report.html", "report-pareto.png", "report-samples.png", "report-progress-1.png")
    assert lines[1:] == [str(folder / name) for name in names]
    assert all(Path(line).stat().st_size > 1000 for line in lines[1:])


def test_json_and_a_page_elsewhere_without_pictures(folder: Path, tmp_path: Path, capsys):
    main(["report", str(folder), "-o", str(tmp_path / "page.html"), "--no-png", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "html": str(tmp_path / "page.html"), "pictures": [], "missing": [],
    }  # fmt: skip
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in folder.iterdir()] == ["report.json"]


def test_what_cannot_be_a_page_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(InvalidArgumentError, match=r"--out must end in \.html, but got .*page\.png"):
        main(["report", str(folder), "-o", str(tmp_path / "page.png")])
    (tmp_path / "empty").mkdir()
    for name, said in (("nothing", "there is no such folder"), ("empty", r"holds no report\.json, no plan\.json")):
        with pytest.raises(ReportError, match=said) as error:
            main(["report", str(tmp_path / name)])
        assert error.value.exit_code == 4


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"format": "gpunet-report", "format_version": 1}']
)
def test_a_damaged_report_is_one_error(folder: Path, text: bytes):
    (folder / "report.json").write_bytes(text)
    with pytest.raises(ReportError, match=r"report\.json") as error:
        main(["report", str(folder)])
    assert error.value.exit_code == 6
    assert error.value.hint


def test_what_is_missing_is_listed(folder: Path, capsys: pytest.CaptureFixture[str]):
    whole = read_report(folder)
    write_report(dataclasses.replace(whole, missing=("a winner of <only>",)), folder)
    main(["report", str(folder), "--no-png"])
    assert capsys.readouterr().out.endswith("\nNot there yet:\n  a winner of <only>\n")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<h2>Not there yet</h2>\n<ul><li>a winner of &lt;only&gt;</li></ul>" in page


def test_without_matplotlib_the_extra_is_named_and_the_page_alone_is_made(folder: Path):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from gpunet.cli.main import main\n"
        "main(['report', sys.argv[1], '--no-png'])\n"
        "try: main(['report', sys.argv[1]])\n"
        "except ImportError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MissingDependencyError matplotlib is needed to draw the report's pictures" in done.stdout
    assert "pip install 'gpunet[plots]'" in done.stdout
    assert issubclass(MissingDependencyError, ImportError)
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
