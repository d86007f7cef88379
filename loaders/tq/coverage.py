"""Coverage of futures: ticks of main contracts, varieties by days."""

from collections.abc import Iterator

import psycopg

from loaders.engine.coverage import Coverage, Period, cells_by_item

_VARIETY_DAYS = """
    select variety as item, width_bucket(trading_day, %(starts)s::date[]) - 1 as col,
        count(*) filter (where coverage <> 'no_data') as wanted,
        count(*) filter (where coverage in ('complete', 'to_restamp')) as there
    from {futures}.tick_coverage where trading_day between %(since)s and %(until)s
    group by 1, 2
"""
_DAYS = """
    select distinct trading_day from {futures}.main_schedule
    where trading_day between %(since)s and %(until)s order by 1
"""


def read_coverage(conn: psycopg.Connection, period: Period) -> Iterator[Coverage]:
    """Ticks of varieties by days, where the schedule is built."""
    until = period.due.get("ticks")
    days = period.read_days(conn, _DAYS, until) if until is not None else []
    if days:
        yield Coverage(
            key="varieties",
            title="Futures ticks: products by days",
            unit="days",
            note="Days for which the source has no ticks are not counted as missing.",
            fix="quotemill run tq",
            cells=cells_by_item(_VARIETY_DAYS.format(**period.schemas)),
            moments=days,
        )
