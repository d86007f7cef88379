"""Grids of what was wanted and what is there, for any number of codes and days.

A grid has at most MOST_LINES lines and MOST_COLUMNS columns. With more codes or days, a line or
column combines several. The worst items are listed by name. Each grid is one query, which
aggregates in the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

import psycopg

from loaders.engine.coverage import Coverage

MOST_LINES, MOST_COLUMNS, WORST = 60, 120, 15
NEW_YORK = ZoneInfo("America/New_York")


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


T = TypeVar("T", bound=_Ordered)


@dataclass(frozen=True)
class Line:
    """One code, or several in order; `cells` are (wanted, there) by column."""

    name: str
    wanted: int
    there: int
    cells: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Worst:
    """An item that lacks something; `since` is the first column with a hole, as its times."""

    name: str
    wanted: int
    there: int
    since: str


@dataclass(frozen=True)
class Grid:
    """A grid of a dataset.

    `columns` are the first times of each, `newest` is the last time of all. `unit` is what `wanted`
    and `there` count; `fix` is the command that loads the rest.
    """

    key: str
    title: str
    unit: str
    note: str
    fix: str
    items: int
    columns: tuple[str, ...]
    newest: str
    lines: tuple[Line, ...]
    worst: tuple[Worst, ...]

    @property
    def wanted(self) -> int:
        return sum(line.wanted for line in self.lines)

    @property
    def there(self) -> int:
        return sum(line.there for line in self.lines)


# sums of the cells (item, no, line, col, wanted, there): by line and column, and by item
_SUMS = """
    select line, col, item, min(no) as no, sum(wanted)::bigint as wanted,
        sum(there)::bigint as there, min(col) filter (where there < wanted) as first_hole
    from cells group by grouping sets ((line, col), (line, item))
"""


def split_columns(times: Sequence[T], most: int = MOST_COLUMNS) -> list[T]:
    """The first time of each column.

    There are as many columns as times, or `most` columns of about equal length.
    """
    count = min(len(times), most)
    return [times[number * len(times) // count] for number in range(count)]


def fill(conn: psycopg.Connection, coverage: Coverage) -> Grid:
    """Read the grid of a coverage query."""
    times = coverage.moments
    starts = split_columns(times)
    previous = [times.index(start) for start in starts]
    values = {
        "lines": MOST_LINES,
        "moments": list(times),
        "starts": starts,
        "previous": previous,
        "lasts": [*previous[1:], len(times)],
        "since": times[0],
        "until": times[-1],
        **coverage.values,
    }
    labels = [
        f"{time.astimezone(NEW_YORK):%m-%d %H:%M}" if coverage.are_slots else f"{time:%Y-%m-%d}"
        for time in times
    ]
    spans = [
        labels[first] if first == last - 1 else f"{labels[first]} to {labels[last - 1]}"
        for first, last in zip(previous, values["lasts"], strict=True)
    ]
    query = coverage.cells + _SUMS
    by_line: dict[int, dict[int, tuple[int, int]]] = {}
    items: list[tuple[int, int, str, int, int, int | None]] = []
    for line, col, item, no, wanted, there, hole in conn.execute(query.encode(), values):
        if item is None:
            by_line.setdefault(line, {})[col] = (wanted, there)
        else:
            items.append((no, line, item, wanted, there, hole))
    items.sort()
    lines = []
    for number, cells in sorted(by_line.items()):
        names = [item for _, line, item, *_ in items if line == number]
        name = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        row = tuple(cells.get(col, (0, 0)) for col in range(len(starts)))
        lines.append(Line(name, sum(w for w, _ in row), sum(t for _, t in row), row))
    lacking = sorted((i for i in items if i[4] < i[3]), key=lambda i: (i[4] - i[3], i[0]))
    worst = tuple(
        Worst(item, wanted, there, spans[hole or 0])
        for _, _, item, wanted, there, hole in lacking[:WORST]
    )
    return Grid(
        key=coverage.key,
        title=coverage.title,
        unit=coverage.unit,
        note=coverage.note,
        fix=coverage.fix,
        items=len(items),
        columns=tuple(labels[first] for first in previous),
        newest=labels[-1],
        lines=tuple(lines),
        worst=worst,
    )
