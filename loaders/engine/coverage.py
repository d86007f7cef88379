"""Coverage of a source's datasets: of what was wanted, how much is in the warehouse.

A source says by a query what each item (a code) should have by day or slot; orchestration.report
sums the cells to a grid of few lines and columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg

from loaders.settings import Settings

# the line of an item, in an order
LINE = (
    "(row_number() over (order by {order}) - 1) * least(%(lines)s, count(*) over ()) "
    "/ count(*) over ()"
)
_CELLS_BY_ITEM = f"""
    with counted as ({{counted}}),
    items as (
        select item, row_number() over (order by item) as no, {LINE.format(order="item")} as line
        from counted group by item
    ),
    cells as (select c.*, i.no, i.line from counted as c inner join items as i using (item))
"""


@dataclass(frozen=True)
class Period:
    """Days from `since` to `as_of`, in a warehouse with these schemas.

    `schemas` are names by role: market, futures, options, qa … `due` has the day up to which each
    loaded dataset should reach, None where that is unknown.
    """

    settings: Settings
    schemas: Mapping[str, str]
    since: date
    as_of: datetime
    due: Mapping[str, date | None]

    def read_days(self, conn: psycopg.Connection, query: str, until: date) -> list[date]:
        """The days that a query returns; it may name schemas, `since` and `until`."""
        values = {"since": self.since, "until": until}
        return [day for (day,) in conn.execute(query.format(**self.schemas).encode(), values)]


@dataclass(frozen=True)
class Coverage:
    """A grid to be: its words, its query, and the columns of its window.

    `cells` is a query that ends in `cells` (item, no, line, col, wanted, there). Beside `values` it
    has the parameters lines, moments, starts, previous, lasts, since and until of
    orchestration.report.grid. `moments` are the days or slots in order. `unit` is what `wanted` and
    `there` count; `fix` is the command that loads the rest.
    """

    key: str
    title: str
    unit: str
    note: str
    fix: str
    cells: str
    moments: Sequence[Any]
    are_slots: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


def cells_by_item(counted: str) -> str:
    """The cells of counts (item, col, wanted, there), with items in order of their names."""
    return _CELLS_BY_ITEM.format(counted=counted)
