from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers.report_example import HOSTILE, example_report, small_network, small_report

from gpunet.errors import ReportError
from gpunet.report.data import TierReport
from gpunet.report.html import page, table
from gpunet.report.references import Reference, published
from gpunet.report.save import save_report


class _Outline(HTMLParser):
    """The tags of a page in order, the text within them, and whether each was closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self._open and self._open[-1] not in ("script", "style") else ""


def _count(outline: _Outline, tag: str) -> int:
    return sum(each == tag for each, _ in outline.tags)


def test_the_page_has_every_section_figure_and_table():
    outline = _Outline(page(example_report(), published(example_report())))
    plots = [tags["id"] for tag, tags in outline.tags if tag == "svg" and tags.get("class") == "plot"]
    assert plots == ["pareto", "samples", "progress-1", "progress-2", "progress-3", "estimates",
                     "architecture-1", "architecture-2", "architecture-3"]  # fmt: skip
    assert _count(outline, "details") == len(plots)
    assert _count(outline, "script") == 1
    for said in (
        "GPUNet search on a V100", "Winners", "points sampled", "165,000", "example-accurate", "gpunet_d2",
        "tensorrt 10.3.0", "version of optuna", "4.2.0", "2026-01-31T12:00:00+00:00", "ImageNet-1k",
        "No trial of huge has ended with an accuracy.", "Fine-tuned for 300 epochs.", "none yet",
    ):  # fmt: skip
        assert said in outline.text, said


def test_the_winners_table_has_every_figure():
    network = dataclasses.replace(small_network(), spread_ms=0.0123)
    text = page(small_report(networks=(network,)))
    text = text[text.index("<h2>Winners</h2>") :]
    row = text[text.index('<th scope="row">small</th>') :].partition("</tr>")[0]
    counts = f"{network.parameters / 1e6:.3g}", f"{network.multiply_adds / 1e9:.3g}"
    cells = ["97.50", "1.5", "0.0123", "1.4", "-6.7", *counts, "32"]
    assert [part.partition("</td>")[0] for part in row.split('<td class="number">')[1:]] == cells


def test_every_text_is_escaped():
    tier = TierReport(HOSTILE, 1, 2, small_report().tiers[0].sample, small_report().tiers[0].trials, (50.0,))
    network = dataclasses.replace(small_network(HOSTILE, HOSTILE), note=HOSTILE)
    names = ("title", "chip", "board", "runtime", "runtime_version", "precision", "data", "created")
    report = small_report((tier,), (network,), **dict.fromkeys(names, HOSTILE), versions={HOSTILE: HOSTILE})
    references = tuple(Reference(HOSTILE, role, 1.0, 80.0, HOSTILE) for role in ("released", "baseline"))
    text = page(report, references)
    assert "<script>alert" not in text
    assert "<b>" not in text
    outline = _Outline(text)
    assert _count(outline, "script") == 1
    assert outline.text.count(HOSTILE) > 20
    tips = [tags["data-tip"] or "" for _, tags in outline.tags if "data-tip" in tags]
    assert any(HOSTILE in tip for tip in tips)


def test_an_empty_report_says_so():
    outline = _Outline(page(small_report((), ())))
    for said in (
        "No network has both a latency and an accuracy.", "No network has won a tier yet.", "The report has no tiers.",
        "No tier has a histogram of its sample.", "No tiers.", "No network has both an estimate and a measurement.",
    ):  # fmt: skip
        assert said in outline.text
    assert "plot" not in [tags.get("class") for _, tags in outline.tags]


def test_a_winner_without_figures_is_shown_without_them():
    network = dataclasses.replace(small_network(), measured_ms=None, estimated_ms=None)
    outline = _Outline(page(small_report(networks=(network,))))
    assert "not measured" in outline.text
    assert "architecture-1" in [tags.get("id") for _, tags in outline.tags]


def test_a_table_marks_numbers_and_escapes():
    text = table(("name", "figure>"), [("<a>", "1")])
    assert '<th scope="row">&lt;a&gt;</th><td class="number">1</td>' in text
    assert '<th scope="col" class="number">figure</th>' in text


def test_the_page_is_the_same_each_time(tmp_path: Path):
    first = save_report(example_report(), tmp_path / "a", pictures=False)[0].read_bytes()
    assert save_report(example_report(), tmp_path / "b", pictures=False)[0].read_bytes() == first


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ReportError, match=r"cannot write .*report\.html"):
        save_report(small_report(), tmp_path / "file", pictures=False)
