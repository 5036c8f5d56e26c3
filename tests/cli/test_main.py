from __future__ import annotations

import subprocess
import sys

import pytest

import gpunet
from gpunet.cli import export
from gpunet.cli.main import main, parser

COMMANDS = ["find", "list", "info", "pareto", "bench", "report"]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpunet.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_commands_are_those_of_the_documentation():
    assert all(f"    {command} " in parser().format_help() for command in COMMANDS)


@pytest.mark.parametrize("command", [[], *([each] for each in COMMANDS)])
def test_every_help_runs(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(" ".join(["usage: gpunet", *command]))
    assert len(text) > 200


def test_gpunet_export_help_runs(capsys):
    with pytest.raises(SystemExit) as stopped:
        export.main(["--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("usage: gpunet-export")


@pytest.mark.parametrize("command", ["gpunet", "gpunet-export"])
def test_version(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        (main if command == "gpunet" else export.main)(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"{command} {gpunet.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_json(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--json" in capsys.readouterr().out


def test_without_a_command_the_help_is_printed_and_the_exit_code_is_2():
    done = _run()
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("usage: gpunet")
    assert "pareto" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["find"], "the following arguments are required: -d/--device"),
        (["find", "-d", "gv100", "--max-ms", "fast"], "argument --max-ms: invalid float value: 'fast'"),
        (["nothing"], "invalid choice: 'nothing'"),
        (["list", "--nothing"], "unrecognized arguments: --nothing"),
    ],
)
def test_usage_errors_exit_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_known_error_prints_message_and_hint_on_stderr_and_exits_2():
    done = _run("find", "-d", "gv100", "--max-ms", "0.1", "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "error: no network fits gv100 at batch 1 with at most 0.1 ms."
    assert lines[1] == "hint: The nearest:"
    assert "Traceback" not in done.stderr


def test_a_broken_zoo_is_a_known_error_that_names_the_file(tmp_path):
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    done = _run("list", "--zoo", str(tmp_path))
    assert done.returncode == 2
    assert f"error: {tmp_path / 'broken.json'}: cannot be read as JSON" in done.stderr
