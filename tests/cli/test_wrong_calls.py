"""Wrong calls of every command: one error with a hint, the exit code that is documented, and never a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from helpers.commands import LEAVES, options
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpunet.cli.main import main
from gpunet.core import console

USAGE, NOTHING, ABSENT, MISSING, FAILED = 2, 3, 4, 5, 6
Ended = Callable[..., tuple[int, str]]

# What the library says to who calls it, and a command line has not: arguments, calls, values of Python.
_PYTHON = re.compile(
    r"gpunet\.\w+\(|\bto_dict|(Pass|Give|Leave) [a-z]+(_[a-z]+)+|^error: [a-z]+(_[a-z]+)+ must|=(True|False|None)\b",
    re.MULTILINE,
)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ended:
    """Runs `gpunet` with some arguments: its exit code, and what it said on standard error."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["gpunet", *arguments])
        with pytest.raises(SystemExit) as left:
            console.run(main)
        said = capsys.readouterr().err
        assert not _PYTHON.search(said), said
        return int(left.value.code or 0), said

    return run


def _named(case: object) -> str | None:
    return " ".join(case) if isinstance(case, tuple) else None


_NUMERIC = ("<class 'int'>", "<class 'float'>")
TAKING = [(words, name) for words in LEAVES for name in options(words)]
NUMBERS = [(words, name) for words in LEAVES for name, kind in options(words).items() if kind in _NUMERIC]


@pytest.mark.parametrize(("words", "name"), TAKING, ids=_named)
def test_an_option_without_its_value(words: tuple[str, ...], name: str, ended: Ended):
    code, said = ended(*words, name)
    assert code == USAGE
    assert f"gpunet {' '.join(words)}" in said
    assert "hint: " in said


@pytest.mark.parametrize(("words", "name"), NUMBERS, ids=_named)
def test_a_number_that_is_none(words: tuple[str, ...], name: str, ended: Ended):
    code, said = ended(*words, name, "twelve")
    assert code == USAGE
    assert re.search(rf"{name} must be (an integer|a number).*, but got 'twelve'\.", said), said
    assert "hint: " in said


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
@pytest.mark.parametrize("wrong", ["--nothing", "-Q", "--jsn"])
def test_an_option_that_there_is_not(words: tuple[str, ...], wrong: str, ended: Ended):
    code, said = ended(*words, wrong)
    assert code == USAGE
    assert "No such option" in said
    assert "hint: " in said


# Words, the exit code, and what is said. {tmp} is a folder that holds `text.txt`, `broken.json`, `deep.json`,
# `binary.onnx` and the empty folder `empty`.
CALLS: list[tuple[str, int, str]] = [
    ("find -d nowhere9", USAGE, "unknown device 'nowhere9'"),
    ("find -d gv100 --max-ms 0", USAGE, "--max-ms must be"),
    ("find -d gv100 --max-ms nan", USAGE, "--max-ms must be"),
    ("find -d gv100 --max-ms -1", USAGE, "--max-ms must be"),
    ("find -d gv100 --min-top1 101", USAGE, "--min-top1 must be"),
    ("find -d gv100 --max-params nan", USAGE, "--max-params must be"),
    ("find -d gv100 -b 0", USAGE, "--batch-size must be"),
    ("find -d gv100 -b 7", NOTHING, "no record applies to gv100 at batch 7"),
    ("find -d gv100 --max-ms 0.01", NOTHING, "no network fits gv100"),
    ("find -d gv100 --runtime abacus", USAGE, "runtime 'abacus' is not known"),
    ("find -d gv100 --refresh", USAGE, "--refresh measures this machine anew"),
    ("find -d gv100 --zoo {tmp}/nothing", ABSENT, "does not exist"),
    ("find -d gv100 surplus", USAGE, "surplus"),
    ("list nothing_like_it", NOTHING, "no model is named like nothing_like_it"),
    ("info broken --zoo {tmp}", FAILED, "broken.json"),
    ("list --devices gpunet_0", USAGE, "--devices lists all"),
    ("export {tmp}/deep.json --no-pretrained -o {tmp}/x.onnx", FAILED, "nested too deep"),
    ("table verify {tmp}/text.txt", FAILED, "hint"),
    ("list --zoo {tmp}/nothing", ABSENT, "does not exist"),
    ("list --zoo {tmp}/text.txt", USAGE, "text.txt is no folder"),
    ("find -d h100", USAGE, "--device local and 'gpunet bench' measure it"),
    ("info gpunet_9", USAGE, "the zoo has no model 'gpunet_9'"),
    ("info {tmp}/empty", ABSENT, "must hold one entry"),
    ("info", USAGE, "Missing argument"),
    ("info {tmp}/text.txt", USAGE, "text.txt' is a file, but a model is a name in the zoo"),
    ("bench {tmp}/keys.json", USAGE, "is a file, but a model is a name in the zoo"),
    ("pareto -d gv100 --plot picture.bmp", USAGE, "--plot"),
    ("pareto -d gv100 -b 3", NOTHING, "no record applies"),
    ("pareto -d abacus", USAGE, "unknown device"),
    ("export", USAGE, "name a network"),
    ("export gpunet_0 -d gv100", USAGE, "both are given"),
    ("export gpunet_0 --max-ms 3", USAGE, "--max-ms goes with --device"),
    ("export gpunet_9 -o {tmp}/x.onnx", USAGE, "gpunet_9"),
    ("export gpunet_0 --no-pretrained -o {tmp}/x.txt", USAGE, ".onnx"),
    ("export gpunet_0 --no-pretrained -o {tmp}/empty", USAGE, "must end in .onnx"),
    ("export gpunet_0 --no-pretrained -o /proc/x.onnx", USAGE, "/proc"),
    ("export gpunet_0 --no-pretrained --format abacus", USAGE, "abacus"),
    ("export gpunet_0 --no-pretrained --openvino --trt", USAGE, "--format takes one format"),
    ("export gpunet_0 --no-pretrained -b 0 -o {tmp}/x.onnx", USAGE, "--batch-size must be"),
    ("export gpunet_0 --no-pretrained -b 1:2 -o {tmp}/x.onnx", USAGE, "neither a number nor MIN:OPT:MAX"),
    ("export gpunet_0 --no-pretrained -p int8 -o {tmp}/x.onnx", USAGE, "calibration"),
    ("export gpunet_0 --no-pretrained --io-fp16 -o {tmp}/x.onnx", USAGE, "--io-fp16"),
    ("export gpunet_0 --no-pretrained --cache -o {tmp}/x.onnx", USAGE, "engines"),
    ("export gpunet_0 --workspace-gib nan --trt-rtx -o {tmp}/x.engine", USAGE, "--workspace-gib"),
    ("export {tmp}/keys.json --no-pretrained -o {tmp}/x.onnx", USAGE, "keys.json: a: unknown key"),
    ("export {tmp}/nothing.json --no-pretrained", ABSENT, "there is no such file"),
    ("export gpunet_0 --trt --no-pretrained", MISSING, "TensorRT"),
    ("verify {tmp}/nothing.onnx", ABSENT, "no such file"),
    ("verify {tmp}/empty", USAGE, "empty is no file"),
    ("verify {tmp}/text.txt", USAGE, "text.txt"),
    ("predict gpunet_0 {tmp}/nothing.jpg --no-pretrained", ABSENT, "nothing.jpg"),
    ("predict {tmp}/nothing.onnx {tmp}/text.txt", ABSENT, "nothing.onnx"),
    ("predict gpunet_9 {tmp}/text.txt", USAGE, "gpunet_9"),
    ("bench gpunet_9", USAGE, "gpunet_9"),
    ("bench gpunet_0 -b 0", USAGE, "--batch-size must be"),
    ("bench gpunet_0 --rounds 0", USAGE, "--rounds"),
    ("bench {tmp}/nothing.onnx", ABSENT, "nothing.onnx"),
    ("bench gpunet_0 -r abacus", USAGE, "abacus"),
    ("bench gpunet_0 --import-trtexec {tmp}/nothing.log -d gv100", ABSENT, "nothing.log"),
    ("bench gpunet_0 --import-trtexec {tmp}/text.txt -d gv100", USAGE, "neither a trtexec log"),
    ("bench --trtexec", USAGE, "name one model"),
    ("eval gpunet_0 --no-pretrained --data {tmp}/nothing", ABSENT, "nothing"),
    ("eval gpunet_0 --no-pretrained --data {tmp}/text.txt", USAGE, "text.txt is no folder"),
    ("eval gpunet_0 --no-pretrained --data {tmp}/empty --class-map {tmp}/no.txt", ABSENT, "there is no such class map"),
    ("eval gpunet_9 --data digits", USAGE, "gpunet_9"),
    ("eval gpunet_0 --no-pretrained --data digits --input-px 0", USAGE, "--input-px"),
    ("eval gpunet_0 --no-pretrained --data digits --crop-pct nan", USAGE, "--crop-pct"),
    ("eval gpunet_0 --no-pretrained --data digits --crop-pct 0", USAGE, "--crop-pct"),
    ("eval gpunet_0 --no-pretrained --data digits --std 0 0 0", USAGE, "--std"),
    ("eval gpunet_0 --no-pretrained --data digits --mean nan 0 0", USAGE, "--mean"),
    ("train --data {tmp}/nothing -o {tmp}/run", ABSENT, "nothing"),
    ("train --data digits --recipe {tmp}/keys.json -o {tmp}/run", USAGE, "keys.json: a: unknown key"),
    ("train --data digits --recipe nothing -o {tmp}/run", USAGE, "nothing"),
    ("train gpunet_9 --data digits -o {tmp}/run", USAGE, "gpunet_9"),
    ("train foo:bar --data digits -o {tmp}/run", USAGE, "foo:bar"),
    ("train --data digits --weights {tmp}/nothing -o {tmp}/run", USAGE, "--weights"),
    ("train --data digits --pretrained -o {tmp}/run", USAGE, "--pretrained"),
    ("train --data digits --epochs 0 -o {tmp}/run", USAGE, "epochs"),
    ("train --data digits -o {tmp}/gpunet_p0", USAGE, "gpunet_p0"),
    ("table show {tmp}/nothing.sqlite", ABSENT, "no such file"),
    ("table show {tmp}/text.txt", FAILED, "text.txt"),
    ("table verify {tmp}/nothing.sqlite", ABSENT, "gpunet table build makes"),
    ("table merge {tmp}/all.sqlite {tmp}/nothing.sqlite", ABSENT, "no such file"),
    ("table estimate {tmp}/nothing.sqlite gpunet_0", ABSENT, "no such file"),
    ("table build {tmp}/t.sqlite --classes 0", USAGE, "--classes"),
    ("table build {tmp}/t.sqlite --layers-fraction 2", USAGE, "--layers-fraction"),
    ("table build {tmp}/t.sqlite --max-minutes nan", USAGE, "--max-minutes"),
    ("table build {tmp}/t.sqlite --shard 3/2", USAGE, "shard"),
    ("table build {tmp}/t.sqlite --space {tmp}/nothing.json", ABSENT, "nothing.json"),
    ("table build {tmp}/t.sqlite --space {tmp}/deep.json", FAILED, "deep.json"),
    ("search status --study {tmp}/nothing.sqlite", ABSENT, "no such file"),
    ("search status --study {tmp}/text.txt", FAILED, "text.txt"),
    ("search status --study {tmp}/empty", USAGE, "empty"),
    ("search export --study {tmp}/nothing.sqlite -o {tmp}/empty", USAGE, "empty is a folder"),
    ("search worker --study {tmp}/nothing.sqlite", ABSENT, "no such file"),
    ("search worker --study {tmp}/nothing.sqlite --hours nan", USAGE, "--hours"),
    ("search worker --study {tmp}/nothing.sqlite --trials -1", USAGE, "--trials"),
    ("search proxy --study {tmp}/x.sqlite --port 99999", USAGE, "--port"),
    ("search best --study {tmp}/nothing.sqlite", ABSENT, "no such file"),
    ("populate", USAGE, "plan"),
    ("populate {tmp}/nothing.toml -o {tmp}/state", ABSENT, "nothing.toml"),
    ("populate {tmp}/broken.json -o {tmp}/state", FAILED, "broken.json"),
    ("populate {tmp}/deep.json -o {tmp}/state", FAILED, "deep.json"),
    ("populate --preset nothing -o {tmp}/state", USAGE, "--preset"),
    ("populate --preset demo --cost --gpu-hour nan", USAGE, "--gpu-hour"),
    ("populate --preset demo -o {tmp}/state --push-to-hub a/b/c", USAGE, "'a/b/c' cannot be a repository"),
    ("populate --preset demo --cost --gpus 0", USAGE, "--gpus"),
    ("report {tmp}/nothing", ABSENT, "nothing"),
    ("report {tmp}/broken.json", ABSENT, "holds no report.json"),
    ("publish {tmp}/empty --push-to-hub me/x --dry-run", ABSENT, "empty"),
    ("publish {tmp}/nothing --push-to-hub me/x --dry-run", ABSENT, "nothing"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wrong")
    (made / "text.txt").write_text("not what was asked for\n", encoding="utf-8")
    (made / "broken.json").write_text("{", encoding="utf-8")
    (made / "keys.json").write_text('{"a": 1}', encoding="utf-8")
    (made / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (made / "binary.onnx").write_bytes(bytes(range(256)))
    (made / "empty").mkdir()
    return made


@pytest.mark.parametrize(("call", "code", "said"), CALLS, ids=[call for call, _, _ in CALLS])
def test_a_wrong_call(
    call: str, code: int, said: str, ended: Ended, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GPUNET_NGC_URL", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    before = sorted(folder.rglob("*"))
    ending, error = ended(*(word.format(tmp=folder) for word in call.split()))
    assert (ending, "error: " in error or "hint: " in error) == (code, True), error
    assert said in error
    assert sorted(folder.rglob("*")) == before  # nothing is left behind


# ------------------------------------------------------------------------ any value

_VALUES = st.one_of(
    st.text(max_size=20), st.integers().map(str), st.floats().map(str),
    st.sampled_from(["nan", "inf", "-0", "1e999", "0x10", "١٢", "\x1b[31m", "../../x", "a\nb", "", "-", "--", "NULL"]),
)  # fmt: skip


# Whole but for its options: `find` answers, and the others end at a file that is not there, whatever else is given.
_ENDING: dict[tuple[str, ...], list[str]] = {
    ("find",): ["--device", "gv100"],
    ("info",): ["gpunet_9"],
    ("pareto",): ["--device", "gv100", "--batch-size", "7"],
    ("verify",): ["nothing.onnx"],
    ("report",): ["nothing"],
    ("publish",): ["nothing", "--push-to-hub", "me/x", "--dry-run"],
    ("table", "show"): ["nothing.sqlite"],
    ("table", "verify"): ["nothing.sqlite"],
    ("table", "estimate"): ["nothing.sqlite", "gpunet_0"],
    ("table", "report"): ["nothing.sqlite"],
    **{("search", each): ["--study", "nothing.sqlite"] for each in ("status", "best", "pareto", "worker")},
    ("search", "create"): ["--study", "s.sqlite", "--table", "nothing.sqlite", "--data", "digits"],
    ("search", "extend"): ["--study", "nothing.sqlite", "--trials", "3"],
    ("search", "export"): ["--study", "nothing.sqlite", "--out", "out.json"],
}  # fmt: skip
_FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _calls(of: Iterable[tuple[str, ...]]) -> st.SearchStrategy[tuple[tuple[str, ...], list[tuple[str, str]]]]:
    """A command, and options of it with any values."""
    return st.sampled_from(sorted(words for words in of if options(words))).flatmap(
        lambda words: st.tuples(
            st.just(words),
            st.lists(st.tuples(st.sampled_from(sorted(options(words))), _VALUES), min_size=1, max_size=4),
        )
    )


@given(call=_calls(_ENDING))
@_FEW
def test_any_value_of_an_option_ends_in_an_answer_or_an_error(
    call: tuple[tuple[str, ...], list[tuple[str, str]]],
    ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setenv("GPUNET_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    words, values = call
    given = [word for name, value in values if name not in ("--processes", "--cluster") for word in (name, value)]
    code, error = ended(*words, *given, *_ENDING[words])
    assert code in (0, USAGE, NOTHING, ABSENT, MISSING, FAILED)
    assert code == 0 or "error: " in error
    assert "\x1b" not in error


@given(call=_calls(LEAVES))
@_FEW
def test_any_value_of_an_option_is_read_or_refused(
    call: tuple[tuple[str, ...], list[tuple[str, str]]], ended: Ended, monkeypatch: pytest.MonkeyPatch
):
    words, values = call
    with monkeypatch.context() as patched:
        patched.setattr(LEAVES[words], "invoke", lambda ctx: None)  # read, and not run
        code, error = ended(*words, *(word for name, value in values for word in (name, value)))
    assert (code, "error: " in error) in ((0, False), (USAGE, True))
    assert "\x1b" not in error
