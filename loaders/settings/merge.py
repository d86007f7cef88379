"""The settings of a command, merged from all their places.

Precedence: flag > environment > .env > quotemill.toml > default. The settings file is
`quotemill.toml` in the working directory, or the file that QUOTEMILL_CONFIG names.
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
from loaders.settings.environment import drop_foreign_values, read_dotenv, read_variables
from loaders.settings.model import Settings
from loaders.settings.sections import section_types


def load_settings(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None, **flags: Any
) -> Settings:
    """Read every place once. Raises SettingsError that names the field and what it allows."""
    cwd = cwd or Path.cwd()
    env = dict(os.environ if environ is None else environ)
    dotenv = read_dotenv(cwd / ".env")
    config = env.get("QUOTEMILL_CONFIG") or dotenv.get("QUOTEMILL_CONFIG")
    toml = Path(config) if config else cwd / "quotemill.toml"
    if config and not toml.is_file():
        raise SettingsError(f"QUOTEMILL_CONFIG names {toml}, which is not a file")
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for values in (
        _read_toml(toml),
        read_variables(dotenv, str(cwd / ".env")),
        read_variables(env, "environment"),
        {k: (v, "flag") for k, v in flatten(flags).items() if v is not None},
    ):
        for dotted, (value, place) in values.items():
            _put(merged, dotted, value)
            origins[dotted] = place
    drop_foreign_values(merged, origins)
    try:
        return Settings(**merged, origins=origins)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_explain(e, origins) for e in error.errors(include_input=False)),
            hint="quotemill.example.toml lists every setting",
        ) from None


def read_environment_settings(
    names: Iterable[str], environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The named settings by the environment and .env alone, without those that are not valid.

    For commands that must report that the settings cannot be read.
    """
    env = dict(os.environ if environ is None else environ)
    with contextlib.suppress(SettingsError):
        dotenv = read_dotenv((cwd or Path.cwd()) / ".env")
        env = {k: v for k, v in dotenv.items() if v} | env
    known = {name: value for name, (value, _) in read_variables(env, "").items()}
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
    names = [n for n in _section(dotted).model_fields if n != "origins"]
    near = difflib.get_close_matches(dotted.split(".")[-1], names, n=1)
    guess = f"; did you mean {near[0]}?" if near else "."
    return f"setting {dotted} ({place}) is unknown{guess} Allowed here: {', '.join(names)}"


def _section(dotted: str) -> type[Section]:
    """The model that a setting with this name would belong to."""
    kind = section_types().get(dotted.partition(".")[0], Settings)
    named = get_args(kind)  # of a mapping of names to sections
    return cast("type[Section]", named[-1] if named else kind)
