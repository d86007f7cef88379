"""Days of ticks that are written together: those of a trading day over all varieties.

They share partitions of the store. After the write come the rows of its index, then the outcomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pyarrow as pa

from loaders.engine.outcome import Outcome
from loaders.landing.rejects import Rejected
from loaders.ticks.store import IndexRow, Measured
from loaders.tq.context import Context, describe
from loaders.tq.tick_days.ledger import LedgerRow, revision_record
from loaders.tq.tick_days.no_data_days import note_short
from loaders.tq.tick_days.schedule import Scheduled, key_text
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError

MOST_TICKS = 2_000_000  # in memory, some 0.3 KB each; a trading day with more is written in parts


@dataclass(frozen=True)
class CheckedDay:
    """A day that may be written.

    frame   its ticks as TICKS
    volume  lots traded by the end of them
    traded  lots of its day bar; None without one
    gap     what the ticks leave out; None where they account for the day
    """

    day: Scheduled
    frame: pa.Table
    rejected: Sequence[Rejected]
    volume: int
    traded: int | None
    gap: str | None
    route: str


class Batch:
    """Days in the order of their keys; some of them have their outcomes already."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._items: list[Outcome | CheckedDay] = []
        self._ticks = 0

    @property
    def is_full(self) -> bool:
        return self._ticks >= MOST_TICKS

    def add(self, item: Outcome | CheckedDay) -> None:
        self._items.append(item)
        self._ticks += item.frame.num_rows if isinstance(item, CheckedDay) else 0

    def write(self) -> list[Outcome]:
        """Write the checked days; the outcomes of all. The batch is empty then."""
        checked = [item for item in self._items if isinstance(item, CheckedDay)]
        written = _write_days(self._ctx, checked) if checked else {}
        outcomes = [
            item if isinstance(item, Outcome) else written[item.day.key] for item in self._items
        ]
        self._items, self._ticks = [], 0
        return outcomes


def _write_days(ctx: Context, checked: Sequence[CheckedDay]) -> dict[DayKey, Outcome]:
    """Write days and their index rows; outcomes that land the copies of these."""
    for item in checked:
        unlist_other_contracts(ctx, item.day)
    now = ctx.load.clock()
    rows = ctx.index.write(
        [(item.frame, partial(_index_row, ctx, item, now=now)) for item in checked]
    )
    outcomes, landed_at = {}, ctx.ledger_time
    for item, row in zip(checked, rows, strict=True):
        if isinstance(row, StoreError):
            outcomes[item.day.key] = Outcome(
                key_text(item.day.key), None, item.rejected, failure=describe(row)
            )
            continue
        ctx.load.counts["stored"] += 1  # its row in the warehouse may be as before
        if item.gap:
            note_short(ctx, item.day, item.gap)
        outcomes[item.day.key] = _outcome(ctx, item, row, landed_at)
    return outcomes


def _index_row(ctx: Context, item: CheckedDay, measured: Measured, *, now: datetime) -> IndexRow:
    day = item.day
    return IndexRow(
        symbol=day.symbol,
        contract=day.contract,
        trading_day=day.trading_day,
        segment_id=day.segment_id,
        schedule_hash=day.schedule_hash,
        **vars(measured),
        volume=item.volume,
        day_volume=item.traded,
        status="short" if item.gap else "complete",
        run_id=str(ctx.load.job_id),
        updated_at=now,
    )


def _outcome(ctx: Context, item: CheckedDay, row: IndexRow, at: datetime) -> Outcome:
    day = item.day
    old, new = ctx.ledger.get(day.key), LedgerRow.from_store(row, item.route)
    is_revised = old is not None and old.row_hash != row.row_hash
    ctx.ledger[day.key] = new
    return Outcome(
        key_text(day.key),
        [new.as_record(at)],
        item.rejected,
        cursor=day.trading_day,
        cursor_key=day.symbol,
        beside=[revision_record(old, day, row.row_hash, at)] if old and is_revised else [],
    )


def unlist_other_contracts(ctx: Context, day: Scheduled) -> None:
    """Take other contracts' rows of the day out of the index before their ticks go.

    Between the two writes the store lacks the day. Were its row left as it is, a schedule that goes
    back to the old contract after a stop here would find a complete day without a tick. Its copy
    lands with the next ones that lag, and the revision beside it.
    """
    for key in ctx.index.find_others(day.key):
        ctx.index.supersede(key)
