"""Coverage of futures: ticks of main contracts, varieties by days."""

from collections.abc import Iterator, Mapping
from datetime import date

import psycopg

from orchestration.report import grid
from orchestration.report.grid import About, Grid

_VARIETY_DAYS = """
    select variety as item, width_bucket(trading_day, %(starts)s::date[]) - 1 as col,
        count(*) filter (where coverage <> 'no_data') as wanted,
        count(*) filter (where coverage in ('complete', 'to_restamp')) as there
    from {futures}.tick_coverage where trading_day between %(since)s and %(until)s
    group by 1, 2
"""
_VARIETIES = About(
    "varieties",
    "Ticks of futures: varieties by days",
    "days",
    "Days of which the source has no ticks are not wanted.",
    "quotemill run tq",
)


def grids(
    conn: psycopg.Connection,
    schemas: Mapping[str, str],
    since: date,
    due: Mapping[str, date | None],
) -> Iterator[Grid]:
    """`due` has the day up to which a dataset is to be there."""
    until = due.get("ticks")
    if until is None:
        return
    days = grid.dates(
        conn,
        "select distinct trading_day from {futures}.main_schedule where trading_day between "
        "%(since)s and %(until)s order by 1",
        schemas,
        {"since": since, "until": until},
    )
    if days:
        yield grid.fill(conn, grid.by_item(_VARIETY_DAYS.format(**schemas)), _VARIETIES, days)
