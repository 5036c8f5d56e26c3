"""The page in a browser: nothing fails, nothing is fetched, every chart has marks, tips and legends work."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import Browser, needs_chromium, opened
from helpers.report_example import HOSTILE, example_report, small_network, small_report

from gpunet.report.data import Report, TierReport
from gpunet.report.save import save_report

pytestmark = pytest.mark.slow
CHARTS = ["pareto", "samples", "progress-1", "progress-2", "progress-3", "estimates",
          "architecture-1", "architecture-2", "architecture-3"]  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    needs_chromium()
    with _shown(example_report(), tmp_path_factory) as page:
        yield page


def _shown(report: Report, factory: pytest.TempPathFactory):
    path, _ = save_report(report, factory.mktemp("page"), pictures=False)
    return opened(path, factory.mktemp("profile"))


def _tip(browser: Browser) -> str | None:
    return browser.value("(t => t.hidden ? null : t.innerText)(document.getElementById('tip'))")


def test_every_chart_has_marks_within_its_frame(browser: Browser):
    found = browser.value(
        "[...document.querySelectorAll('svg.plot')].map(svg => [svg.id, [...svg.querySelectorAll('.mark')].filter("
        "mark => { const a = mark.getBoundingClientRect(), b = svg.getBoundingClientRect();"
        "return a.width + a.height > 0 && a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 &&"
        "a.bottom <= b.bottom + 1; }).length, svg.querySelectorAll('.mark').length])"
    )
    assert [chart for chart, _, _ in found] == CHARTS
    for chart, inside, marks in found:
        assert inside == marks > 5, chart


def test_no_text_of_a_chart_is_cut_off_and_no_names_overlap(browser: Browser):
    faults = browser.value(
        "[...document.querySelectorAll('svg.plot')].flatMap(svg => { const b = svg.getBoundingClientRect();"
        "const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);"
        "const out = texts.filter(([, a]) => a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 ||"
        "a.bottom > b.bottom + 1).map(([t]) => svg.id + ' cuts ' + t);"
        "const meet = (a, c) => a.left < c.right - 1 && c.left < a.right - 1 && a.top < c.bottom - 3 &&"
        "c.top < a.bottom - 3;"
        "const on = texts.flatMap(([t, a], i) => texts.slice(i + 1).filter(([, c]) => meet(a, c)).map("
        "([u]) => `${svg.id}: ${t} on ${u}`));"
        "return [...out, ...on]; })"
    )
    assert faults == []


def test_the_page_is_no_wider_than_its_window(browser: Browser):
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("mark", "lines"),
    [
        ("#pareto .mark[data-tip^='example-middle']",
         ["example-middle, winner of middle", "1.36 ms measured, spread 0.004 ms", "top-1 82.40 %",
          "V100 32GB, tensorrt 10.3.0, fp16, batch 1"]),
        ("#pareto .mark[data-tip^='gpunet_d2']", ["gpunet_d2", "2.17 ms published", "top-1 83.60 %"]),
        ("#samples .mark[data-tip*='1.1 to 1.15 ms']", ["middle", "1.1 to 1.15 ms", "11 points"]),
        ("#progress-1 .mark[data-tip*='trial 59']", ["fast, search, best so far", "trial 59 of those that ended"]),
        ("#estimates .mark[data-tip^='example-fast']",
         ["example-fast", "0.919 ms measured", "0.892 ms estimated", "error -2.9 %"]),
        ("#architecture-1 .mark[data-tip^='stage 3']",
         ["stage 3", "IRB, 8 layers", "64 → 96 channels", "kernel 5, stride 2, expansion 6"]),
    ],
)  # fmt: skip
def test_pointing_at_a_mark_shows_what_it_is(browser: Browser, mark: str, lines: list[str]):
    browser.point_at("h1")
    assert _tip(browser) is None
    browser.point_at(mark)
    assert (_tip(browser) or "").split("\n")[: len(lines)] == lines
    browser.point_at("h1")
    assert _tip(browser) is None


def test_the_arrow_keys_go_from_mark_to_mark(browser: Browser):
    browser.value("document.querySelector('#pareto .mark[tabindex=\"0\"]').focus()")
    first = _tip(browser)
    assert first is not None
    browser.press("ArrowLeft")
    second = _tip(browser)
    assert second not in (None, first)
    browser.press("ArrowRight")
    assert _tip(browser) == first
    assert browser.value("document.querySelectorAll('#pareto .mark[tabindex=\"0\"]').length") == 1
    browser.press("Escape")
    assert _tip(browser) is None


def test_the_legend_hides_a_series_and_brings_it_back(browser: Browser):
    button = "figure:has(#pareto) button:nth-of-type(1)"
    key = browser.value(f"document.querySelector({json.dumps(button)}).dataset.toggles")
    visible = (
        f"[...document.querySelectorAll('#pareto [data-series=\"{key}\"]')]"
        ".filter(e => getComputedStyle(e).display !== 'none').length"
    )
    everything = "[...document.querySelectorAll('#pareto .mark')].filter(e => !e.classList.contains('off')).length"
    before, all_before = browser.value(visible), browser.value(everything)
    assert before > 50
    browser.click(button)
    assert browser.value(visible) == 0
    assert browser.value(everything) == all_before - before
    assert browser.value(f"document.querySelector({json.dumps(button)}).ariaPressed") == "false"
    browser.click(button)
    assert browser.value(visible) == before


def test_every_chart_has_its_figures_as_a_table(browser: Browser):
    rows = browser.value(
        "[...document.querySelectorAll('figure')].map(f => f.querySelectorAll('details tbody tr').length)"
    )
    assert len(rows) == len(CHARTS)
    assert min(rows) >= 8
    browser.click("figure:has(#estimates) summary")
    assert "example-fast" in browser.value("document.querySelector('figure:has(#estimates) table').innerText")


def test_nothing_failed_and_nothing_was_fetched(browser: Browser):
    """After all of the above, which used every part of the script."""
    assert browser.complaints == []
    assert [url.partition(":")[0] for url in browser.requests if not url.startswith("data:")] == ["file"]


def test_hostile_names_are_text_and_empty_parts_say_so(tmp_path_factory: pytest.TempPathFactory):
    needs_chromium()
    empty = small_report(title=HOSTILE, data=HOSTILE, board=HOSTILE, versions={HOSTILE: HOSTILE})
    tier = dataclasses.replace(empty.tiers[0], name=HOSTILE)
    network = dataclasses.replace(small_network(HOSTILE, HOSTILE), note=HOSTILE)
    report = dataclasses.replace(empty, tiers=(tier, TierReport("bare", 2.0, None, tier.sample)), networks=(network,))
    with _shown(report, tmp_path_factory) as browser:
        browser.point_at("#pareto .mark.dot:nth-last-of-type(1)")
        assert f"{HOSTILE}, winner of {HOSTILE}" in (_tip(browser) or "")
        assert browser.value("document.scripts.length") == 1
        assert browser.value("document.querySelector('h1').textContent") == HOSTILE
        assert browser.value("document.title") == HOSTILE
        assert browser.value("document.querySelectorAll('b').length") == 0
        assert "No trial of bare has ended" in browser.value("document.body.innerText")
        assert browser.complaints == []


def test_without_chromium_ci_fails_and_others_skip(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("helpers.browser.CHROMIUM", None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="chromium is not installed"):
        needs_chromium()
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="the page cannot be opened"):
        needs_chromium()


def test_the_page_names_no_address(tmp_path: Path):
    text = save_report(example_report(), tmp_path, pictures=False)[0].read_text(encoding="utf-8")
    for each in ("http:", "https:", "src=", "url(", "@import"):
        assert each not in text.replace("gpunet.zoo", "")
