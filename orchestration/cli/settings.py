"""`quotemill settings` and `quotemill init`."""

import os
from json import dumps as to_json
from pathlib import Path
from typing import Annotated, Any

import typer

from loaders.cli import shell
from loaders.cli.shell import JsonFlag
from loaders.errors import UsageError
from loaders.masks import mask_logins, mask_values
from loaders.project import find_project
from loaders.settings import flatten, load_settings
from loaders.settings.environment import PREFIX
from loaders.settings.files import find_files

FILE = "quotemill.toml"
HIDDEN = "**********"  # as pydantic shows a secret


def settings_command(
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what differs from the defaults.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Print each setting: its value, where that came from, and its variable.

    Secrets are masked. A setting is changed where it came from; a default in quotemill.toml, which
    `quotemill init` writes, or by the variable.

    Example: quotemill settings --changed
    """
    settings = load_settings()
    rows = [
        {
            "name": name,
            "value": _mask(value),
            "origin": settings.origin(name),
            "variable": PREFIX + name.upper().replace(".", "__"),
        }
        for name, value in flatten(settings.model_dump()).items()
        if not changed or name in settings.origins
    ]
    if json:
        shell.print_json(rows)
        return
    for row in rows:
        value = "" if row["value"] is None else to_json(row["value"], ensure_ascii=False)
        print(f"{row['name']} = {value}".rstrip())  # as quotemill.toml takes it
        print(f"    {row['origin']}; variable {row['variable']}")


def _mask(value: Any) -> Any:
    """A value without what is secret: the models mask secrets, an address can hold a password."""
    if isinstance(value, list | tuple):
        return [_mask(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask_values(mask_logins(str(value), HIDDEN), HIDDEN)


def init_command() -> None:
    """Write quotemill.toml with every setting as a comment into this folder.

    A file that exists stays as it is.

    Example: quotemill init
    """
    # of the code that runs, not of a checkout around the working directory
    text = (find_project(Path(__file__).parent).root / "quotemill.example.toml").read_text("utf-8")
    path = Path(FILE).absolute()
    present = find_files(os.environ, Path.cwd()).toml
    if present.is_file() and present != path:
        raise UsageError(
            f"{present} has the settings of this folder; one here would hide it",
            hint=f"change that file; for settings of its own make {path} by hand",
        )
    try:
        # it may get secrets
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, "utf-8")
    except FileExistsError:
        raise UsageError(
            f"{path} exists; nothing was written", hint="`quotemill settings` shows what it sets"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    print(path)
