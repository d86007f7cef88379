"""Complete days with a corrected day bar that gave nothing better in another try.

The stored ticks stay and are compared with the new bar. The finding `ticks_short` reports them from
then on.
"""

from dataclasses import replace

import pyarrow as pa

from loaders.engine.outcome import Outcome
from loaders.tq import landed
from loaders.tq.context import Context
from loaders.tq.tick_days.completeness import traded_lots
from loaders.tq.tick_days.ledger import LedgerRow
from loaders.tq.tick_days.schedule import Scheduled, key_text


def keep_fuller_ticks(ctx: Context, day: Scheduled, ticks: pa.Table | None) -> Outcome | None:
    """The outcome where fewer ticks came than are stored; None for any other day."""
    if day.key not in ctx.corrected or not ctx.is_complete(day.key):
        return None
    row = ctx.ledger[day.key]
    lots, rows = (traded_lots(ticks), ticks.num_rows) if ticks is not None else (0, 0)
    if (lots, rows) >= (row.volume, row.rows):
        return None
    return keep_stored_ticks(ctx, day, f"{rows:,} ticks of {lots:,} lots came")


def keep_stored_ticks(ctx: Context, day: Scheduled, why: str) -> Outcome:
    """The outcome of a day whose stored ticks stay until another correction."""
    assert ctx.store is not None
    old = ctx.ledger[day.key]
    ctx.load.warn(
        f"{day.contract} {day.trading_day}: its day bar was corrected, and {why}: "
        f"the {old.rows:,} ticks of {old.volume:,} lots that are stored stay"
    )
    now = ctx.load.clock()
    traded = ctx.ask(lambda conn: landed.volume(conn, day.contract, day.trading_day))
    row = replace(
        ctx.stored[day.key],
        segment_id=old.segment_id,
        schedule_hash=old.schedule_hash,
        day_volume=traded,
        updated_at=now,
    )
    ctx.store.put_index([row])
    ctx.no_data.take_back([day.key])
    record = LedgerRow.from_store(row, old.source_route).as_record(now)
    return Outcome(key_text(day.key), [record], cursor=day.trading_day, cursor_key=day.symbol)
