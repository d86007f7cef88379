"""Where bars of a length and an adjustment come from: a table, a function, or shorter bars.

Weeks and months of shares are stored forward-adjusted, those of indices as they are. Other weeks
and months, quarters, years and the longer minutes of indices are folded as they are read: thirty
years of days of a code take some 60 ms, and a whole market minutes.
"""

from datetime import date, datetime, timedelta

import psycopg

from quotemill.readers.listed import require_built, require_function, require_known

MINUTES = ("1m", "5m", "15m", "30m", "60m")
# of the longer bars: what days are truncated to, and how long it is
_PERIODS = {
    "1w": ("week", "1 week"),
    "1mo": ("month", "1 month"),
    "1q": ("quarter", "3 months"),
    "1y": ("year", "1 year"),
}
LENGTHS = ("1d", *_PERIODS, *MINUTES)
_STORED = {"1d": "daily", "1w": "weekly", "1mo": "monthly", "1m": "minute"}
# a label is the end of its bar, so a minute earlier is inside; 13:00 opens the afternoon
_INSIDE = """
    bar_end - case
        when (bar_end at time zone 'Asia/Shanghai')::time = '13:00' then interval '0'
        else interval '1 minute'
    end
"""
# hours begin at half past in the morning
_ORIGIN = """
    case
        when extract(hour from bar_end at time zone 'Asia/Shanghai') < 12
            then timestamptz '2000-01-01 00:30+00'
        else timestamptz '2000-01-01 00:00+00'
    end
"""


def find_source(
    conn: psycopg.Connection,
    market: str,
    *,
    is_index: bool,
    freq: str,
    adjust: str,
    start: date | None,
    end: date | None,
    as_of: date | None,
) -> str:
    """What follows `from` for bars of shares and funds, or of indices, which nothing adjusts.

    Its text has the values `start`, `end` and `as_of` where they are given, and of longer bars
    `next_day`. Raises UsageError for what is not built.
    """
    adjust = "none" if is_index else adjust
    table = name_table(is_index, freq, adjust)
    is_function = adjust == "qfq" and as_of is not None
    if table and (is_function or as_of is None or freq not in _PERIODS):
        return _name_source(conn, f"{market}.{table}", is_function)
    shorter = f"{market}.{name_table(is_index, '1d' if freq in _PERIODS else '1m', adjust)}"
    source = _name_source(conn, shorter, is_function)
    if freq in _PERIODS:
        unit, length = _PERIODS[freq]
        group, order = f"date_trunc('{unit}', trade_date::timestamp)", "trade_date"
        is_over = f"coalesce({group} + interval '{length}' <= %(next_day)s, true)"
        times = "max(trade_date) as trade_date"
        # of the period of the first day, and of the last
        first = f"trade_date >= date_trunc('{unit}', %(start)s::timestamp)"
        last = f"trade_date < date_trunc('{unit}', %(end)s::timestamp) + interval '{length}'"
    else:
        minutes = freq.removesuffix("m")
        group, order = f"date_bin('{minutes} minutes', {_INSIDE}, {_ORIGIN})", "bar_end"
        times = f"{group} + interval '{minutes} minutes' as bar_end, max(trade_date) as trade_date"
        is_over, zone = "true", "at time zone 'Asia/Shanghai'"
        first = (
            f"trade_date >= (%(start)s{f' {zone}' if isinstance(start, datetime) else ''})::date"
        )
        last = f"trade_date <= (%(end)s{f' {zone}' if isinstance(end, datetime) else ''})::date"
    bounds = ((start, first), (end, last), (as_of, "trade_date <= %(as_of)s"))
    where = " and ".join(condition for value, condition in bounds if value is not None)
    volume = "" if is_index and freq in MINUTES else "sum(volume_shares)::bigint as volume_shares,"
    return f"""(
        select code, {times},
            (array_agg(open order by {order}))[1] as open, max(high) as high, min(low) as low,
            (array_agg(close order by {order}))[count(*)] as close,
            {volume} sum(amount_cny) as amount_cny, bool_and(is_final) and {is_over} as is_final
        from {source} as shorter {f"where {where}" if where else ""}
        group by code, {group}
    ) as bars"""


def name_table(is_index: bool, freq: str, adjust: str) -> str | None:
    """The table that stores such bars; None: they are folded. Raises UsageError."""
    require_known("freq", [freq], LENGTHS)
    if is_index:
        return f"index_kline_{_STORED[freq]}" if freq in _STORED else None
    suffix = "" if adjust == "none" else f"_{adjust}"
    if freq in _PERIODS:
        is_stored = freq in _STORED and adjust == "qfq"
        return f"kline_{_STORED[freq]}_qfq" if is_stored else None
    if freq == "1m":
        return f"kline_minute{suffix or '_raw'}"
    return f"kline_{_STORED.get(freq, freq)}{suffix}"


def find_next_day(
    conn: psycopg.Connection, market: str, is_index: bool, as_of: date | None
) -> date | None:
    """The trading day after the newest final one, up to a day: earlier periods are over."""
    bars = f"{market}.{'index_kline_daily' if is_index else 'kline_daily'}"
    require_built(conn, f"{market}.trading_calendar")
    require_built(conn, bars)
    calendar = f"{market}.trading_calendar"
    query = f"""
        select
            c.trade_date, (select min(trade_date) from {calendar} where trade_date > c.trade_date)
        from {calendar} as c
        where c.trade_date <= coalesce(%s, c.trade_date)
            and exists (select 1 from {bars} as b where b.trade_date = c.trade_date and b.is_final)
        order by c.trade_date desc limit 1
    """
    newest: tuple[date, date | None] | None = conn.execute(query.encode(), (as_of,)).fetchone()
    if newest is None:
        return None
    day, following = newest
    # past the end of the calendar weekdays count
    return following or day + timedelta({5: 3, 6: 2}.get(day.isoweekday(), 1))


def _name_source(conn: psycopg.Connection, name: str, is_function: bool) -> str:
    if is_function:
        require_function(conn, f"{name}_as_of(date)")
        return f"{name}_as_of(%(as_of)s)"
    require_built(conn, name)
    return name
