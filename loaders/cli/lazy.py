"""Commands that are imported when they are called: `schedule run` starts each minute."""

import atexit
import gc
import importlib
import re
from collections.abc import Iterator, Mapping, MutableMapping
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

Target = str | tuple[str, dict[str, Any]]
Commands = Mapping[str, Mapping[str, Target]]
COLLECTED_AFTER = 50_000  # objects


class _LazyCommands(MutableMapping[str, Any]):
    """Commands by name, each imported at its first use.

    commands: by the panel of the help; `module:attribute` of a function or a Typer app, also in a
    pair with what `Typer.command` takes, of which an app has `hidden`, or with `same_as`: the other
    name of the same function
    """

    def __init__(self, commands: Commands) -> None:
        self._targets = {
            name: (target, panel)
            for panel, targets in commands.items()
            for name, target in targets.items()
        }
        self._imported: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            self._imported[name] = _import_command(name, *self._targets[name])
        return self._imported[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("commands are not removed")


def _import_command(name: str, target: Target, panel: str) -> Any:
    path, options = (target, {}) if isinstance(target, str) else target
    options = {**options}
    same_as = options.pop("same_as", None)
    module, _, attribute = path.partition(":")
    value = getattr(importlib.import_module(module), attribute)
    if isinstance(value, typer.Typer):
        command: Any = typer.main.get_group(value)
        command.hidden = options.get("hidden", False)
    else:
        app = typer.Typer(add_completion=False)
        app.command(name, **options)(value)
        command = typer.main.get_command(app)
    command.name = name
    command.rich_help_panel = panel
    _join_lines(command)
    if same_as:
        first, _, rest = command.help.partition("\n\n")
        command.help = f"{first} The same as `{same_as}`.\n\n{rest}"
    return command


def _join_lines(command: Any) -> None:
    """Make each paragraph of the help one line, which a terminal of any width wraps once."""
    if command.help:
        paragraphs = re.split(r"\n\s*\n", command.help)
        command.help = "\n\n".join(re.sub(r"\s*\n\s*", " ", text) for text in paragraphs)
    commands = getattr(command, "commands", {})
    if not isinstance(commands, _LazyCommands):  # those follow when they are imported
        for subcommand in commands.values():
            _join_lines(subcommand)


def lazy_app(help: str, commands: Commands, *, shows_version: bool = False) -> typer.Typer:
    """Make an app of these commands, none of which is imported yet."""

    class LazyGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = _LazyCommands(commands)

    app = typer.Typer(
        cls=LazyGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=help)(_root if shows_version else _group)
    return app


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command line, see `shell.run_app`."""
    # collecting after every 700 new objects costs a tenth of a night: nearly all of them stay
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])
    # else the interpreter looks through all of them once more at its end: 0.4 s after a load
    atexit.register(gc.freeze)
    from loaders.cli import shell  # much of what is collected seldom

    shell.run_app(app)


def _group() -> None:
    """Nothing of its own: a command follows."""


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"quotemill {version('quotemill')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Nothing of its own: a command follows."""
