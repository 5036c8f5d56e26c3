"""What every command is made with: its place in the help, its examples, options of many values, old spellings.

A command is a function with annotated parameters (typer), and stands in a file of its own. Files are imported when
their command is named, and by the help of the group above.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from gpunet.cli.usage import check_not_empty, usage_error
from gpunet.cli.wording import in_options
from gpunet.core import console
from gpunet.errors import USAGE_EXIT_CODE, GpunetError


class Command(TyperCommand):
    """A command. An option that may be repeated also takes several values at once, up to the next option."""

    renamed: ClassVar[Mapping[str, str]] = {}
    said_as: ClassVar[Mapping[str, str]] = {}
    shorthands: ClassVar[Callable[[], Mapping[str, Sequence[str]]] | None] = None

    def get_params(self, ctx: Any) -> list[Any]:
        """As typer's, shown as users know them."""
        return _shown(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer's, after old spellings, shorthands and options of many values are put as it reads them."""
        ctx.meta["given"] = tuple(args)
        short = type(self).shorthands
        known = short() if short is not None else {}
        whole = [word for arg in self._renewed(args) for word in known.get(arg, [arg])]
        try:
            spread = list(self._spread(whole))
            if not ctx.resilient_parsing:
                check_not_empty(spread, ctx.command_path)
            return super().parse_args(ctx, spread)
        except typer.TyperException as error:
            if getattr(error, "ctx", None) is None:
                error.ctx = ctx  # type: ignore[attr-defined]  # of which command, for the message
            raise

    def invoke(self, ctx: Any) -> Any:
        """As typer's; errors of the library name the command's options in place of its arguments."""
        try:
            return super().invoke(ctx)
        except GpunetError as error:
            error.message, error.hint = self._in_options(error.message), self._in_options(error.hint)
            if not error.hint and error.exit_code == USAGE_EXIT_CODE:
                error.hint = f"'{ctx.command_path} --help' says what it takes."
            error.args = (error.message, error.hint)
            raise

    def _in_options(self, text: str) -> str:
        named = {each.name or "": name for each in self.params for name in each.opts[:1] if name.startswith("--")}
        return in_options(text, named, self.said_as)

    def _renewed(self, args: Sequence[str]) -> Iterator[str]:
        for arg in args:
            name, equals, value = arg.partition("=")
            if name in self.renamed:
                console.note(f"warning: {name} is called {self.renamed[name]} now; the old name goes with gpunet 0.3.")
                arg = f"{self.renamed[name]}{equals}{value}"
            yield arg

    def _spread(self, args: Sequence[str]) -> Iterator[str]:
        """'--zoo a b' -> '--zoo', 'a', '--zoo', 'b'. What has no '=' is no further value of a KEY=VALUE."""
        several = [each for each in self.params if getattr(each, "multiple", False)]
        many = {name: "=" in (each.metavar or "") for each in several for name in each.opts}
        option, first = None, False
        for place, arg in enumerate(args):
            if arg == "--":
                yield from args[place:]
                return
            if arg.startswith("-") and not _is_number(arg):
                option, first = arg if arg in many else None, True
            elif option is not None and not first and ("=" in arg or not many[option]):
                yield option
            else:
                first = False
            yield arg


class Group(TyperGroup):
    """Commands by name; the file of each is imported when it is asked for.

    `places` says where: 'module:function' below gpunet.cli.
    """

    places: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.commands = dict.fromkeys(self.places)  # type: ignore[assignment]  # the names, for a hint at what was meant

    def get_params(self, ctx: Any) -> list[Any]:
        """As typer's, shown as users know them."""
        return _shown(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer's; without a command it shows the help, on standard error, and ends as a wrong call does."""
        if not args and not ctx.resilient_parsing:
            with contextlib.redirect_stdout(sys.stderr):
                print(ctx.get_help(), end="")  # rich has printed it
            raise typer.Exit(USAGE_EXIT_CODE)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the help."""
        return list(self.places)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or None."""
        place = self.places.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        return getattr(importlib.import_module(f"gpunet.cli.{module}"), name)


def command(
    name: str,
    *,
    panel: str | None = None,
    examples: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
    said_as: Mapping[str, str] | None = None,
    shorthands: Callable[[], Mapping[str, Sequence[str]]] | None = None,
    completion: bool = False,
) -> Callable[[Callable[..., None]], Command]:
    """Make a command of a function; its docstring is the help, and begins with one line for the group's.

    Args:
        name: what users type.
        panel: the group of commands in the help above that it stands in.
        examples: whole command lines.
        renamed: options' old spellings, each with the one that stands for it now; they are taken with a warning.
        said_as: what the library's errors call otherwise: an argument's option ('path' is '--out'), a phrase's wording.
        shorthands: says what a word stands for: '--trt' for '--format tensorrt'.
        completion: give it --install-completion and --show-completion, for one that stands alone.
    """
    short = None if shorthands is None else staticmethod(shorthands)
    kind = type(
        "Command", (Command,), {"renamed": dict(renamed or {}), "said_as": dict(said_as or {}), "shorthands": short}
    )
    shown = "\n\n".join(["Examples:", *(f"  {each}" for each in examples)]) if examples else None

    def made(function: Callable[..., None]) -> Command:
        app = typer.Typer(add_completion=completion, rich_markup_mode="rich")
        settings = {"help_option_names": ["-h", "--help"]}
        paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
        text = "\n\n".join(" ".join(each.split()) for each in paragraphs)
        app.command(name, cls=kind, help=text, epilog=shown, rich_help_panel=panel, context_settings=settings)(function)
        built: Any = typer.main.get_command(app)
        return built

    return made


def group(name: str, places: Mapping[str, str], help: str, *, panel: str | None = None) -> Group:
    """Make a group of commands, each 'module:function' below gpunet.cli."""
    app = typer.Typer(
        name=name, cls=type("Group", (Group,), {"places": dict(places)}), help=help, add_completion=False,
        rich_markup_mode="rich", rich_help_panel=panel,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    app.callback()(lambda: None)
    made: Any = typer.main.get_command(app)
    made.rich_help_panel = panel
    return made


def leaves(group: Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command, str]]:
    """Every command of a tree: the words that name it, itself, and its place."""
    for name, place in group.places.items():
        below = group.get_command(None, name)
        if isinstance(below, Group):
            yield from leaves(below, (*words, name))
        else:
            yield (*words, name), below, place


def run_command(command: Any, name: str, arguments: Sequence[str] | None) -> None:
    """Run a command, or complete its command line where a shell asks for that.

    Raises:
        UsageError: the arguments are none that it takes.
        SystemExit: it ended with another exit code than 0, or showed its help.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if f"_{name.replace('-', '_').upper()}_COMPLETE" in os.environ:
        _join_values(os.environ)
        command.main(given, prog_name=name)
    try:
        with command.make_context(name, given) as context:
            command.invoke(context)
    except typer.Exit as left:
        raise SystemExit(left.exit_code) from None
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):  # rich's, where a help's reader has what it wanted
            raise SystemExit(0) from None
        raise
    except typer.TyperException as error:
        raise usage_error(error, name) from None


def _join_values(environ: MutableMapping[str, str]) -> None:
    """'--device', '=', 'gv' -> '--device', 'gv': bash parts words at '=', and typer takes '=' for a value."""
    words, place = environ.get("COMP_WORDS", "").split("\n"), environ.get("COMP_CWORD", "")
    if not place.isdecimal():
        return
    kept = [
        number for number, word in enumerate(words)
        if word != "=" or number >= int(place) or not words[number - 1].startswith("--")
    ]  # fmt: skip
    environ["COMP_WORDS"] = "\n".join(words[number] for number in kept)
    environ["COMP_CWORD"] = str(sum(number < int(place) for number in kept))


def _shown(params: list[Any]) -> list[Any]:
    """Parameters without the types that typer writes beside them: '<bool>' of a flag, '<list[str]>' of an argument."""
    for each in params:
        if getattr(each, "is_flag", False):
            each.metavar = ""
        elif each.param_type_name == "argument":
            each.display_type_rich = lambda ctx: None
    return params


def _is_number(text: str) -> bool:
    """'-0.5' is a value, not an option."""
    try:
        float(text)
    except ValueError:
        return False
    return True
