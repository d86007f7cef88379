"""Coverage of shares: day bars, minutes and ticks, codes by days."""

from collections.abc import Iterator, Mapping
from datetime import date

import psycopg

from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from orchestration.report import grid
from orchestration.report.grid import LINE, About, Grid

MINUTE_DAYS = 100  # trading days of minutes, the newest: all that the service has
SUSPENDED = 10  # trading days without a bar, after which nobody waits for one
# numbers of days count from the first of the window: a code wants those after `before` up to `last`
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
        from unnest(%(befores)s::int[], %(lasts)s::int[]) with ordinality as k (before, last)
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
        select code as item, width_bucket(trade_date, %(starts)s::date[]) - 1 as col, count(*) as days
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
# of what is fetched by day and code: wanted on every day that a code traded, from its first day there on
_BY_DAY = f"""
    with stored as materialized ({{stored}}),
    codes as (
        select code, min(trade_date) as first_date, row_number() over (order by code) as no,
            {LINE.format(order="code")} as line
        from stored group by code
    ),
    cells as (
        select c.code as item, c.no, c.line, width_bucket(b.trade_date, %(starts)s::date[]) - 1 as col,
            count(*) * {{parts}} as wanted, coalesce(sum(least(s.parts, {{parts}})) filter (where s.code is not null), 0) as there
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
_FROM_FIRST = "From the first day of a code that is there; days on which it did not trade are none."
_DAYS = About(
    "day-bars",
    "Day bars: codes by days",
    "bars",
    "Suspensions, and codes without a bar for ten trading days, are not counted as missing.",
    "loaders run tdx --dataset kline_daily",
)
_MINUTES = About("minutes", "Minutes: codes by days", "half hours", _FROM_FIRST, "loaders run tdx")
_TICKS = About("trades", "Ticks of shares: codes by days", "days", _FROM_FIRST, "loaders run tdx")


def grids(
    conn: psycopg.Connection,
    schemas: Mapping[str, str],
    settings: Settings,
    since: date,
    due: Mapping[str, date | None],
) -> Iterator[Grid]:
    """`due` has the day up to which a dataset is to be there."""
    until = due.get("kline_daily")
    if until is None or not has_relation(conn, f"{schemas['market']}.symbol_dim"):
        return
    # a day that was only published was none; after the newest one nobody knows yet
    days = grid.dates(
        conn,
        "select trade_date from {market}.trading_calendar where trade_date between %(since)s and "
        "%(until)s and (is_served or trade_date > (select max(trade_date) from "
        "{market}.trading_calendar where is_served)) order by 1",
        schemas,
        {"since": since, "until": until},
    )
    if not days:
        return
    [newest] = grid.dates(conn, "select max(last_trade_date) from {market}.symbol_dim", schemas, {})
    held = [day for day in days if newest and day <= newest]
    recent = held[-SUSPENDED] if len(held) > SUSPENDED else days[0]
    yield grid.fill(conn, _DAY_BARS.format(**schemas), _DAYS, days, recent=recent)
    for dataset, stored, parts, most, about in (
        ("minute_1m", _HALF_HOURS, 8, MINUTE_DAYS, _MINUTES),
        ("tick_trade", _TICK_DAYS, 1, settings.tdx.tick_days, _TICKS),
    ):
        wanted = [day for day in days if day <= (due.get(dataset) or date.min)][-most:]
        if wanted:
            query = _BY_DAY.format(stored=stored.format(**schemas), parts=parts, **schemas)
            yield grid.fill(conn, query, about, wanted)
