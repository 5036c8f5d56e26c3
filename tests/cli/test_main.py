from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from helpers.commands import LEAVES

import gpunet
from gpunet.cli import export
from gpunet.cli.main import command, main
from gpunet.errors import UsageError

# What gives no answer: it works until something is done, and says how far it is.
WITHOUT_JSON = {("search", "worker"), ("search", "proxy")}


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    called = [sys.executable, "-m", "gpunet", *arguments]
    return subprocess.run(called, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_help_says_what_it_does_with_examples(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f"Usage: gpunet {' '.join(words)}" in text
    assert "Examples:" in text


def test_the_help_names_every_command_in_groups(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for panel in ("Ask", "Deploy", "Train", "Search", "Fill the zoo"):
        assert f" {panel} " in text
    assert all(f" {name} " in text for name in command().places)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_a_word_means_one_thing(words: tuple[str, ...]):
    meanings = {"-b": "--batch-size", "-o": "--out", "-t": "--threads", "-p": "--precision", "-r": "--runtime",
                "-d": "--device", "-h": "--help"}  # fmt: skip
    for each in LEAVES[words].params:
        for short in (name for name in each.opts if name in meanings):
            assert meanings[short] in each.opts
        assert not set(each.opts) & {"--output", "--batch", "--workers", "--jobs", "--fraction", "--include-baselines"}


@pytest.mark.parametrize("words", [each for each in LEAVES if each not in WITHOUT_JSON], ids=" ".join)
def test_what_answers_has_json(words: tuple[str, ...]):
    assert any("--json" in each.opts for each in LEAVES[words].params)


@pytest.mark.parametrize("name", ["gpunet", "gpunet-export"])
def test_version(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        (main if name == "gpunet" else export.main)(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"gpunet {gpunet.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["find"], "Missing option '--device' / '-d'"),
        (["find", "-d", "gv100", "--max-ms", "fast"], "--max-ms must be a number, but got 'fast'"),
        (["find", "-d", "gv100", "-b", "1.5"], "--batch-size must be an integer, but got '1.5'"),
        (["eval", "gpunet_0", "--data", "digits", "--worst", "-1"], "--worst must be an integer of 0 or more, but got"),
        (["table", "build", "t", "--layers-fraction", "2"], "must be a number from 0 to 1, but got '2'"),
        (["eval", "gpunet_0", "--data", "digits", "--std", "1", "x", "1"], "--std must be a number, but got 'x'"),
        (["info", ""], "gpunet info: an argument must not be empty, but got ''"),
        (["eval", "gpunet_0", "--data", "digits", "--split="], "--split must not be empty, but got ''"),
        (["list", "--zoo", "a", " "], "--zoo must not be empty, but got ' '"),
        (["fnd"], "No such command 'fnd'. Did you mean 'find'?"),
        (["list", "--nothing"], "No such option: --nothing"),
        (["find", "-d", "gv100", "-p", "fp8"], "--precision must be one of fp32, fp16, bf16, int8, but got 'fp8'"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], said: str):
    with pytest.raises(UsageError) as error:
        main(arguments)
    assert said in error.value.message
    assert "--help' says what it takes" in error.value.hint


def test_a_known_error_prints_message_and_hint_on_stderr():
    done = _run("find", "-d", "gv100", "--max-ms", "0.1")
    assert done.returncode == 3
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "error: no network fits gv100 at batch 1 with at most 0.1 ms."
    assert lines[1] == "hint: The nearest:"


def test_with_json_an_error_is_json_on_stdout():
    done = _run("info", "gpunet_7", "--json")
    assert done.returncode == 2
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["error"] == "unknown_model"
    assert said["message"].startswith("the zoo has no model 'gpunet_7'")
    assert "gpunet_1" in said["nearest"]


def test_old_spellings_are_taken_with_a_warning(capsys: pytest.CaptureFixture[str]):
    main(["find", "-d", "gv100", "--max-ms", "2", "--include-baselines", "--json"])
    said = capsys.readouterr()
    assert "--include-baselines is called --baselines now" in said.err
    assert any(match["name"] == "resnet50" for match in json.loads(said.out)["matches"])


@pytest.mark.parametrize("words", [[], ["search"], ["table"]])
def test_without_a_command_the_help_is_shown_as_a_wrong_call(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"Usage: {' '.join(['gpunet', *words])} [OPTIONS] COMMAND" in said.err


def test_a_help_shows_no_types_of_python(capsys: pytest.CaptureFixture[str]):
    for words in ([], ["export"], ["list"]):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        said = capsys.readouterr().out
        assert "<bool>" not in said
        assert "list[" not in said


@pytest.mark.parametrize(
    ("words", "option", "old"),
    [(["export", "gpunet_9"], "--keep-failed", ["--keep"]), (["bench", "gpunet_9", "--trtexec"], "--runtime-version",
                                                           ["--version", "10.4"])],
)  # fmt: skip
def test_a_word_that_meant_two_things_is_renamed(words, option, old, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(gpunet.GpunetError):
        main([*words, *old])
    assert f"warning: {old[0]} is called {option} now" in capsys.readouterr().err


def test_hints_name_options():
    with pytest.raises(gpunet.GpunetError) as error:
        main(["find", "-d", "gv100", "--min-top1", "nan"])
    assert error.value.message.startswith("--min-top1 must be")


def test_a_broken_entry_is_named_once_and_is_a_known_error_by_its_name(tmp_path):
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    done = _run("find", "-d", "gv100", "--zoo", str(tmp_path))
    assert done.returncode == 0
    assert done.stderr.count(f"warning: passed over: {tmp_path / 'broken.json'}: cannot be read as JSON") == 1
    done = _run("info", "broken", "--zoo", str(tmp_path))
    assert done.returncode == 6
    assert f"error: {tmp_path / 'broken.json'}: cannot be read as JSON" in done.stderr


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gpunet fi", "find"),
        ("gpunet info gpunet_p", "gpunet_p0"),
        ("gpunet find --device gv", "gv100"),
        ("gpunet find -d gv100 --runtime tensor", "tensorrt"),
        ("gpunet find --device = gv", "gv100"),  # as bash parts --device=gv
        ("gpunet find --device =", "gv100"),
        ("gpunet find --device = gv100 --runtime = tensor", "tensorrt"),
        ("gpunet train --data d", "digits"),
        ("gpunet search create --data = h", "hfds/"),
    ],
)
def test_a_shell_completes_names(line: str, offered: str):
    words = line.split()
    done = _run(
        _GPUNET_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1),
        _TYPER_COMPLETE_ARGS=line,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert offered in done.stdout.split()
