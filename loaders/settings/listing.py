"""Settings for people: each with its value, where that came from, and what it may be."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from loaders.settings.model import Settings
from quotemill.masks import mask_logins, mask_values
from quotemill.settings.environment import PREFIX
from quotemill.settings.merge import flatten

HIDDEN = "**********"  # as pydantic shows a secret


@dataclass(frozen=True)
class Setting:
    """A setting with its value, secrets masked.

    origin: default, or the file or variable that it came from
    meaning: what it is, and its unit
    choices: the values that it may have, where these are few
    """

    name: str
    value: Any
    origin: str
    variable: str
    meaning: str = ""
    is_secret: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def is_set(self) -> bool:
        return self.origin != "default"


def list_settings(settings: Settings) -> list[Setting]:
    """Every setting, in the order of quotemill.example.toml."""
    rows = []
    for name, value in flatten(settings.model_dump()).items():
        field = find_field(name)
        choices = _list_choices(field.annotation) if field else ()
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
            )
        )
    return rows


def mask(value: Any) -> Any:
    """A value without what is secret: the models mask secrets, an address can hold a password."""
    if isinstance(value, list | tuple):
        return [mask(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float):
        return value
    return mask_values(mask_logins(str(value), HIDDEN), HIDDEN)


def find_field(dotted: str) -> FieldInfo | None:
    """The field of a setting by its dotted name; None where there is no such setting."""
    kind: Any = Settings
    field: FieldInfo | None = None
    for part in dotted.split("."):
        if get_origin(kind) is dict:  # of names to sections
            kind, field = get_args(kind)[1], None
            continue
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        field = None if part == "origins" else kind.model_fields.get(part)
        if field is None:
            return None
        kind = field.annotation
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    return None if is_section or get_origin(kind) is dict else field


def is_secret(dotted: str) -> bool:
    """Whether a setting is declared secret."""
    field = find_field(dotted)
    return field is not None and SecretStr in _list_types(field.annotation)


def _list_types(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _list_types(part)


def _list_choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a Literal, or of one beside None."""
    if get_origin(annotation) is Annotated:
        return _list_choices(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return _list_choices(parts[0]) if len(parts) == 1 else ()
    return ()


def has_login(value: Any) -> bool:
    """Whether a text holds an address with a password or a token."""
    texts = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(text, str) and mask(text) != text for text in texts)
