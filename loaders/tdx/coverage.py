"""Coverage of shares: day bars, minutes and ticks, codes by days."""

from collections.abc import Iterator
from datetime import date

import psycopg

from loaders.engine.coverage import LINE, Coverage, Period
from loaders.tdx.operations import describe_late_fix
from loaders.warehouse.sql_files import read_sql
from quotemill.warehouse.schemas import has_relation

MINUTE_DAYS = 100  # newest trading days with minutes: all that the service has
SUSPENDED = 10  # trading days without a bar, after which none is expected
_HALF_HOURS = """
    select code, trade_date, half_hours as parts from {quotemill_intermediate}.int_minutes__days
    where trade_date between %(since)s and %(until)s
"""
_TICK_DAYS = """
    select code, trade_date, 1 as parts from {market}.tick_daily_summary
    where trade_date between %(since)s and %(until)s
"""
_MINUTES = ("minutes", "Minutes: codes by days", "half hours")
_TICKS = ("trades", "Ticks of shares: codes by days", "days")


def read_coverage(conn: psycopg.Connection, period: Period) -> Iterator[Coverage]:
    """Read the coverage of day bars, minutes and ticks, codes by days."""
    schemas, due = period.schemas, period.due
    until = due.get("kline_daily")
    if until is None or not has_relation(conn, f"{schemas['market']}.symbol_dim"):
        return
    days = period.read_days(conn, read_sql("loaders.tdx.queries", "known_trading_days"), until)
    if not days:
        return
    newest = "select max(last_trade_date) from {market}.symbol_dim"
    [newest_bar] = period.read_days(conn, newest, until)
    stored_days = [day for day in days if newest_bar and day <= newest_bar]
    recent = stored_days[-SUSPENDED] if len(stored_days) > SUSPENDED else days[0]
    yield Coverage(
        key="day-bars",
        title="Day bars: codes by days",
        unit="bars",
        note="Suspended codes, and codes without a bar for ten trading days, are not "
        "counted as missing.",
        fix=describe_late_fix(period.settings, "kline_daily"),
        cells=_query("day_bar_cells", **schemas),
        moments=days,
        values={"recent": recent},
    )
    tick_days = period.settings.tdx.tick_days
    for dataset, stored, parts, most, (key, title, unit) in (
        ("minute_1m", _HALF_HOURS, 8, MINUTE_DAYS, _MINUTES),
        ("tick_trade", _TICK_DAYS, 1, tick_days, _TICKS),
    ):
        wanted = [day for day in days if day <= (due.get(dataset) or date.min)][-most:]
        if wanted:
            yield Coverage(
                key=key,
                title=title,
                unit=unit,
                note="Counted from each code's first stored day, without the days on "
                "which it did not trade.",
                fix=describe_late_fix(period.settings, dataset),
                cells=_query(
                    "dataset_cells", stored=stored.format(**schemas), parts=parts, **schemas
                ),
                moments=wanted,
            )


def _query(name: str, **parts: object) -> str:
    line = LINE.format(order="code")
    return read_sql("loaders.tdx.queries", name).format(line=line, **parts)
