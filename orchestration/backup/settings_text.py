"""The settings that differ from defaults, as a settings file without secrets."""

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel, SecretStr

from loaders import log
from loaders.settings import Settings

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def without_secrets(settings: Settings) -> tuple[str, list[str]]:
    """Everything that is set, in TOML, and the names of the secrets, which are left out."""
    lines, secret = ["# What was set when the backup was made. Secrets have to be set again."], []
    for name in sorted(settings.origins):
        value = _value(settings, name)
        if value is None:
            continue
        if _is_secret(value):
            secret.append(name)
            lines.append(f"# {name}: a secret, from {log.scrub(settings.origin(name))}")
        else:
            key = ".".join(p if _BARE.fullmatch(p) else json.dumps(p) for p in name.split("."))
            lines.append(f"{key} = {_toml(value)}")
    return "\n".join(lines) + "\n", secret


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


def _toml(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False)
