"""Settings as commands read them, with every section."""

import contextlib
import copy
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loaders.settings.model import Settings
from quotemill.errors import SettingsError
from quotemill.settings import merge
from quotemill.settings.environment import read_variables
from quotemill.settings.files import find_dotenv, find_home_files
from quotemill.settings.merge import Layers, find_home, is_relative, put
from quotemill.settings.removed import ADDRESSES, explain_removed

_log = logging.getLogger("loaders")
_reported: set[str] = set()  # removed settings, once a process


def load_settings(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: Any
) -> Settings:
    """Read every place once. Raises SettingsError that names the field and what it allows.

    Warns of removed settings, unless the run that started this command has done so, and refuses
    those without which secrets would go elsewhere.
    """
    settings = read_layers(environ, cwd, **flags).merge()
    for name, place in settings.removed.items():
        if name in ADDRESSES:
            raise SettingsError(explain_removed(name, place))
        if name not in _reported and "QUOTEMILL_RUN_ID" not in os.environ:
            _log.warning(explain_removed(name, place))
            _reported.add(name)
    return settings


def read_layers(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: Any
) -> Layers[Settings]:
    """Read every place once. Raises SettingsError for a file that cannot be read."""
    return merge.read_layers(Settings, environ, cwd, **flags)


def read_environment_settings(
    names: Iterable[str], environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The named settings by the environment and .env files alone, without invalid ones.

    For commands that must report that the settings cannot be read.
    """
    env = dict(os.environ if environ is None else environ)
    with contextlib.suppress(SettingsError):
        _, dotenv = find_dotenv(cwd or Path.cwd())
        env = {k: v for k, v in dotenv.items() if v} | env
    known = {name: value for name, (value, _) in read_variables(env, "").items()}
    if is_relative(Settings, "home", known.get("home")):
        del known["home"]  # load_settings refuses it
    with contextlib.suppress(SettingsError):
        home = find_home([known["home"]] if "home" in known else [])
        variables = find_home_files(home).variables if home else {}
        own = {name: value for name, (value, _) in read_variables(variables, "").items()}
        known = {name: value for name, value in own.items() if name != "home"} | known
    merged: dict[str, Any] = {}
    for name in names:
        if name in known:
            tree = copy.deepcopy(merged)
            put(tree, name, known[name])
            with contextlib.suppress(ValidationError):
                Settings(**tree)
                merged = tree
    return Settings(**merged)
