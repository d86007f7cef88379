"""`quotemill settings` and `quotemill init`."""

import os
import sys
import tomllib
from functools import partial
from json import dumps as to_json
from pathlib import Path
from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.settings import load_settings
from loaders.settings.listing import list_settings
from loaders.settings.saving import save_settings
from orchestration.checks.settings import check_new_settings
from quotemill.errors import UsageError
from quotemill.settings.files import find_files
from quotemill.warehouse.dbt_project import find_project

FILE = "quotemill.toml"


def settings_command(
    changed: Annotated[
        bool, typer.Option("--changed", help="Print only settings that differ from the defaults.")
    ] = False,
    to_set: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Write a setting to the home's files, as the console does. For secrets give only "
            "NAME: the value comes from a prompt or stdin. Can be repeated.",
        ),
    ] = None,
    to_unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset", metavar="NAME", help="Remove a setting from these files. Can be repeated."
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Print settings with their origin and variable, or change them.

    Secrets are masked. Change a setting at its origin. For a default, use its variable,
    quotemill.toml (`quotemill init` writes one) or --set. --set writes quotemill.toml, and .env for
    secrets, in the home. Both apply from every folder, with the lowest precedence.

    Example: quotemill settings --changed
    """
    values: dict[str, Any] = dict.fromkeys(to_unset or ())
    values |= dict(map(_read_assignment, to_set or ()))
    check = partial(check_new_settings, values=values)
    settings = save_settings(values, check=check) if values else load_settings()
    rows = [
        {
            "name": row.name,
            "value": row.value,
            "origin": row.origin,
            "variable": row.variable,
        }
        for row in list_settings(settings)
        if (row.name in values if values else not changed or row.is_set)
    ]
    if json:
        shell.print_json(rows)
        return
    for row in rows:
        value = row["value"]
        value = "" if value is None else to_json(value, ensure_ascii=False, default=str)
        print(f"{row['name']} = {value}".rstrip())  # as quotemill.toml takes it
        print(f"    {row['origin']}; variable {row['variable']}")


def _read_assignment(text: str) -> tuple[str, Any]:
    """A setting and its value, in the words of TOML or plain."""
    name, sign, value = text.partition("=")
    if not sign:
        is_person = sys.stdin.isatty()
        value = typer.prompt(name, hide_input=True) if is_person else sys.stdin.readline()
        return name.strip(), value.strip()
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()
    known = parsed.get("value")
    is_plain = len(parsed) == 1 and isinstance(known, str | int | float | bool | list)
    return name.strip(), known if is_plain else value.strip()


def init_command() -> None:
    """Write quotemill.toml here, with every setting as a comment.

    An existing file is never changed.

    Example: quotemill init
    """
    # of the code that runs, not of a checkout around the working directory
    text = (find_project(Path(__file__).parent).root / "quotemill.example.toml").read_text("utf-8")
    path = Path(FILE).absolute()
    present = find_files(os.environ, Path.cwd()).toml
    if present.is_file() and present != path:
        raise UsageError(
            f"{present} applies to this folder, and a file here would hide it",
            hint=f"Change that file, or create {path} by hand for separate settings.",
        )
    try:
        # it may get secrets
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, "utf-8")
    except FileExistsError:
        raise UsageError(
            f"{path} already exists", hint="Run `quotemill settings --changed` to see its settings."
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    print(path)
