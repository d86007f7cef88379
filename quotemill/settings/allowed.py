"""The values that a setting may have, in words, and the unit of a number."""

import types
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    date: "a day such as 2026-01-31",
    Path: "a path",
}


class Unit(str):
    """The unit of a number, beside its type."""


class Form(str):
    """The form of a text in words, beside its type."""


Seconds = Annotated[float, Unit("seconds")]
Days = Annotated[int, Unit("days")]
TradingDays = Annotated[int, Unit("trading days")]


def find_field(model: Any, dotted: str) -> FieldInfo | None:
    """The field of a setting by its dotted name; None where there is no such setting."""
    kind, field = model, None
    for part in dotted.split("."):
        if get_origin(kind) is dict:  # of names to sections
            kind, field = get_args(kind)[1], None
            continue
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        field = kind.model_fields.get(part)
        if field is None or field.exclude:
            return None
        kind = field.annotation
    is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
    return None if is_section or get_origin(kind) is dict else field


def list_choices(annotation: Any) -> tuple[Any, ...]:
    """The values of a Literal, or of one beside None."""
    kinds, _ = _split(annotation)
    return get_args(kinds[0]) if len(kinds) == 1 and get_origin(kinds[0]) is Literal else ()


def describe_allowed(field: FieldInfo) -> str:
    """What a setting takes: "a whole number of minutes, between 1 and 30"; empty for any text."""
    return _describe(field.annotation, field.metadata)


def _describe(annotation: Any, marks: list[Any]) -> str:
    kinds, own = _split(annotation)
    marks = [*marks, *own]
    if form := next((str(mark) for mark in marks if isinstance(mark, Form)), ""):
        return form
    if len(kinds) > 1:
        return ""  # its meaning says it
    kind = kinds[0]
    if get_origin(kind) is list:
        item = _describe(get_args(kind)[0], [])
        return f"a list, each {item}" if item else "a list"
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    unit = next((f" of {mark}" for mark in marks if isinstance(mark, Unit)), "")
    bounds = {name: getattr(mark, name) for mark in marks for name in BOUNDS if hasattr(mark, name)}
    if {"ge", "le"} <= set(bounds):
        limits = f", between {bounds['ge']} and {bounds['le']}"
    else:
        limits = "".join(f", {BOUNDS[name]} {bounds[name]}" for name in BOUNDS if name in bounds)
    return f"{KINDS[kind]}{unit}{limits}" if kind in KINDS else ""


def _split(annotation: Any) -> tuple[list[Any], list[Any]]:
    """The types of a union without None, and what stands beside them."""
    if get_origin(annotation) is Annotated:
        kind, *marks = get_args(annotation)
        kinds, own = _split(kind)
        return kinds, [*marks, *own]
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [_split(part) for part in get_args(annotation) if part is not type(None)]
        return [k for kinds, _ in parts for k in kinds], [m for _, marks in parts for m in marks]
    return [annotation], []
