"""A zoo of somebody else's: what is wrong in it is named and passed over, and no terminal obeys a word of it."""

from __future__ import annotations

import csv
import io
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from helpers.entries import ENTRY, RECORD, write_zoo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpunet
from gpunet.cli.main import main
from gpunet.errors import EntryError, GpunetError, NothingFitsError
from gpunet.zoo.catalog import EntryWarning, catalog, entry_named

ACCURACY = {"top1_percent": 90.0, "dataset": "mine", "source": "me"}
GOOD = {**ENTRY, "name": "good", "accuracy": ACCURACY}
GOOD_RECORD = {**RECORD, "model": "good"}
WHOLE: dict[str, Any] = {
    **ENTRY, "name": "bad", "accuracy": ACCURACY, "role": "own", "licence": "mit", "note": "n", "title": "Bad",
    "sources": ["s"], "num_classes": 2, "in_chans": 3, "classes": ["a", "b"],
    "weights": {"file": "w.safetensors", "hf_repo": "a/b"},
    "preprocessing": {"input_px": 64, "crop_pct": 0.9, "interpolation": "bicubic", "mean": [0.5], "std": [0.5]},
    "parameters_millions": 1.5, "multiply_adds_billions": 0.5, "distilled": True, "model_args": {"depth": 2},
}  # fmt: skip
HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "\u202egnp",
    "a\x00b",
    "\x9b2J",
    "<script>alert(1)</script>",
    "<svg/onload=x>",
    "a\r\nb",
    "\ud800",
]

_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(HOSTILE),
    st.integers(min_value=10**300, max_value=10**301),
)  # fmt: skip
_KEYS = st.text(max_size=5)
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
                       max_leaves=6)  # fmt: skip


def _with(body: Any, path: list[Any], value: Any) -> Any:
    """A copy of plain JSON types with another value at a path."""
    if not path:
        return value
    copied = dict(body) if isinstance(body, dict) else list(body)
    copied[path[0]] = _with(copied[path[0]], path[1:], value)
    return copied


def _paths(body: Any) -> list[list[Any]]:
    keys = body.keys() if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ()
    return [path for key in keys for path in ([key], *([key, *rest] for rest in _paths(body[key])))]


@st.composite
def _entries(draw: st.DrawFn) -> bytes:
    """An entry's file with one or two places overwritten, or bytes of it."""
    body = WHOLE
    for _ in range(draw(st.integers(1, 2))):
        body = _with(body, draw(st.sampled_from(_paths(body))), draw(_VALUES))
    text = json.dumps(body).encode()
    place = draw(st.integers(0, len(text)))
    return draw(st.sampled_from([text, text[:place], text[:place] + b"\xff\xfe" + text[place:], text[place:]]))


@st.composite
def _tables(draw: st.DrawFn) -> bytes:
    """A latency file of the good entry and the other, with a cell or its bytes overwritten."""
    row = {**RECORD, "model": draw(st.sampled_from(["bad", "good"])), "threads": "2", "conditions": "{}"}
    values = st.one_of(st.text(max_size=20), st.sampled_from([*HOSTILE, "nan", "-1", "1e999", "9" * 5000, "[" * 5000]))
    row[draw(st.sampled_from(sorted(row)))] = draw(values)
    file = io.StringIO(newline="")
    columns = draw(st.permutations(sorted(row)))[: draw(st.integers(9, 13))]
    writer = csv.DictWriter(file, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerow(row)
    text = file.getvalue().encode(errors="surrogatepass")
    return text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text


def _refusal(name: str, zoo: Path) -> str:
    """What is said where the entry cannot be had."""
    try:
        entry_named(name, zoo)
    except GpunetError as error:
        return str(error)
    return ""


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=_entries(), table=_tables())
def test_one_good_entry_is_found_beside_anything(tmp_path: Path, entry: bytes, table: bytes) -> None:
    write_zoo(tmp_path / "good", entry=GOOD, name="entry.json", records=[GOOD_RECORD])
    (tmp_path / "bad").mkdir(exist_ok=True)
    (tmp_path / "bad" / "entry.json").write_bytes(entry)
    (tmp_path / "bad" / "latency.csv").write_bytes(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EntryWarning)
        found = gpunet.find("l4", dataset="mine", zoo=tmp_path)
        assert "good" in [match.name for match in found]
        assert str(found).isprintable()
        for match in found:
            assert str(match).isprintable()
            json.dumps(match.to_dict(), allow_nan=False)
        said = _refusal("bad", tmp_path)
        assert not said or "bad" in said


# ------------------------------------------------------------ named, once, skipped


def test_what_is_wrong_is_named_once(tmp_path: Path) -> None:
    write_zoo(tmp_path, entry=GOOD, records=[GOOD_RECORD, {**GOOD_RECORD, "latency_ms": "nan"}])
    (tmp_path / "broken.json").write_text("{")
    with pytest.warns(EntryWarning) as told:
        catalog(tmp_path)
    assert sorted(str(each.message).partition(f"{tmp_path}/")[2].partition(":")[0] for each in told) == [
        "broken.json", "latency.csv, line 3",
    ]  # fmt: skip
    assert len(catalog(tmp_path)["good"].records) == 1  # and is silent
    with pytest.raises(EntryError, match=r"broken\.json: cannot be read as JSON"):
        catalog(tmp_path, strict=True)
    with pytest.raises(EntryError, match=r"broken\.json: cannot be read as JSON"):
        entry_named("broken", tmp_path)


def test_by_a_name_that_is_in_the_file_too(tmp_path: Path) -> None:
    write_zoo(tmp_path / "run7", entry={**ENTRY, "num_classes": -1}, name="entry.json", records=[RECORD])
    for name in ("tiny", "run7"):
        with pytest.raises(EntryError, match=r"run7/entry\.json: num_classes must be"):
            gpunet.load(name, zoo=tmp_path)
    with pytest.raises(EntryError, match=r"run7/entry\.json: num_classes must be"):
        gpunet.load(tmp_path / "run7")


def test_a_name_that_is_taken_means_neither(tmp_path: Path) -> None:
    write_zoo(tmp_path, entry={**ENTRY, "name": "gpunet_1"}, records=[])
    with pytest.warns(EntryWarning, match="the zoo has an entry 'gpunet_1' already"):
        assert catalog(tmp_path)["gpunet_1"].role == "released"
    with pytest.raises(EntryError, match="the zoo has an entry 'gpunet_1' already"):
        entry_named("gpunet_1", tmp_path)
    assert entry_named("gpunet_0", tmp_path).role == "released"


def test_nobody_else_releases_what_nvidia_does(tmp_path: Path) -> None:
    write_zoo(tmp_path, entry={**ENTRY, "role": "released"}, records=[])
    with pytest.raises(EntryError, match="the role 'released' of tiny is the package's own"):
        entry_named("tiny", tmp_path)


def test_a_record_of_a_model_that_is_not_there(tmp_path: Path) -> None:
    write_zoo(tmp_path, records=[{**RECORD, "model": "nobody"}])
    with pytest.raises(EntryError, match="a latency record names the model 'nobody', which has no entry"):
        catalog(tmp_path, strict=True)


def test_a_folder_that_leads_out_of_the_zoo(tmp_path: Path) -> None:
    write_zoo(tmp_path / "outside", name="entry.json")
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "tiny").symlink_to(tmp_path / "outside")
    with pytest.raises(EntryError, match="leads out of"):
        entry_named("tiny", tmp_path / "zoo")
    (tmp_path / "zoo" / "loop").symlink_to(tmp_path / "zoo" / "loop")
    with pytest.raises(EntryError, match=r"loop: cannot be read"):
        entry_named("loop", tmp_path / "zoo")


# ----------------------------------------------------------------- on a terminal


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """An entry whose free words a terminal or a page would obey."""
    words = "\x1b[31mred \u202egnp \x9b2J <script>alert(1)</script> <svg/onload=x>"
    entry = {**WHOLE, "name": "bad", "note": words, "licence": words, "sources": [words], "classes": [words, "b"],
             "weights": None,
             "accuracy": {**ACCURACY, "dataset": "<script>alert(2)</script>", "source": words}}  # fmt: skip
    markup = "<svg/onload=x>"
    row = {**RECORD, "model": "bad", "board": markup, "runtime_version": markup, "statistic": markup, "source": words}
    return write_zoo(tmp_path / "zoo", entry=entry, records=[row])


@pytest.mark.parametrize("json_too", [[], ["--json"]])
@pytest.mark.parametrize(
    "line",
    ["find -d l4 --dataset <script>", "list", "list --devices", "info bad", "pareto -d l4 --dataset <script>"],
)  # fmt: skip
def test_nothing_reaches_a_terminal_that_it_would_obey(hostile: Path, line: str, json_too: list[str], capsys) -> None:
    main([*line.split(), "--zoo", str(hostile), *json_too])
    said = capsys.readouterr()
    assert "bad" in said.out or "l4" in said.out
    assert (said.out + said.err).replace("\n", "").isprintable()
    if json_too:
        json.loads(said.out)


def test_what_is_left_out_is_said_without_it_too(hostile: Path) -> None:
    with pytest.raises(NothingFitsError, match="no record of a network with an accuracy on ImageNet-1k") as caught:
        main(["find", "-d", "l4", "--max-ms", "0.001", "--zoo", str(hostile)])
    assert "--dataset '<script>alert(2)</script>'" in caught.value.hint
    assert caught.value.hint.isprintable()


def test_nothing_reaches_a_picture_as_markup(hostile: Path, tmp_path: Path) -> None:
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        main(["pareto", "-d", "l4", "--dataset", "<script>", "--zoo", str(hostile), "--plot", str(tmp_path / "a.svg")])
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<script>" not in drawn
    assert "&lt;script&gt;alert(2)" in drawn
