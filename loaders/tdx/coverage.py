"""Coverage of shares: day bars, minutes and ticks, codes by days."""

from collections.abc import Iterator
from datetime import date

import psycopg

from loaders.engine.coverage import LINE, Coverage, Period
from loaders.warehouse.ownership import has_relation

MINUTE_DAYS = 100  # newest trading days with minutes: all that the service has
SUSPENDED = 10  # trading days without a bar, after which none is expected
# days are numbered from the start of the window: a code wants those after `before` up to `last`
_DAY_BARS = f"""
    with codes as (
        select
            code as item,
            row_number() over (order by code) as no,
            {LINE.format(order="code")} as line,
            width_bucket(first_trade_date - 1, %(moments)s::date[]) as before,
            width_bucket(
                case when last_trade_date >= %(recent)s then %(until)s else last_trade_date end,
                %(moments)s::date[]
            ) as last
        from {{market}}.symbol_dim
        where first_trade_date <= %(until)s and last_trade_date >= %(since)s
    ),
    columns as (
        select k.ordinality - 1 as col, k.before, k.last
        from unnest(%(previous)s::int[], %(lasts)s::int[]) with ordinality as k (before, last)
    ),
    suspended as (
        select s.item, k.col, sum(least(k.last, s.last) - greatest(k.before, s.before)) as days
        from (
            select code as item, width_bucket(last_bar_date, %(moments)s::date[]) as before,
                width_bucket(trade_date - 1, %(moments)s::date[]) as last
            from {{market}}.suspensions
            where trade_date > %(since)s and last_bar_date < %(until)s
        ) as s
        inner join columns as k on s.before < k.last and s.last > k.before
        group by s.item, k.col
    ),
    stored as (
        select code as item, width_bucket(trade_date, %(starts)s::date[]) - 1 as col,
            count(*) as days
        from {{market}}.kline_daily where trade_date between %(since)s and %(until)s
        group by 1, 2
    ),
    wanted as (
        select c.item, c.no, c.line, k.col,
            least(k.last, c.last) - greatest(k.before, c.before) - coalesce(s.days, 0) as wanted
        from codes as c
        inner join columns as k on c.before < k.last and c.last > k.before
        left join suspended as s on c.item = s.item and k.col = s.col
    ),
    cells as (
        select w.*, least(w.wanted, coalesce(b.days, 0)) as there
        from wanted as w left join stored as b on w.item = b.item and w.col = b.col
        where w.wanted > 0
    )
"""
# a dataset is wanted on every day that a code traded, from the code's first stored day
_BY_DAY = f"""
    with stored as materialized ({{stored}}),
    codes as (
        select code, min(trade_date) as first_date, row_number() over (order by code) as no,
            {LINE.format(order="code")} as line
        from stored group by code
    ),
    cells as (
        select c.code as item, c.no, c.line,
            width_bucket(b.trade_date, %(starts)s::date[]) - 1 as col,
            count(*) * {{parts}} as wanted,
            coalesce(sum(least(s.parts, {{parts}})) filter (where s.code is not null), 0) as there
        from {{market}}.kline_daily as b
        inner join codes as c on b.code = c.code and b.trade_date >= c.first_date
        left join stored as s on b.code = s.code and b.trade_date = s.trade_date
        where b.trade_date between %(since)s and %(until)s and b.volume_shares > 0
        group by 1, 2, 3, 4
    )
"""
_HALF_HOURS = """
    select code, trade_date, count(*) as parts from {market}.kline_30m
    where trade_date between %(since)s and %(until)s group by code, trade_date
"""
_TICK_DAYS = """
    select code, trade_date, 1 as parts from {market}.tick_daily_summary
    where trade_date between %(since)s and %(until)s
"""
_MINUTES = ("minutes", "Minutes: codes by days", "half hours")
_TICKS = ("trades", "Ticks of shares: codes by days", "days")
# a day that only the published calendar has was no trading day; only after the newest day that the
# service's calendar has, this is not yet known
_DAYS = """
    select trade_date from {market}.trading_calendar
    where trade_date between %(since)s and %(until)s and (is_served or trade_date > (
        select max(trade_date) from {market}.trading_calendar where is_served
    )) order by 1
"""


def read_coverage(conn: psycopg.Connection, period: Period) -> Iterator[Coverage]:
    """Read the coverage of day bars, minutes and ticks, codes by days."""
    schemas, due = period.schemas, period.due
    until = due.get("kline_daily")
    if until is None or not has_relation(conn, f"{schemas['market']}.symbol_dim"):
        return
    days = period.read_days(conn, _DAYS, until)
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
        note="Suspensions, and codes without a bar for ten trading days, are not counted as "
        "missing.",
        fix="loaders run tdx --dataset kline_daily",
        cells=_DAY_BARS.format(**schemas),
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
                note="From the first day of a code that is there; days on which it did not trade "
                "are none.",
                fix="loaders run tdx",
                cells=_BY_DAY.format(stored=stored.format(**schemas), parts=parts, **schemas),
                moments=wanted,
            )
