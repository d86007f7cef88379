"""What lies at the edges of a landed table's columns, and plain rows to put it into."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow as pa

from loaders.landing.screening import FIRST, KEY_BYTES, LAST, limits, screen
from loaders.trading_time import close_of
from loaders.warehouse.tables import LandedTable

Row = dict[str, Any]
DOUBLES = (1e300, -1e300, 1.7e308, 5e-324, -5e-324, 0.0)
# an index compresses, and takes no 3,000 bytes that cannot be
_LONG = "".join(Random(0).choices([chr(n) for n in range(0x4E00, 0x9FFF)], k=1500))
TEXTS = (
    _LONG,
    "",
    "x" * KEY_BYTES,
    "\U0001f40d" * (KEY_BYTES // 4),
    "a'\"\\\t\n{}%s e\u0301\u202e\ufeff\uffff",
    "99:99 9999-99-99 %,,",
)
MIDNIGHT, LAST_MOMENT = time(0, tzinfo=UTC), time(23, 59, 59, 999_999, tzinfo=UTC)
INSTANTS = tuple(
    datetime.combine(day, clock) for day in (FIRST, LAST) for clock in (MIDNIGHT, LAST_MOMENT)
)
DAYS = (FIRST, LAST, FIRST - timedelta(1), LAST + timedelta(1))


def extremes(landed: LandedTable, column: pa.Field) -> list[Any]:
    """The least and the greatest that the column takes, what lies beyond, what is odd, and none."""
    kind = column.type
    values: list[Any] = []
    if pa.types.is_decimal(kind):
        digits = Decimal(10 ** (kind.precision - kind.scale))
        step = Decimal(1).scaleb(-kind.scale)
        values = [-digits, digits - step, step, -step, Decimal(0), Decimal(10**17)]
    elif pa.types.is_integer(kind):
        beyond = 2 ** (kind.bit_width - 1)
        values = [-beyond, beyond - 1, 0, -1, 1, -(10**17), 3 * 10**9]
    elif pa.types.is_floating(kind):
        values = [*DOUBLES]
    elif pa.types.is_string(kind):
        values = [*TEXTS]
    elif pa.types.is_date(kind):
        values = [*DAYS]
    elif pa.types.is_timestamp(kind):
        values = [*INSTANTS]
    elif pa.types.is_boolean(kind):
        values = [True, False]
    limit = limits(column, landed)
    return [*values, *(bound for bound in limit if bound is not None), *[None] * column.nullable]


def cases(landed: LandedTable) -> Iterator[tuple[str, Any]]:
    """Each column of a table, with each of its extremes."""
    return ((column.name, value) for column in landed.schema for value in extremes(landed, column))


def plain(landed: LandedTable, words: Row, name: str, day: date) -> Row:
    """A row that is nothing special: `words` where it has a column of theirs, `name` as a text."""
    by_kind = {
        pa.date32(): day,
        pa.timestamp("us", tz="UTC"): close_of(day),
        pa.bool_(): True,
        pa.string(): name,
        pa.float64(): 0.5,
    }
    row = {c.name: words.get(c.name, by_kind.get(c.type, 1)) for c in landed.schema}
    # of a whole number of 64 bits Arrow makes no decimal
    row |= {
        c.name: Decimal(row[c.name])
        for c in landed.schema
        if pa.types.is_decimal(c.type) and row[c.name] is not None
    }
    return row | {"fetched_at": datetime(2024, 1, 31, 20, tzinfo=UTC)}


class Mixed:
    """Rows with extremes in many columns at once, each of which the table takes."""

    def __init__(self, landed: LandedTable, plain_row: Row) -> None:
        alone = replace(landed, whole=())
        assert screen([plain_row], alone).rejected == []
        self.random = Random(landed.qualified)
        self.values: dict[str, list[Any]] = {}
        for column in landed.schema:
            rows = [plain_row | {column.name: value} for value in extremes(landed, column)]
            self.values[column.name] = screen(rows, alone).rows[column.name].to_pylist()

    def of(self, row: Row, fixed: tuple[str, ...]) -> Row:
        """The row with an extreme in every second column, but for those that are `fixed`."""
        odd = [n for n in row if n not in fixed and self.random.random() < 0.5]
        return row | {name: self.random.choice(self.values[name]) for name in odd}
