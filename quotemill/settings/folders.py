"""Folders that a variable may not name by a relative path.

What is written there is looked for again, and another working directory would make it another,
empty one.
"""

import os
import shlex
from pathlib import Path
from typing import NoReturn

from quotemill.errors import SettingsError
from quotemill.settings.model import TopSettings
from quotemill.systems import is_root


def require_absolute(settings: TopSettings, name: str, folder: Path) -> Path:
    """The folder that a setting names. Raises SettingsError for a relative one."""
    folder = folder.expanduser()
    if not folder.is_absolute():
        variable = settings.origin(name).rpartition(" ")[2]
        refuse_relative(variable, str(folder), Path.cwd(), "another one")
    return folder


def make_private(folder: Path, *, above: int = 1) -> None:
    """Make a folder and those above it that are missing, for this user alone.

    Of root's only the folder and so many `above` it, the home the last: the embedded server is of
    another user, whom it lets into these, and who has to get there.
    """
    levels = (folder, *folder.parents)
    for level in reversed([level for level in levels if not level.exists()]):
        is_passed = is_root() and level not in levels[: above + 1]
        level.mkdir(mode=0o755 if is_passed else 0o700, exist_ok=True)


def refuse_relative(variable: str, value: str, cwd: Path, other: str) -> NoReturn:
    """Raise SettingsError that names the folder that is meant."""
    here = cwd.absolute()
    folders = (folder / value for folder in (here, *here.parents))
    meant = next((folder for folder in folders if folder.is_dir()), here / value)
    raise SettingsError(
        f"{variable}={value} is a relative path: in another folder it would be {other}",
        hint=f"Run `export {variable}={shlex.quote(os.path.normpath(meant))}`.",
    )
