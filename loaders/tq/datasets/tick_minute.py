"""Dataset `tick_minute`: minutes of the days whose ticks are stored.

Made of the store's own ticks, so nothing is asked of the source. A day is due while its ticks are
others than those that its minutes were made of: `tick_minute_day` has their row_hash. So days that
were stored before this dataset existed are due, a revision makes its day due, and a load that was
killed leaves it so. A day is replaced as a whole. Of ticks that no minutes can be made of the
record has none: they are no longer due, but where this dataset alone is asked for.

A load makes the minutes of some days once their ticks have landed (the tasks of
loaders.tq.tick_days.plan), so a stop leaves few days without.
"""

from collections.abc import Iterator, Sequence

import psycopg

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.landing.screening import screen
from loaders.ticks.store import StoredDay
from loaders.tq import landed
from loaders.tq.context import Context, Dataset, add_columns, concat_rows
from loaders.tq.tables import TICK_MINUTE, TICK_MINUTE_DAY
from loaders.tq.tick_days.minute_bars import make_minutes
from loaders.tq.tick_days.schedule import key_text, parse_key
from loaders.tq.trading_day import sessions_on, spans
from quotemill.ticks.columns import DayKey

MOST_DAYS = 1_000  # of earlier loads that a load makes; --dataset tick_minute makes all
ROUTE = "tick_minutes"
COLUMNS = ("datetime_ns", "seq", "last_price", "volume", "amount", "open_interest")
STORED = """
    from raw_tq.symbol_day as d
    left join raw_tq.tick_minute_day as m
        on d.contract = m.contract and d.trading_day = m.trading_day
    where
        d.symbol = any(%(symbols)s)
        and d.status in ('complete', 'short')
"""
DUE = f"{STORED} and m.row_hash is distinct from d.row_hash"
DUE_OR_NONE = f"{STORED} and (m.row_hash is distinct from d.row_hash or m.minute_count = 0)"


def list_due_days(conn: psycopg.Connection, symbols: Sequence[str], due: str = DUE) -> list[DayKey]:
    """The days of some series without minutes of their ticks, the newest first."""
    query = f"select d.symbol, d.contract, d.trading_day {due} order by d.trading_day desc, 1"
    return [DayKey(*row) for row in conn.execute(query.encode(), {"symbols": list(symbols)})]


def _find_due(conn: psycopg.Connection, keys: Sequence[DayKey], due: str) -> set[DayKey]:
    """The due ones of some days."""
    query = f"""
        select d.symbol, d.contract, d.trading_day {due}
            and d.contract = any(%(contracts)s) and d.trading_day = any(%(days)s)
    """
    symbols, contracts, days = map(list, zip(*keys, strict=True))
    values = {"symbols": symbols, "contracts": contracts, "days": days}
    return {DayKey(*row) for row in conn.execute(query.encode(), values)}


def count_due_days(conn: psycopg.Connection, symbols: Sequence[str]) -> int:
    query = f"select count(*) {DUE}".encode()
    [(count,)] = conn.execute(query, {"symbols": list(symbols)})
    return int(count)


def list_keys(ctx: Context) -> tuple[str, ...]:
    """The due days of the varieties that the request means, as many as a load makes."""
    request = ctx.load.request
    wanted = {key.partition(" ")[0].removeprefix("KQ.m@") for key in request.keys or ()}
    varieties = wanted or set(ctx.settings.varieties)
    symbols = [f"KQ.m@{variety}" for variety in varieties]
    if request.datasets is not None:
        due = ctx.ask(lambda conn: list_due_days(conn, symbols, DUE_OR_NONE))
    else:
        due = ctx.ask(lambda conn: list_due_days(conn, symbols))[:MOST_DAYS]
    return tuple(map(key_text, due))


def list_due_keys(ctx: Context, days: Sequence[DayKey]) -> tuple[str, ...]:
    """The due ones of some days."""
    due = ctx.ask(lambda conn: _find_due(conn, days, DUE))
    return tuple(key_text(key) for key in days if key in due)


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    days = {text: parse_key(text) for text in keys}
    due = ctx.ask(lambda conn: _find_due(conn, tuple(days.values()), DUE_OR_NONE))
    for text, key in days.items():
        row = ctx.stored_day(key) if key in due else None
        yield _make_day(ctx, row) if row is not None else Outcome(text, skipped=NOT_DUE)
        if not ctx.load.room():
            return


def _make_day(ctx: Context, row: StoredDay) -> Outcome:
    assert ctx.store is not None
    key = row.key
    text, variety = key_text(key), key.symbol.removeprefix("KQ.m@")
    versions = ctx.ask(lambda conn: landed.sessions(conn, variety))
    if not versions:  # minutes without a trade would be missing
        return Outcome(text, skipped=f"the trading hours of {variety} have not been loaded yet")
    ticks = ctx.store.read_day(key, COLUMNS, span=row.span)
    if not ticks.num_rows:  # taken out since
        return Outcome(text, skipped=NOT_DUE)
    lineage = {"source_route": ROUTE, "fetched_at": ctx.ledger_time, "is_final": True}
    day = {"contract": key.contract, "trading_day": key.trading_day}
    record = day | {"row_hash": row.row_hash, "minute_count": 0} | lineage
    try:
        hours = spans(key.trading_day, sessions_on(key.trading_day, versions), ctx.days)
        bars = add_columns(make_minutes(ticks, hours), day | lineage)
        if refused := screen(bars, TICK_MINUTE).rejected:
            raise ValueError(f"{refused[0].field} {refused[0].rule}")
    except (ArithmeticError, ValueError) as error:  # costs no other day, and no ticks
        why = f"its ticks cannot be turned into minute bars: {error}"
        return Outcome(text, skipped=why, beside=[record])
    return Outcome(text, bars, beside=[record | {"minute_count": bars.num_rows}])


DATASET = Dataset(
    "tick_minute",
    TICK_MINUTE,
    ROUTE,
    fetch,
    concat_rows,
    beside=TICK_MINUTE_DAY,
)
