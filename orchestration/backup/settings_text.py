"""The settings that differ from defaults, as a settings file without secrets."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel, SecretStr

from loaders import log
from loaders.settings import Settings
from loaders.settings.saving import change_toml


def without_secrets(settings: Settings) -> tuple[str, list[str]]:
    """Everything that is set, in TOML, and the names of the secrets, which are left out."""
    values = {name: _value(settings, name) for name in sorted(settings.origins)}
    secret = [name for name, value in values.items() if _is_secret(value)]
    head = "# What was set when the backup was made. Secrets have to be set again.\n" + "".join(
        f"# {name}: a secret, from {log.scrub(settings.origin(name))}\n" for name in secret
    )
    plain = {name: _plain(value) for name, value in values.items() if name not in secret}
    return change_toml(head, plain), secret


def _value(settings: Settings, dotted: str) -> Any:
    value: Any = settings
    for part in dotted.split("."):
        if isinstance(value, BaseModel):
            value = getattr(value, part, None)
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _is_secret(value: Any) -> bool:
    """Whether a value is declared secret, or a text that contains a password, such as a URL."""
    if isinstance(value, list | tuple):
        return any(map(_is_secret, value))
    return isinstance(value, SecretStr) or log.scrub(str(value)) != str(value)


def _plain(value: Any) -> Any:
    """A value as TOML can hold it, or None."""
    if isinstance(value, list | tuple):
        return [*map(_plain, value)]
    return value if isinstance(value, bool | int | float | date | None) else str(value)
