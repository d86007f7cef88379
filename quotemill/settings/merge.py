"""The settings of a command, merged from all their places.

Precedence: flag > environment > .env > quotemill.toml > the home's .env > the home's quotemill.toml
> default. `files.py` says which files these are. A relative path counts from the file that sets it,
of a flag or variable from the working directory; a relative home in a variable is refused, as it
would be another one in each folder.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from quotemill.errors import SettingsError
from quotemill.foreign import SETTINGS_FILE, read_text, reading
from quotemill.settings.allowed import describe_allowed, find_field
from quotemill.settings.environment import drop_foreign_values, read_variables
from quotemill.settings.files import (
    DOTENV,
    TOML,
    SettingsFiles,
    find_files,
    find_home_files,
)
from quotemill.settings.folders import refuse_relative
from quotemill.settings.model import TopSettings
from quotemill.settings.removed import REMOVED
from quotemill.settings.section import Section

S = TypeVar("S", bound=TopSettings)
_ENVIRONMENT = "environment"
# a path C:\new in double quotes: TOML reads backslash and n as the end of a line
_UNESCAPED = re.compile(r"[A-Za-z]:[^\x00-\x1f]*[\x00-\x1f]")
_QUOTES = "put a path with backslashes into single quotes: '{}'"
_BACKSLASHES = str.maketrans({"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r"})
# values by dotted name, each with the place that it came from
Layer = dict[str, tuple[Any, str]]


@dataclass(frozen=True)
class Layers(Generic[S]):
    """What all places say, before it is checked.

    model: the settings that they make
    own: by the files of the home
    above: by the places that overrule those, the weakest first
    """

    model: type[S]
    home: Path | None
    own: Layer
    above: tuple[Layer, ...]
    has_file: bool

    @reading("the settings", SettingsError)
    def merge(self) -> S:
        """The settings. Raises SettingsError that names the field and what it allows."""
        merged: dict[str, Any] = {}
        origins: dict[str, str] = {}
        removed: dict[str, str] = {}
        for values in (self.own, *self.above):
            for dotted, (value, place) in values.items():
                if dotted in REMOVED:
                    removed[dotted] = place
                    continue
                put(merged, dotted, value)
                origins[dotted] = place
        drop_foreign_values(merged, origins)
        try:
            return self.model(**merged, origins=origins, removed=removed)
        except ValidationError as error:
            raise SettingsError(
                "\n".join(
                    _explain(self.model, e, origins) for e in error.errors(include_input=False)
                ),
                hint="Change each setting in the file or variable that is shown with it."
                if self.has_file
                else "Run `quotemill init` to create a quotemill.toml that lists every setting.",
            ) from None

    def with_own(self, toml: str, variables: Mapping[str, str]) -> "Layers[S]":
        """The same with other contents of the home's files. Raises SettingsError."""
        assert self.home is not None
        own = _read_own(self.model, self.home, toml, variables)
        return replace(self, own=own)


@reading("the settings", SettingsError)
def read_layers(
    model: type[S],
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    **flags: Any,
) -> Layers[S]:
    """Read every place once. Raises SettingsError for a file that cannot be read."""
    cwd = cwd or Path.cwd()
    env = dict(os.environ if environ is None else environ)
    files = find_files(env, cwd)
    toml, dotenv = _read_files(model, files)
    variables = read_variables(env, _ENVIRONMENT)
    given: Layer = {k: (v, "flag") for k, v in flatten(flags).items() if v is not None}
    if is_relative(model, "home", variables.get("home", ("", ""))[0]):
        other = "another home with another warehouse"
        refuse_relative("QUOTEMILL_HOME", variables["home"][0], cwd, other)
    homes = [layer["home"][0] for layer in (given, variables, dotenv, toml) if "home" in layer]
    home = find_home(homes)
    if home is None:
        return Layers(model, None, {}, (toml, dotenv, variables, given), files.toml.is_file())
    own = find_home_files(home)
    # in the home itself its files are those of the working directory too
    if _is_same(files.toml, own.toml):
        toml = {name: value for name, value in toml.items() if name == "home"}
    if _is_same(files.dotenv, own.dotenv):
        dotenv = {name: value for name, value in dotenv.items() if name == "home"}
    text = _read_text(own.toml)
    has_file = files.toml.is_file() or bool(text)
    above = (toml, dotenv, variables, given)
    return Layers(model, home, {}, above, has_file).with_own(text, own.variables)


def find_home(named: list[Any]) -> Path | None:
    """The home by its nearest place, else the default; None where that is not a path."""
    if not named:
        return TopSettings().home
    if not isinstance(named[0], str | Path):
        return None
    return Path(os.path.normpath(Path(named[0]).expanduser().absolute()))


def _read_own(
    model: type[TopSettings], home: Path, toml: str, variables: Mapping[str, str]
) -> Layer:
    """What the files of a home say. Raises SettingsError where they name another home."""
    places = (home / TOML, home / DOTENV)
    layers = (
        _count_from(model, home, _parse_toml(places[0], toml)),
        _count_from(model, home, read_variables(variables, str(places[1]))),
    )
    for layer, place in zip(layers, places, strict=True):
        if "home" in layer and find_home([layer.pop("home")[0]]) != home:
            raise SettingsError(
                f"{place} sets another home",
                hint="Delete that line: the file belongs to its own home.",
            )
    return layers[0] | layers[1]


def _read_files(model: type[TopSettings], files: SettingsFiles) -> tuple[Layer, Layer]:
    toml = _count_from(model, files.toml.parent, _parse_toml(files.toml, _read_text(files.toml)))
    variables = read_variables(files.variables, str(files.dotenv))
    return toml, _count_from(model, files.dotenv.parent, variables)


def _is_same(path: Path, other: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names: `tdx.base_url`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _read_text(path: Path) -> str:
    """The text of a settings file; empty without a file."""
    return read_text(path, SETTINGS_FILE, SettingsError) if path.is_file() else ""


def _parse_toml(path: Path, text: str) -> Layer:
    quotes = ", and " + _QUOTES.format(r"D:\tdx") if "\\" in text else ""
    hint = f"Correct that line in an editor{quotes}"
    with reading(path, SettingsError, fault="is not valid TOML", hint=hint):
        values = flatten(tomllib.loads(text))
    return {dotted: (value, str(path)) for dotted, value in values.items()}


def _count_from(model: type[TopSettings], folder: Path, values: Layer) -> Layer:
    """The values of a file; relative paths count from its folder.

    Raises SettingsError for a path in which a backslash and a letter were read as one character.
    """
    for dotted, (value, place) in values.items():
        if isinstance(value, str) and _UNESCAPED.match(value):
            text = f"{place}: {dotted} contains a line break or a tab, so it is not a path"
            raise SettingsError(text, hint=_QUOTES.format(value.translate(_BACKSLASHES)))
    return {
        dotted: (
            str(folder.absolute() / value) if is_relative(model, dotted, value) else value,
            place,
        )
        for dotted, (value, place) in values.items()
    }


def is_relative(model: type[TopSettings], dotted: str, value: Any) -> bool:
    """Whether the value of a setting is a relative path, not a word such as gbbq."""
    if dotted.count(".") > 1 or not isinstance(value, str) or value[:1] in ("", "/", "~"):
        return False
    field = _section(model, dotted).model_fields.get(dotted.rpartition(".")[2])
    kinds = (get_args(field.annotation) or (field.annotation,)) if field is not None else ()
    return Path in kinds and value not in {word for kind in kinds for word in get_args(kind)}


def put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    first = TopSettings.model_fields.get(parents[0] if parents else leaf)
    if first is not None and first.exclude:  # of the model, not of people
        raise SettingsError(f"setting {dotted} is unknown")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"setting {dotted}: {parent} is not a section")
    tree[leaf] = value


def _explain(model: type[TopSettings], error: ErrorDetails, origins: Mapping[str, str]) -> str:
    dotted = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
    place = origins.get(dotted, "settings")
    if error["type"] != "extra_forbidden":
        return f"setting {dotted} ({place}): {_explain_value(model, error)}"
    section, name = _section(model, dotted), dotted.split(".")[-1]
    names = [n for n, field in section.model_fields.items() if not field.exclude]
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean {near[0]}?" if near else "."
    return f"setting {dotted} ({place}) is unknown{guess} Allowed here: {', '.join(names)}"


def _explain_value(model: type[TopSettings], error: ErrorDetails) -> str:
    """What is wrong with a value: what a check of ours says, else what the setting allows."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    names = [str(part) for part in error["loc"] if isinstance(part, str)]
    # a union has its own parts below the field
    fields = (find_field(model, ".".join(names[:n])) for n in range(len(names), 0, -1))
    field = next(filter(None, fields), None)
    if field is None:
        return "must be a section whose name has only lower-case letters, digits and _"
    return f"must be {describe_allowed(field) or 'a text'}"


def _section(model: type[TopSettings], dotted: str) -> type[Section]:
    """The model that a setting with this name would belong to."""
    first, _, rest = dotted.partition(".")
    field = model.model_fields.get(first) if rest else None
    if field is None or field.exclude:
        return model
    named = get_args(field.annotation)  # of a mapping of names to sections
    return cast("type[Section]", named[-1] if named else field.annotation)
