"""Dataset `tick_minute`: minutes of the days whose ticks are stored.

Made of the store's own ticks, so nothing is asked of the source. A day is due while its ticks are
others than those that its minutes were made of: `tick_minute_day` has their row_hash. So days that
were stored before this dataset existed are due, a revision makes its day due, and a load that was
killed leaves it so. A day is replaced as a whole.
"""

from collections.abc import Iterator, Sequence

import psycopg
import pyarrow as pa

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.ticks.frame import DayKey
from loaders.tq import landed
from loaders.tq.context import Context, Dataset, add_columns, concat_rows
from loaders.tq.tables import TICK_MINUTE, TICK_MINUTE_DAY
from loaders.tq.tick_days.minute_bars import make_minutes
from loaders.tq.tick_days.schedule import key_text, parse_key
from loaders.tq.trading_day import sessions_on, spans

MOST_DAYS = 1_000  # made by a load for its ticks or before them; --dataset tick_minute makes all
ROUTE = "tick_minutes"
COLUMNS = ("datetime_ns", "seq", "last_price", "volume", "amount", "open_interest")
DUE = """
    from raw_tq.symbol_day as d
    left join raw_tq.tick_minute_day as m
        on d.contract = m.contract and d.trading_day = m.trading_day
    where
        d.symbol = any(%(symbols)s)
        and d.status in ('complete', 'short')
        and m.row_hash is distinct from d.row_hash
"""


def list_due_days(conn: psycopg.Connection, symbols: Sequence[str]) -> list[DayKey]:
    """The days of some series without minutes of their ticks, the newest first."""
    query = f"select d.symbol, d.contract, d.trading_day {DUE} order by d.trading_day desc, 1"
    return [DayKey(*row) for row in conn.execute(query.encode(), {"symbols": list(symbols)})]


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
    due = ctx.ask(lambda conn: list_due_days(conn, symbols))
    if request.datasets is None:
        due = due[:MOST_DAYS]
    return tuple(map(key_text, due))


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    assert ctx.store is not None
    for text in keys:
        key = parse_key(text)
        row = ctx.stored_day(key)
        ticks = ctx.store.read_day(*key, COLUMNS) if row is not None else None
        if row is None or ticks is None or not ticks.num_rows:  # taken out since
            yield Outcome(text, skipped=NOT_DUE)
            continue
        try:
            yield _make_day(ctx, key, ticks, row.row_hash)
        except (ArithmeticError, ValueError) as error:  # costs no other day, and no ticks
            yield Outcome(text, skipped=f"no minutes can be made of its ticks: {error}")
        if not ctx.load.room():
            return


def _make_day(ctx: Context, key: DayKey, ticks: pa.Table, row_hash: str) -> Outcome:
    variety = key.symbol.removeprefix("KQ.m@")
    versions = ctx.ask(lambda conn: landed.sessions(conn, variety))
    if not versions:  # minutes without a trade would be missing
        return Outcome(key_text(key), skipped=f"the hours of {variety} have not been loaded yet")
    hours = spans(key.trading_day, sessions_on(key.trading_day, versions), ctx.days)
    bars = make_minutes(ticks, hours)
    lineage = {"source_route": ROUTE} | ctx.lineage
    day = {"contract": key.contract, "trading_day": key.trading_day}
    made_of = {"row_hash": row_hash, "minute_count": bars.num_rows}
    return Outcome(
        key_text(key), add_columns(bars, day | lineage), beside=[day | made_of | lineage]
    )


DATASET = Dataset(
    "tick_minute",
    TICK_MINUTE,
    ROUTE,
    fetch,
    concat_rows,
    beside=TICK_MINUTE_DAY,
)
