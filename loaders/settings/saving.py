"""Write settings into the files of the home: secrets into .env, all else into quotemill.toml.

The files of a project, and variables, are never written: they overrule these files.
"""

import contextlib
import io
import math
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from loaders.files import lock, whole_file
from loaders.settings.listing import has_login, is_secret
from loaders.settings.load import read_layers
from loaders.settings.model import Settings
from quotemill.errors import SettingsError, UsageError
from quotemill.foreign import SETTINGS_FILE, read_text, reading
from quotemill.settings.allowed import find_field
from quotemill.settings.environment import PREFIX
from quotemill.settings.files import DOTENV, TOML
from quotemill.settings.folders import make_private
from quotemill.settings.merge import Layers, flatten
from quotemill.settings.removed import REMOVED

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62}){0,3}")
LOCK = ".settings.lock"
_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MARK = "# Written by the console and `quotemill settings --set`; other settings may be added.\n"


def save_settings(
    values: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: Callable[[Settings], object] = lambda _: None,
) -> Settings:
    """Write settings by their dotted names; None takes one out. Returns all settings.

    `check` may raise for settings that are valid but not wanted; then nothing is written. Raises
    UsageError for an unknown name, SettingsError for a value that is not valid, and for one that a
    variable or a file of the project overrules.
    """
    values = {name: _clean(name, value) for name, value in values.items()}
    layers = read_layers(environ, cwd)
    home = layers.home
    if home is None:
        raise SettingsError("setting home is not a folder")
    for name in values:
        if place := find_overruling(layers, name):
            raise SettingsError(
                f"setting {name} is set by {place}, which overrides the home's files",
                hint="Change or delete it there.",
            )
    toml, dotenv = home / TOML, home / DOTENV
    with whole_file.explain_unwritable(home), _locked(home):
        texts = {path: _read_text(path) for path in (toml, dotenv)}
        secret = {n: v for n, v in values.items() if v is None or is_secret(n) or has_login(v)}
        plain = {n: None if n in secret else v for n, v in values.items()}
        new = {
            toml: change_toml(texts[toml], plain),
            dotenv: change_dotenv(texts[dotenv], {n: secret.get(n) for n in values}),
        }
        changed = layers.with_own(new[toml], _read_variables(new[dotenv]))
        for name, value in values.items():
            if value is None and name in changed.own:
                place = changed.own[name][1]
                raise SettingsError(f"setting {name} is set by {place}", hint="Delete it there.")
        try:
            settings = changed.merge()
        except SettingsError as error:
            hint = (
                "Give another value, or correct the item named in the message. Nothing was written."
            )
            # the value is not in a file yet
            text = re.sub(rf" \({re.escape(str(home))}/[^)]*\)", "", str(error))
            raise SettingsError(text, hint=hint) from None
        check(settings)
        for path, text in new.items():
            if text != texts[path]:
                whole_file.write(path, text, mode=None)
    return settings


def find_overruling(layers: Layers[Settings], name: str) -> str | None:
    """The variable or file above the home's files that sets a setting, or a part of it."""
    for layer in reversed(layers.above):
        for dotted, (_, place) in layer.items():
            if dotted == name or dotted.startswith(f"{name}.") or name.startswith(f"{dotted}."):
                return place
    return None


def change_toml(text: str, values: Mapping[str, Any]) -> str:
    """The text of a settings file with other values; comments and order stay.

    Raises SettingsError where the file is written in a way that cannot be changed so.
    """
    import tomlkit

    with reading(TOML, SettingsError):
        expected = flatten(tomllib.loads(text))
    for name, value in values.items():
        expected.pop(name, None)
        if value is not None:
            expected[name] = value
    if expected == flatten(tomllib.loads(text)):
        return text
    with contextlib.suppress(SettingsError), reading(TOML, SettingsError):
        document = tomlkit.parse(text or MARK)
        for name, value in values.items():
            _put(document, name.split("."), value)
        changed = tomlkit.dumps(document)
        if flatten(tomllib.loads(changed)) == expected:
            return changed
    raise SettingsError(
        f"{', '.join(values)} cannot be written into {TOML} of the home in its current form",
        hint="Change the file by hand.",
    )


def change_dotenv(text: str, values: Mapping[str, Any]) -> str:
    """The text of a .env file with other values; other lines stay. Raises SettingsError."""
    variables = {PREFIX + name.upper().replace(".", "__"): v for name, v in values.items()}
    with reading(DOTENV, SettingsError):
        bindings = list(parse_stream(io.StringIO(text)))
    others = "".join(b.original.string for b in bindings if b.key not in variables)
    if others and not others.endswith("\n"):
        others += "\n"
    added = ""
    for variable, value in variables.items():
        if value is not None:
            written = " ".join(value) if isinstance(value, list) else str(value)
            quoted = written.replace("\\", "\\\\").replace("'", "\\'")
            added += f"{variable}='{quoted}'\n"
            if "${" in written or _read_variables(added).get(variable) != written:
                raise SettingsError(
                    f"the value of {variable} has characters that {DOTENV} cannot hold",
                    hint="Set it as an environment variable.",
                )
    return others + added if added or others != text else text


def _put(table: Any, names: list[str], value: Any) -> None:
    name, *rest = names
    if not rest:
        if value is not None:
            table[name] = value
        elif name in table:
            del table[name]
    elif name in table:
        _put(table[name], rest, value)
    elif value is not None:
        import tomlkit

        table[name] = tomlkit.table()
        _put(table[name], rest, value)


def _clean(name: str, value: Any) -> Any:
    """A value that a file can hold. Raises UsageError."""
    if name in REMOVED and value is None:
        return None
    if not NAME.fullmatch(name) or name == "home" or find_field(Settings, name) is None:
        raise UsageError(
            f"there is no setting {name[:100]} that the home's files can hold",
            hint=REMOVED.get(name) or "Run `quotemill settings` to list all settings.",
        )
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | bool | int | float | None) for item in items) or (
        isinstance(value, list) and None in value
    ):
        raise UsageError(f"{name} must be text, a number, true, false, or a list of these")
    if any(isinstance(item, str) and _CONTROL.search(item) for item in items):
        raise UsageError(f"{name} cannot hold control characters")
    if any(isinstance(item, int) and abs(item) >= 2**63 for item in items) or any(
        isinstance(item, float) and item != item for item in items
    ):
        raise UsageError(f"{name} does not allow this number")
    return value


def _read_text(path: Path) -> str:
    if path.is_symlink():
        raise SettingsError(f"{path} is a link", hint="Change the linked file by hand.")
    if not path.exists():
        return ""
    if not path.stat().st_mode & _ANY_WRITE:  # a new file in its place would take no notice
        raise SettingsError(
            f"{path} is read-only", hint="Run `chmod u+w` on it, or change it by hand."
        )
    return read_text(path, SETTINGS_FILE, SettingsError)


def _read_variables(text: str) -> dict[str, str]:
    read = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in read.items() if value is not None}


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One writer of the home's files at a time."""
    make_private(home, above=0)
    # the folder itself is what a check of alerts locks
    with lock.hold(home / LOCK, wait=math.inf):
        yield
