"""The data of one answer of the service, and the checks of its shape.

A missing field or a wrong JSON type refuses the whole answer (WrongShape). An unknown field is
dropped and counted.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, Self, get_origin

from quotemill.errors import DataQualityError

# a required field has one type, or one of two
Kind = type | tuple[type, ...]
NUMBER: Kind = (int, float)
BIGINT = 2**63


class WrongShape(DataQualityError):
    """The answer breaks the schema contract.

    route: the route that answered
    row: from 0; None for the answer itself
    field: path of the field
    rule: what is wrong with it
    """

    def __init__(self, route: str, row: int | None, field: str, rule: str) -> None:
        place = "" if row is None else f" row {row}"
        super().__init__(
            f"{route}:{place} field {field}: {rule}",
            hint="Run `loaders check tdx` for more details. The service may be a "
            "different version.",
        )
        self.route, self.row, self.field, self.rule = route, row, field, rule


class Columns:
    """Rows as columns: lists of one length; any other field applies to all rows."""

    __slots__ = ()

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(
            f.name
            for f in fields(cls)  # type: ignore[arg-type]
            if get_origin(f.type) is list
        )

    def take(self, indices: Iterable[int]) -> Self:
        """The rows at `indices`, in that order."""
        keep = list(indices)
        taken = {name: [getattr(self, name)[i] for i in keep] for name in self.columns()}
        return replace(self, **taken)  # type: ignore[type-var]


def check_fields(
    route: str,
    row: int | None,
    value: Any,
    required: Mapping[str, Kind],
    known: Iterable[str],
    unknown: Counter[str],
    path: str = "",
) -> None:
    """Check an object's fields and count unknown ones. Raises WrongShape."""
    if type(value) is not dict:
        raise WrongShape(route, row, path.rstrip(".") or "data", f"{_kind(value)}, not an object")
    for name, kind in required.items():
        if name not in value:
            raise WrongShape(route, row, path + name, "is missing")
        if type(value[name]) not in _types(kind):
            raise WrongShape(route, row, path + name, f"{_kind(value[name])}, not {_KINDS[kind]}")
    if len(value) > len(required):
        for name in value.keys() - required.keys() - set(known):
            unknown[f"{route}.{path}{name}"] += 1


@dataclass(frozen=True, slots=True)
class Reply:
    """The `data` of one successful answer.

    route: the route that answered
    data: decoded JSON
    fetched_at: when the request was sent, UTC
    unknown: unknown fields by place, counted over the whole load
    oddities: accepted oddities by kind, counted over the whole load
    """

    route: str
    data: Any
    fetched_at: datetime
    unknown: Counter[str]
    oddities: Counter[str]

    def wrong(self, row: int | None, field: str, rule: str) -> WrongShape:
        """The error that refuses the answer."""
        return WrongShape(self.route, row, field, rule)

    def odd(self, what: str, times: int = 1) -> None:
        """Count an oddity that is accepted."""
        self.oddities[f"{self.route}.{what}"] += times

    def head(self, required: Mapping[str, Kind], known: Iterable[str] = ()) -> None:
        """Check the fields of the answer itself, as `check_fields` does."""
        self.check(None, self.data, required, known)

    def check(
        self,
        row: int | None,
        value: Any,
        required: Mapping[str, Kind],
        known: Iterable[str] = (),
        path: str = "",
    ) -> None:
        """Check the fields of a part of the answer, as `check_fields` does."""
        check_fields(self.route, row, value, required, known, self.unknown, path)

    def rows(self, key: str) -> list[Any]:
        """The rows under `key`; `null` and `[]` both mean none."""
        if key not in self.data:
            raise self.wrong(None, key, "is missing")
        rows = self.data[key]
        if rows is None:
            return []
        if type(rows) is not list:
            raise self.wrong(None, key, f"{_kind(rows)}, not a list")
        return rows

    def columns(self, key: str, required: Mapping[str, Kind]) -> list[list[Any]]:
        """The required fields of all rows as columns, in the order of `required`.

        Checks whole columns, and single rows only after a failure.
        """
        rows = self.rows(key)
        if not rows:
            return [[] for _ in required]
        try:
            columns = [list(c) for c in zip(*map(itemgetter(*required), rows), strict=True)]
            sound = set(map(len, rows)) == {len(required)} and all(
                set(map(type, column)) <= _types(kind)
                for column, kind in zip(columns, required.values(), strict=True)
            )
        except (KeyError, TypeError):
            columns, sound = [], False
        if not sound:
            for index, row in enumerate(rows):
                self.check(index, row, required, path=f"{key}.")
        for (name, kind), column in zip(required.items(), columns, strict=True):
            if kind is int and (max(column) >= BIGINT or min(column) < -BIGINT):
                index = next(i for i, v in enumerate(column) if not -BIGINT <= v < BIGINT)
                raise self.wrong(index, name, "does not fit a 64-bit number")
        return columns

    def li(self, yuan: Sequence[float], field: str) -> list[int]:
        """Prices in li. Raises WrongShape for one that is no whole number of them."""
        prices = [round(price * 1000) if abs(price) < BIGINT else 0 for price in yuan]
        for index, (price, li) in enumerate(zip(yuan, prices, strict=True)):
            if abs(price * 1000 - li) > 0.01:
                raise self.wrong(index, field, f"{price!r} yuan is not a whole number of li")
        return prices

    def in_order(self, columns: Sequence[list[Any]]) -> list[list[Any]]:
        """Columns sorted by the first one, each row once: pages repeat bars at a border."""
        keys = columns[0]
        if all(a < b for a, b in itertools.pairwise(keys)):
            return list(columns)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        if order != list(range(len(keys))):
            self.odd("unsorted")
        rows = list(zip(*columns, strict=True))
        keep = list(dict.fromkeys(rows[i] for i in order))
        if len(keep) < len(rows):
            self.odd("repeated_bar", len(rows) - len(keep))
        return [list(column) for column in zip(*keep, strict=True)]


_KINDS: dict[Kind, str] = {
    int: "a whole number",
    float: "a fraction",
    NUMBER: "a number",
    str: "a text",
    dict: "an object",
    list: "a list",
    bool: "a boolean",
    type(None): "null",
}


def _types(kind: Kind) -> set[type]:
    return set(kind) if isinstance(kind, tuple) else {kind}


def _kind(value: Any) -> str:
    return _KINDS[type(value)]
