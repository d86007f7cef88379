"""Coverage as grids that stay small: of what was wanted, how much is there.

However many codes and days there are, a grid has at most MOST_LINES lines and MOST_COLUMNS columns, each of
several codes or days where they are more, and the worst items by name. One query a grid; its aggregates are
made in the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

import psycopg

from loaders.settings import Settings
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse

MOST_LINES, MOST_COLUMNS, WORST = 60, 120, 15
MINUTE_DAYS = 100  # trading days of minutes, the newest: all that the service has
SESSIONS = 3  # whose slots are shown one by one
SUSPENDED = 10  # trading days without a bar, after which nobody waits for one
NEW_YORK = ZoneInfo("America/New_York")


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


M = TypeVar("M", bound=_Ordered)


@dataclass(frozen=True)
class Line:
    """One code, or several in order. `cells` are (wanted, there) by column."""

    name: str
    wanted: int
    there: int
    cells: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Worst:
    """An item that lacks something; `since` is the first column with a hole."""

    name: str
    wanted: int
    there: int
    since: str


@dataclass(frozen=True)
class Grid:
    """`unit` is what `wanted` and `there` count; `mend` the command that fetches what lacks."""

    key: str
    title: str
    unit: str
    note: str
    mend: str
    items: int
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    worst: tuple[Worst, ...]

    @property
    def wanted(self) -> int:
        return sum(line.wanted for line in self.lines)

    @property
    def there(self) -> int:
        return sum(line.there for line in self.lines)


# cells (item, no, line, col, wanted, there) to lines by column, and to items
_SUMS = """
    select line, col, item, min(no) as no, sum(wanted)::bigint as wanted, sum(there)::bigint as there,
        min(col) filter (where there < wanted) as first_hole
    from cells group by grouping sets ((line, col), (line, item))
"""
_LINE = "(row_number() over (order by {order}) - 1) * least(%(lines)s, count(*) over ()) / count(*) over ()"
# numbers of days count from the first of the window: a code wants those after `before` up to `last`
_DAY_BARS = f"""
    with codes as (
        select
            code as item,
            row_number() over (order by code) as no,
            {_LINE.format(order="code")} as line,
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
            {_LINE.format(order="code")} as line
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
_VARIETIES = f"""
    with counted as (
        select variety as item, width_bucket(trading_day, %(starts)s::date[]) - 1 as col,
            count(*) filter (where coverage <> 'no_data') as wanted,
            count(*) filter (where coverage in ('complete', 'to_restamp')) as there
        from {{futures}}.tick_coverage where trading_day between %(since)s and %(until)s
        group by 1, 2
    ),
    varieties as (
        select item, row_number() over (order by item) as no, {_LINE.format(order="item")} as line
        from counted group by item
    ),
    cells as (select c.*, v.no, v.line from counted as c inner join varieties as v using (item))
"""
_SYMBOL_DAYS = f"""
    with days as (
        select symbol as item, width_bucket(trade_date, %(starts)s::date[]) - 1 as col,
            sum(slot_count) as wanted, sum(covered_slot_count) as there
        from {{qa}}.qa_option_day where trade_date between %(since)s and %(until)s
        group by 1, 2
    ),
    symbols as (
        select item, row_number() over (order by item) as no, {_LINE.format(order="item")} as line
        from days group by item
    ),
    cells as (select d.*, s.no, s.line from days as d inner join symbols as s using (item))
"""
_CONTRACT_SLOTS = f"""
    with slots as (
        select s.ordinality - 1 as col, s.*
        from unnest(%(moments)s::timestamptz[], %(dates)s::date[], %(numbers)s::int[])
            with ordinality as s (sample_time, trade_date, slot)
    ),
    wanted as (
        select p.conid, s.sample_time, s.col
        from raw_ib.session_contract as p inner join slots as s using (trade_date)
        where p.policy <> 'midday_refresh' or s.slot >= coalesce(p.first_seen_slot, 0)
    ),
    contracts as (
        select conid, local_symbol as item, row_number() over (order by {{order}}) as no,
            {_LINE.format(order="{order}")} as line
        from raw_ib.contract where conid in (select conid from wanted)
    ),
    quoted as (
        select sample_time, conid from raw_ib.chain_snapshot
        where trade_date = any(%(dates)s) and not snapshot_error
            and coalesce(bid, ask, last) is not null
    ),
    cells as (
        select c.item, c.no, c.line, w.col, count(*) as wanted, count(q.conid) as there
        from wanted as w
        inner join contracts as c on w.conid = c.conid
        left join quoted as q on w.sample_time = q.sample_time and w.conid = q.conid
        group by 1, 2, 3, 4
    )
""".replace("{order}", "symbol, expiry, strike, option_right, conid")


def grids(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    since: date,
    as_of: datetime,
    freshness: Sequence[Mapping[str, Any]],
) -> list[Grid]:
    """A grid of each dataset that `freshness` has: what is not loaded has none."""
    schemas = {
        "market": warehouse.market_schema,
        **{name: warehouse.inner_schema(name) for name in ("futures", "options", "qa")},
    }
    due = {row["dataset"]: row["expected_date"] or row["last_date"] for row in freshness}
    found = [
        *_of_shares(conn, schemas, settings, since, due),
        *_of_options(conn, schemas, settings, since, as_of, due),
        *_of_futures(conn, schemas, since, due),
    ]
    return [grid for grid in found if grid.wanted]


def _of_shares(
    conn: psycopg.Connection,
    schemas: Mapping[str, str],
    settings: Settings,
    since: date,
    due: Mapping[str, date | None],
) -> list[Grid]:
    until = due.get("kline_daily")
    if until is None or not has_relation(conn, f"{schemas['market']}.symbol_dim"):
        return []
    # a day that was only published was none; after the newest one nobody knows yet
    days = _dates(
        conn,
        "select trade_date from {market}.trading_calendar where trade_date between %(since)s and "
        "%(until)s and (is_served or trade_date > (select max(trade_date) from "
        "{market}.trading_calendar where is_served)) order by 1",
        schemas,
        {"since": since, "until": until},
    )
    if not days:
        return []
    [newest] = _dates(conn, "select max(last_trade_date) from {market}.symbol_dim", schemas, {})
    held = [day for day in days if newest and day <= newest]
    recent = held[-SUSPENDED] if len(held) > SUSPENDED else days[0]
    note = "Suspensions, and codes without a bar for ten trading days, are not counted as missing."
    mend = "loaders run tdx --dataset kline_daily"
    grid = ("day-bars", "Day bars: codes by days", "bars", note, mend)
    found = [_grid(conn, _DAY_BARS.format(**schemas), grid, days, "day", {"recent": recent})]
    note = "From the first day of a code that is there; days on which it did not trade are none."
    for dataset, stored, parts, most, grid in (
        (
            *("minute_1m", _HALF_HOURS, 8, MINUTE_DAYS),
            ("minutes", "Minutes: codes by days", "half hours", note, "loaders run tdx"),
        ),
        (
            *("tick_trade", _TICK_DAYS, 1, settings.tdx.tick_days),
            ("trades", "Ticks of shares: codes by days", "days", note, "loaders run tdx"),
        ),
    ):
        wanted = [day for day in days if day <= (due.get(dataset) or date.min)][-most:]
        if wanted:
            query = _BY_DAY.format(stored=stored.format(**schemas), parts=parts, **schemas)
            found.append(_grid(conn, query, grid, wanted, "day", {}))
    return found


def _of_futures(
    conn: psycopg.Connection,
    schemas: Mapping[str, str],
    since: date,
    due: Mapping[str, date | None],
) -> list[Grid]:
    until = due.get("ticks")
    if until is None:
        return []
    days = _dates(
        conn,
        "select distinct trading_day from {futures}.main_schedule where trading_day between "
        "%(since)s and %(until)s order by 1",
        schemas,
        {"since": since, "until": until},
    )
    note = "Days of which the source has no ticks are not wanted."
    grid = ("varieties", "Ticks of futures: varieties by days", "days", note, "quotemill run tq")
    return [_grid(conn, _VARIETIES.format(**schemas), grid, days, "day", {})] if days else []


def _of_options(
    conn: psycopg.Connection,
    schemas: Mapping[str, str],
    settings: Settings,
    since: date,
    as_of: datetime,
    due: Mapping[str, date | None],
) -> list[Grid]:
    if "chain_snapshot" not in due or not has_relation(conn, f"{schemas['qa']}.qa_option_day"):
        return []
    found = []
    query = (
        "select trade_date, open_at, slot_count from {options}.sessions where open_at <= %(as_of)s "
    )
    query += "and trade_date in (select distinct trade_date from raw_ib.session_contract where "
    query += "trade_date > %(as_of)s::date - 15) order by trade_date desc limit %(sessions)s"
    rows = conn.execute(
        query.format(**schemas).encode(), {"as_of": as_of, "sessions": SESSIONS}
    ).fetchall()
    slots = [
        (opened + number * timedelta(minutes=30), day, number)
        for day, opened, count in reversed(rows)
        for number in range(count)
    ]
    slots = [slot for slot in slots if slot[0] <= as_of and _is_wanted(slot[0], settings)]
    if slots:
        moments, dates, numbers = (list(column) for column in zip(*slots, strict=True))
        note = "A contract is there where a bid, an ask or a last trade came."
        mend = "loaders run ib --retry-missed"
        grid = ("contracts", "Option chains: contracts by slots", "quotes", note, mend)
        more = {"dates": dates, "numbers": numbers}
        found.append(_grid(conn, _CONTRACT_SLOTS.format(**schemas), grid, moments, "slot", more))
    until = due["chain_snapshot"] or as_of.date()
    days = _dates(
        conn,
        "select distinct trade_date from {qa}.qa_option_day where trade_date between %(since)s "
        "and %(until)s order by 1",
        schemas,
        {"since": since, "until": until},
    )
    if days:
        note = "A slot is covered where nine tenths of the contracts have a good row."
        grid = (
            "symbols",
            "Option chains: symbols by sessions",
            "slots",
            note,
            "quotemill findings",
        )
        found.append(_grid(conn, _SYMBOL_DAYS.format(**schemas), grid, days, "day", {}))
    return found


def _is_wanted(moment: datetime, settings: Settings) -> bool:
    first, _, last = (settings.ib.slot_range or "00:00-23:59").partition("-")
    return first <= f"{moment.astimezone(NEW_YORK):%H:%M}" <= last


def _dates(
    conn: psycopg.Connection, query: str, schemas: Mapping[str, str], values: Mapping[str, Any]
) -> list[date]:
    return [day for (day,) in conn.execute(query.format(**schemas).encode(), values)]


def starts_of(moments: Sequence[M], most: int = MOST_COLUMNS) -> list[M]:
    """The first moment of each column: as many columns as moments, or `most` of about equal length."""
    count = min(len(moments), most)
    return [moments[number * len(moments) // count] for number in range(count)]


def _grid(
    conn: psycopg.Connection,
    cells: str,
    words: tuple[str, str, str, str, str],
    moments: Sequence[Any],
    kind: str,
    more: Mapping[str, Any],
) -> Grid:
    """`moments` in order are the days or slots of the window."""
    starts = starts_of(moments)
    befores = [moments.index(start) for start in starts]
    values = {
        "lines": MOST_LINES,
        "moments": list(moments),
        "starts": starts,
        "befores": befores,
        "lasts": [*befores[1:], len(moments)],
        "since": moments[0],
        "until": moments[-1],
        **more,
    }
    labels = tuple(
        f"{start:%Y-%m-%d}" if kind == "day" else f"{start.astimezone(NEW_YORK):%m-%d %H:%M}"
        for start in starts
    )
    by_line: dict[int, dict[int, tuple[int, int]]] = {}
    items: list[tuple[int, int, str, int, int, int | None]] = []
    for line, col, item, no, wanted, there, hole in conn.execute((cells + _SUMS).encode(), values):
        if item is None:
            by_line.setdefault(line, {})[col] = (wanted, there)
        else:
            items.append((no, line, item, wanted, there, hole))
    items.sort()
    lines = []
    for number, of_line in sorted(by_line.items()):
        names = [item for _, line, item, *_ in items if line == number]
        name = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        row = tuple(of_line.get(col, (0, 0)) for col in range(len(starts)))
        lines.append(Line(name, sum(w for w, _ in row), sum(t for _, t in row), row))
    lacking = sorted((i for i in items if i[4] < i[3]), key=lambda i: (i[4] - i[3], i[0]))
    worst = tuple(
        Worst(item, wanted, there, labels[hole or 0])
        for _, _, item, wanted, there, hole in lacking[:WORST]
    )
    key, title, unit, note, mend = words
    return Grid(key, title, unit, note, mend, len(items), labels, tuple(lines), worst)
