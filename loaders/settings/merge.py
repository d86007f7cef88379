"""The settings of a command, merged from all their places.

Precedence: flag > environment > .env > quotemill.toml > default. `files.py` says which files these
are. A relative path counts from the file that sets it, of a flag or variable from the working
directory; a relative home in a variable is refused, as it would be another one in each folder.
"""

import contextlib
import copy
import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from loaders.errors import SettingsError
from loaders.section import Section
from loaders.settings.environment import drop_foreign_values, read_variables
from loaders.settings.files import find_dotenv, find_files
from loaders.settings.folders import refuse_relative
from loaders.settings.model import Settings
from loaders.settings.sections import section_types

_ENVIRONMENT = "environment"


def load_settings(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: Any
) -> Settings:
    """Read every place once. Raises SettingsError that names the field and what it allows."""
    cwd = cwd or Path.cwd()
    env = dict(os.environ if environ is None else environ)
    files = find_files(env, cwd)
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for values in (
        _count_from(files.toml.parent, _read_toml(files.toml)),
        _count_from(files.dotenv.parent, read_variables(files.variables, str(files.dotenv))),
        read_variables(env, _ENVIRONMENT),
        {k: (v, "flag") for k, v in flatten(flags).items() if v is not None},
    ):
        for dotted, (value, place) in values.items():
            _put(merged, dotted, value)
            origins[dotted] = place
    drop_foreign_values(merged, origins)
    if origins.get("home", "").startswith(_ENVIRONMENT) and _is_relative("home", merged["home"]):
        other = "another home, with another warehouse"
        refuse_relative("QUOTEMILL_HOME", merged["home"], cwd, other)
    try:
        return Settings(**merged, origins=origins)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_explain(e, origins) for e in error.errors(include_input=False)),
            hint="each is named with the file or variable that sets it; change it there"
            if files.toml.is_file()
            else "`quotemill init` writes a quotemill.toml with every setting to choose from",
        ) from None


def read_environment_settings(
    names: Iterable[str], environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The named settings by the environment and .env alone, without those that are not valid.

    For commands that must report that the settings cannot be read.
    """
    env = dict(os.environ if environ is None else environ)
    with contextlib.suppress(SettingsError):
        _, dotenv = find_dotenv(cwd or Path.cwd())
        env = {k: v for k, v in dotenv.items() if v} | env
    known = {name: value for name, (value, _) in read_variables(env, "").items()}
    if _is_relative("home", known.get("home")):
        del known["home"]  # load_settings refuses it
    merged: dict[str, Any] = {}
    for name in names:
        if name in known:
            tree = copy.deepcopy(merged)
            _put(tree, name, known[name])
            with contextlib.suppress(ValidationError):
                Settings(**tree)
                merged = tree
    return Settings(**merged)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names: `tdx.base_url`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _read_toml(path: Path) -> dict[str, tuple[Any, str]]:
    if not path.is_file():
        return {}
    try:
        values = flatten(tomllib.loads(path.read_text("utf-8")))
        return {dotted: (value, str(path)) for dotted, value in values.items()}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None


def _count_from(folder: Path, values: Mapping[str, tuple[Any, str]]) -> dict[str, tuple[Any, str]]:
    """The values of a file; relative paths count from its folder."""
    return {
        dotted: (str(folder.absolute() / value) if _is_relative(dotted, value) else value, place)
        for dotted, (value, place) in values.items()
    }


def _is_relative(dotted: str, value: Any) -> bool:
    """Whether the value of a setting is a relative path, not a word such as gbbq."""
    if dotted.count(".") > 1 or not isinstance(value, str) or value[:1] in ("", "/", "~"):
        return False
    field = _section(dotted).model_fields.get(dotted.rpartition(".")[2])
    kinds = (get_args(field.annotation) or (field.annotation,)) if field is not None else ()
    return Path in kinds and value not in {word for kind in kinds for word in get_args(kind)}


def _put(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, leaf = dotted.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"setting {dotted}: {parent} is not a section")
    tree[leaf] = value


def _explain(error: ErrorDetails, origins: Mapping[str, str]) -> str:
    dotted = ".".join(str(part) for part in error["loc"] if isinstance(part, str))
    place = origins.get(dotted, "settings")
    if error["type"] != "extra_forbidden":
        return f"setting {dotted} ({place}): {error['msg']}"
    section, name = _section(dotted), dotted.split(".")[-1]
    if instead := section.former_fields.get(name):
        return (
            f"setting {dotted} ({place}) is no longer there: {instead}; delete it from that place"
        )
    names = [n for n in section.model_fields if n != "origins"]
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean {near[0]}?" if near else "."
    return f"setting {dotted} ({place}) is unknown{guess} Allowed here: {', '.join(names)}"


def _section(dotted: str) -> type[Section]:
    """The model that a setting with this name would belong to."""
    kind = section_types().get(dotted.partition(".")[0], Settings)
    named = get_args(kind)  # of a mapping of names to sections
    return cast("type[Section]", named[-1] if named else kind)
