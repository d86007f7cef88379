"""Complete days that were asked for again because their day bar was corrected, and of which nothing better
came: what is stored stays, held against the new bar. The finding `ticks_short` tells of them from then on."""

from dataclasses import replace

import pyarrow as pa

from loaders.engine.outcome import Outcome
from loaders.ticks.store import IndexRow
from loaders.tq import stored
from loaders.tq.context import Context
from loaders.tq.tick_days.backlog import Scheduled, key_text
from loaders.tq.tick_days.completeness import told
from loaders.tq.tick_days.index_rows import route_of, row_of


def kept(run: Context, day: Scheduled, ticks: pa.Table | None, route: str) -> Outcome | None:
    """The outcome where less came than is stored; None where the answer counts, or the day is no such one."""
    row = run.ledgers.index.get(day.key)
    if day.key not in run.outdated or row is None or row.status != "complete" or row.volume is None:
        return None
    came = (told(ticks), ticks.num_rows) if ticks is not None else (0, 0)
    if came >= (row.volume, row.rows):
        return None
    return stays(run, day, row, f"{came[1]:,} ticks of {came[0]:,} lots came", route)


def stays(run: Context, day: Scheduled, row: IndexRow, why: str, route: str) -> Outcome:
    """The outcome of a day of which `row` stays; asked for again only if its bar is corrected once more."""
    run.load.warn(
        f"{day.contract} {day.trading_day}: its day bar was corrected, and {why}: "
        f"the {row.rows:,} of {row.volume or 0:,} lots that are stored stay"
    )
    traded = run.ask(lambda conn: stored.volume(conn, day.contract, day.trading_day))
    row = replace(row, day_volume=traded, updated_at=run.load.clock())
    run.ledgers.landed(row)
    record = row_of(row, route_of(run.copies.get(day.key), row, route), run.load.clock())
    run.copies[day.key] = record
    return Outcome(key_text(day.key), [record], cursor=day.trading_day, cursor_key=day.symbol)
