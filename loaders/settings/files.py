"""The files of the settings: which quotemill.toml and which .env count.

Each is the nearest one in the working directory or above it, so that a command means the same
warehouse in every folder of a project; else the quotemill.toml of the user's configuration folder.
QUOTEMILL_CONFIG names another settings file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_config_dir

from loaders.errors import SettingsError
from loaders.settings.environment import PREFIX, read_dotenv

TOML = "quotemill.toml"
DOTENV = ".env"


@dataclass(frozen=True)
class SettingsFiles:
    """The two files, which need not exist, and the variables of the second."""

    toml: Path
    dotenv: Path
    variables: Mapping[str, str] = field(repr=False)


def find_files(env: Mapping[str, str], cwd: Path) -> SettingsFiles:
    """Find both. Raises SettingsError for one that cannot be read."""
    dotenv, variables = find_dotenv(cwd)
    for folder, names in ((cwd, env), (dotenv.parent, variables)):
        if named := names.get("QUOTEMILL_CONFIG"):
            if not _is_file(folder / named):
                raise SettingsError(f"QUOTEMILL_CONFIG names {folder / named}, which is not a file")
            return SettingsFiles(folder / named, dotenv, variables)
    return SettingsFiles(_find_toml(cwd), dotenv, variables)


def _find_toml(cwd: Path) -> Path:
    user = Path(user_config_dir("quotemill", appauthor=False))
    paths = (folder / TOML for folder in (*_list_folders(cwd), user))
    return next((path for path in paths if _is_file(path)), cwd / TOML)


def find_dotenv(cwd: Path) -> tuple[Path, dict[str, str]]:
    """The nearest .env; above the working directory only one that is meant for quotemill."""
    path = cwd / DOTENV
    if _is_file(path):
        return path, read_dotenv(path)
    for folder in _list_folders(cwd)[1:]:
        path = folder / DOTENV
        if not _is_file(path):
            continue
        try:
            variables = read_dotenv(path)
        except SettingsError:
            if _is_file(folder / TOML):
                raise
            continue  # of another project
        if _is_file(folder / TOML) or any(name.startswith(PREFIX) for name in variables):
            return path, variables
    return cwd / DOTENV, {}


def _list_folders(cwd: Path) -> list[Path]:
    """The working directory and those above it."""
    here = cwd.absolute()
    return [here, *here.parents]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder above that may not be searched
        return False
