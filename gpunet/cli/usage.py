"""What is wrong with a command line: the rule and the value received, in place of what typer and pydantic say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, get_args

import typer

from gpunet.errors import UsageError


def usage_error(error: typer.TyperException, name: str) -> UsageError:
    """An error of typer's as ours.

    Args:
        error: that a command line was refused with.
        name: of the command, where the error knows none.
    """
    at = getattr(error, "ctx", None)
    path = name if at is None else at.command_path
    said = _broken_rule(error) or error.format_message()
    meant = re.findall("'([^']+)'", said.partition("Did you mean")[2])
    return UsageError(f"{path}: {said}", f"'{path} --help' says what it takes.", nearest=meant)


def check_not_empty(args: Sequence[str], path: str) -> None:
    """Refuse values that are empty: no name, file or number is, and a file named '' would be the folder one is in.

    Args:
        args: of a command line.
        path: of its command.

    Raises:
        UsageError: one is empty, or blank.
    """
    for before, arg in pairwise(["", *args]):
        name, equals, value = arg.partition("=")
        if not arg.strip():
            what = before if before.startswith("-") and before.strip("-") else "an argument"
        elif equals and re.fullmatch("-?-[a-z][a-z0-9-]*", name) and not value.strip():
            what = name
        else:
            continue
        raise UsageError(
            f"{path}: {what} must not be empty, but got {(value if equals else arg)!r}.",
            f"'{path} --help' says what it takes.",
        )


def _broken_rule(error: typer.TyperException) -> str:
    """'--rounds must be an integer of 1 or more, but got '0'.'; '' where no value was refused."""
    faults: Any = getattr(error.__cause__, "errors", None)
    param: Any = getattr(error, "param", None)
    if faults is None or param is None:
        return ""
    fault = faults()[0]
    name = next((each for each in param.opts if each.startswith("--")), param.display_name_raw)
    return f"{name} must be {_rule(param) or fault['msg']}, but got {fault['input']!r}."


def _rule(param: Any) -> str:
    of = param.type_descriptor
    if of.choices:
        return f"one of {', '.join(map(str, of.choices))}"
    kinds = {of.annotation, *get_args(of.annotation)}
    if not kinds & {int, float}:
        return ""
    least, most = of.parameter_info.min, of.parameter_info.max
    limits = (
        "" if least is None and most is None else
        f" of {_bound(least)} or more" if most is None else
        f" of at most {_bound(most)}" if least is None else
        f" from {_bound(least)} to {_bound(most)}"
    )  # fmt: skip
    return f"{'an integer' if int in kinds else 'a number'}{limits}"


def _bound(value: float) -> str:
    """1e9 -> '1,000,000,000', 0.5 -> '0.5'."""
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
