"""Settings for people: each with its value, where that came from, and what it may be."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr

from loaders.settings.model import Settings
from quotemill.masks import mask_logins, mask_values
from quotemill.settings.allowed import describe_allowed, find_field, list_choices
from quotemill.settings.environment import PREFIX
from quotemill.settings.merge import flatten
from quotemill.settings.section import OPEN

HIDDEN = "**********"  # as pydantic shows a secret


@dataclass(frozen=True)
class Setting:
    """A setting with its value, secrets masked.

    origin: default, or the file or variable that it came from
    meaning: what it is
    allowed: what it may be, in words; empty for any text
    choices: the values that it may have, where these are few
    """

    name: str
    value: Any
    origin: str
    variable: str
    meaning: str = ""
    is_secret: bool = False
    choices: tuple[Any, ...] = ()
    allowed: str = ""

    @property
    def is_set(self) -> bool:
        return self.origin != "default"


def list_settings(settings: Settings) -> list[Setting]:
    """Every setting, in the order of quotemill.example.toml."""
    rows = []
    for name, value in flatten(settings.model_dump()).items():
        field = find_field(Settings, name)
        choices = list_choices(field.annotation) if field else ()
        if choices == () and isinstance(value, bool):
            choices = (True, False)
        rows.append(
            Setting(
                name,
                mask(value),
                settings.origin(name),
                PREFIX + name.upper().replace(".", "__"),
                (field.description or "") if field else "",
                is_secret(name),
                choices,
                describe_allowed(field) if field else "",
            )
        )
    return rows


def mask(value: Any) -> Any:
    """A value without what is secret: the models mask secrets, an address can hold a password."""
    if isinstance(value, list | tuple):
        return [mask(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | date):
        return value
    return mask_values(mask_logins(str(value), HIDDEN), HIDDEN)


def is_secret(dotted: str) -> bool:
    """Whether a setting is declared secret."""
    field = find_field(Settings, dotted)
    return field is not None and SecretStr in _list_types(field.annotation)


def is_open(dotted: str) -> bool:
    """Whether a setting is declared as one that the console may change."""
    field = find_field(Settings, dotted)
    return field is not None and OPEN in field.metadata


def names_path(dotted: str) -> bool:
    """Whether a setting is a path, or has paths."""
    field = find_field(Settings, dotted)
    return field is not None and Path in _list_types(field.annotation)


def _list_types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _list_types(part)


def has_login(value: Any) -> bool:
    """Whether a text holds an address with a password or a token."""
    texts = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(text, str) and mask(text) != text for text in texts)
