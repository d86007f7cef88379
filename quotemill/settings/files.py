"""The files of the settings: which quotemill.toml and which .env count.

Each is the nearest one in the working directory or above it, so that a command means the same
warehouse in every folder of a project; else the quotemill.toml of the user's configuration folder.
QUOTEMILL_CONFIG names another settings file. Below them count those in the home, which the console
writes.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_config_dir

from quotemill.errors import SettingsError
from quotemill.settings.environment import PREFIX, read_dotenv, read_variables
from quotemill.systems import IS_POSIX

TOML = "quotemill.toml"
DOTENV = ".env"


@dataclass(frozen=True)
class SettingsFiles:
    """The two files, which need not exist, and the variables of the second."""

    toml: Path
    dotenv: Path
    variables: Mapping[str, str] = field(repr=False)


def find_files(env: Mapping[str, str], cwd: Path) -> SettingsFiles:
    """Find both. Raises SettingsError for one that cannot be read, or that another user owns."""
    toml = _find_toml(cwd)
    dotenv, variables = find_dotenv(cwd)
    for folder, names in ((cwd, env), (dotenv.parent, variables)):
        if named := names.get("QUOTEMILL_CONFIG"):
            if not _is_file(folder / named):
                raise SettingsError(f"QUOTEMILL_CONFIG is not a file: {folder / named}")
            return SettingsFiles(folder / named, dotenv, variables)
    if toml is not None:
        _refuse_foreign(toml, cwd)
    return SettingsFiles(toml or _user_toml() or cwd / TOML, dotenv, variables)


def list_unread(env: Mapping[str, str], cwd: Path, home: Path) -> list[Path]:
    """Further quotemill.toml around a working directory: of several one counts, beside the home's.

    A user who meets one of them may take it for the one that counts.
    """
    read = [find_files(env, cwd).toml.resolve(), (home / TOML).resolve()]
    paths = [*(folder / TOML for folder in _list_folders(cwd)), _user_toml()]
    return [p for p in paths if p is not None and _is_file(p) and p.resolve() not in read]


def find_home_files(home: Path) -> SettingsFiles:
    """The files of a home. Raises SettingsError for one that another user can write."""
    toml, dotenv = home / TOML, home / DOTENV
    for path in (toml, dotenv):
        if _is_file(path):
            _refuse_foreign(path, None)
    return SettingsFiles(toml, dotenv, read_dotenv(dotenv) if _is_file(dotenv) else {})


def _find_toml(cwd: Path) -> Path | None:
    paths = (folder / TOML for folder in _list_folders(cwd))
    return next((path for path in paths if _is_file(path)), None)


def _user_toml() -> Path | None:
    path = Path(user_config_dir("quotemill", appauthor=False)) / TOML
    return path if _is_file(path) else None


def find_dotenv(cwd: Path) -> tuple[Path, dict[str, str]]:
    """The nearest .env that is meant for quotemill, not above the nearest quotemill.toml.

    A file nearer to the working directory wins: .env outranks quotemill.toml, so one further up
    must not. One without a variable of ours belongs to another tool, and the search goes on.
    """
    toml = _find_toml(cwd)
    for folder in _list_folders(cwd):
        path, is_beside = folder / DOTENV, toml is not None and toml.parent == folder
        is_here = folder == cwd.absolute()
        if _is_file(path):
            try:
                variables = read_dotenv(path)
            except SettingsError:
                if is_beside or is_here:
                    raise
                variables = {}  # of another project
            is_ours = any(name.startswith(PREFIX) for name in variables)
            # variables of other tools, such as DB_HOST, count where the user works
            if is_ours or ((is_beside or is_here) and read_variables(variables, "")):
                _refuse_foreign(path, cwd)
                return path, variables
        if is_beside:
            break
    return cwd / DOTENV, {}


def _refuse_foreign(path: Path, cwd: Path | None) -> None:
    """Refuse a file of another folder that other users can write: it names programs."""
    if (cwd and path.parent == cwd.absolute()) or not IS_POSIX:
        return
    state = path.stat()
    if state.st_uid not in (0, os.getuid()) or state.st_mode & stat.S_IWOTH:
        raise SettingsError(
            f"{path} would be used here, but another user can write to it",
            hint=f"Run in {path.parent}, or set QUOTEMILL_CONFIG to your settings file.",
        )


def _list_folders(cwd: Path) -> list[Path]:
    """The working directory and those above it."""
    here = cwd.absolute()
    return [here, *here.parents]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder above that may not be searched
        return False
