"""Answers of the service that would rewrite final bars.

One whose closes contradict most of them (bars of another code, tenfold prices) lands nothing and is
a failure of its key until `--accept-loss`. A smaller change lands, and so does what a file has. Of
minutes the last of each day is compared, where stored days are read again: other loads ask for one
stored day at most.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date

import numpy as np
import psycopg
from psycopg import sql

from loaders.engine.outcome import Outcome
from loaders.tdx.bars import records
from loaders.tdx.bars.records import Records
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.context import Context
from loaders.tdx.losses import refuse_loss
from loaders.trading_time import close_of
from loaders.warehouse.tables import LandedTable

MINUTES = "minute1"  # period of an index
# compared bars: the running day and one that a vendor corrected are no other history
LEAST = 3
INTRADAY = Stored(date.min, date.max)  # closes of minutes are looked up
CENT = 10  # li, to which files round the closes of indices


def check_history(
    ctx: Context,
    name: str,
    table: LandedTable,
    outcomes: Iterable[Outcome],
    stored: Mapping[str, Stored],
    split: Callable[[str], tuple[str, str | None]] = lambda key: (key, None),
) -> Iterator[Outcome]:
    """Pass outcomes of a dataset on, those of contradicting answers as failures.

    Not on the event loop.

    split: the code and the period of a key
    """
    for outcome in outcomes:
        before = stored.get(outcome.key)
        bars = _bars_of_service(outcome) if before else records.empty()
        new = dict(zip(records.to_dates(bars["day"]), bars["close"].tolist(), strict=True))
        if before is None or not new:
            yield outcome
            continue
        old = before.closes
        if 2 * len(old) < len(new) or _find_changes(new, old):
            # bound at once: the work is repeated where the warehouse was away
            old = ctx.ask(_reader(table, *split(outcome.key), sorted(new)))
        yield _judge(ctx, name, outcome, new, old)


def _bars_of_service(outcome: Outcome) -> Records:
    """The final bars, of minutes the last of each day."""
    if outcome.rows is None:
        return records.empty()
    rows, routes = outcome.rows, [route.startswith("/api/") for route in records.ROUTES]
    is_closing = rows["label"] == records.CLOSE
    chosen: Records = rows[np.array(routes)[rows["route"]] & rows["final"] & is_closing]
    return chosen


def _find_changes(new: Mapping[date, int], old: Mapping[date, int]) -> list[date]:
    return [day for day, close in new.items() if abs(old.get(day, close) - close) >= CENT]


def _reader(
    table: LandedTable, code: str, period: str | None, days: Sequence[date]
) -> Callable[[psycopg.Connection], dict[date, int]]:
    query = sql.SQL(
        "select trade_date, close from {} where code = %s and is_final"
        " and trade_date between %s and %s{}{}"
    ).format(
        sql.Identifier(table.dataset, table.name),
        sql.SQL(" and period = {}").format(period) if period else sql.SQL(""),
        sql.SQL(" and bar_end = any({})").format([close_of(day) for day in days])
        if table.numbered or period == MINUTES
        else sql.SQL(""),
    )
    return lambda conn: dict(conn.execute(query, (code, days[0], days[-1])).fetchall())


def _judge(
    ctx: Context, name: str, outcome: Outcome, new: Mapping[date, int], old: Mapping[date, int]
) -> Outcome:
    changed, compared = _find_changes(new, old), len(new.keys() & old.keys())
    if compared < LEAST or 2 * len(changed) <= compared:
        return outcome
    examples = ", ".join(f"{day}: {new[day]} for {old[day]}" for day in changed[-LEAST:])
    loss = f"{len(changed)} of {compared} final closes have changed, such as {examples}"
    refusal = refuse_loss(ctx.load, name, loss)
    if refusal is None:
        return outcome
    return Outcome(outcome.key, failure=refusal, rejected=outcome.rejected, gone=outcome.gone)
