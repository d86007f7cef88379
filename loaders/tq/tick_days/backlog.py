"""What the schedule, the ledger and the days without data leave to do.

A pure function of the three.

wanted     settled days of the schedule
missing    wanted − complete − days on record that are not due again; short days are among them
restamped  stored days of another segment now: no download
judged     stored days that another day bar makes short, or complete: no download either
outgrown   stored days whose contract the schedule has no more, once the new contract's ticks are
           stored, or on record as none, or the day has no contract
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from loaders.ticks.store import IndexRow
from loaders.tq.tick_days.ledger import LedgerRow, follow_store
from loaders.tq.tick_days.schedule import Scheduled
from quotemill.ticks.columns import DayKey


@dataclass(frozen=True)
class Backlog:
    """Days to download, by contract and day.

    `revised`: those whose day holds the ticks of another contract; they come first.
    """

    revised: list[Scheduled]
    missing: list[Scheduled]


def find_backlog(
    schedule: Sequence[Scheduled],
    ledger: Mapping[DayKey, LedgerRow],
    no_data: Mapping[DayKey, datetime],
    settled: Mapping[str, date | None],
    *,
    as_of: datetime,
    recheck_after: timedelta,
    others: Collection[DayKey] = (),
) -> Backlog:
    """Days to download.

    `no_data`: when each day on record as one without ticks, or with too few, was checked last; it
    is due again `recheck_after` later. `settled`: the newest trading day of each variety that is
    over. `others`: days to download whatever is stored or on record.
    """
    visible = _visible(ledger)
    held = {(key.symbol, key.trading_day) for key in visible}
    backlog = Backlog([], [])
    for day in sorted(schedule, key=lambda d: (d.symbol, d.contract, d.trading_day)):
        last = settled.get(day.variety)
        if last is None or day.trading_day > last:
            continue
        if day.key not in others and not _is_due(
            visible.get(day.key), no_data.get(day.key), as_of, recheck_after
        ):
            continue
        is_revised = day.key not in visible and (day.symbol, day.trading_day) in held
        (backlog.revised if is_revised else backlog.missing).append(day)
    return backlog


def _is_due(
    row: LedgerRow | None, checked_at: datetime | None, as_of: datetime, recheck_after: timedelta
) -> bool:
    if row is not None and row.status == "complete":
        return False
    # a check by a later clock does not count, as of a load without `--as-of` in a sandbox's home
    return checked_at is None or not timedelta(0) <= as_of - checked_at < recheck_after


def find_changes(
    schedule: Sequence[Scheduled],
    ledger: Mapping[DayKey, LedgerRow],
    no_data: Collection[DayKey],
    stored: Mapping[DayKey, IndexRow] | None = None,
    traded: Mapping[DayKey, int] | None = None,
) -> dict[DayKey, LedgerRow]:
    """Ledger rows to land without a download, by key.

    For days that the ledger has otherwise, or the store: restamped, outgrown, judged by another day
    bar, or corrected by the store.

    `stored`: the store's own index rows, which the ledger follows; None: it follows them already.
    `traded`: lots of the day bars that judge days again.
    """
    rows = dict(ledger) if stored is None else follow_store(ledger, stored)
    visible = _visible(rows)
    for key in visible.keys() & (traded or {}).keys():
        rows[key] = rows[key].judged_by((traded or {})[key])
    for day in schedule:
        if day.key in visible:
            stamp = {"segment_id": day.segment_id, "schedule_hash": day.schedule_hash}
            rows[day.key] = replace(rows[day.key], **stamp)  # type: ignore[arg-type]
    for key in _outgrown(schedule, visible, no_data):
        rows[key] = rows[key].superseded()
    taken_out, restamped, judged = find_store_changes(rows, stored or {})
    behind = {*taken_out, *(row.key for row in [*restamped, *judged])}
    return {
        key: row for key, row in sorted(rows.items()) if ledger.get(key) != row or key in behind
    }


def find_store_changes(
    changes: Mapping[DayKey, LedgerRow], stored: Mapping[DayKey, IndexRow]
) -> tuple[list[DayKey], list[LedgerRow], list[LedgerRow]]:
    """The store's part of ledger changes: days to take out, to restamp, and judged otherwise."""
    taken_out, restamped, judged = [], [], []
    for key, row in changes.items():
        own = stored.get(key)
        if own is None or not own.is_visible:
            continue
        if row.status == "superseded":
            taken_out.append(key)
            continue
        if own.stamp != row.stamp:
            restamped.append(row)
        if (own.status, own.day_volume) != (row.status, row.day_volume):
            judged.append(row)
    return taken_out, restamped, judged


def _outgrown(
    schedule: Sequence[Scheduled],
    visible: Mapping[DayKey, LedgerRow],
    no_data: Collection[DayKey],
) -> list[DayKey]:
    by_day = {(day.symbol, day.trading_day): day for day in schedule}
    reach: dict[str, tuple[date, date]] = {}
    for day in schedule:
        first, last = reach.get(day.symbol, (day.trading_day, day.trading_day))
        reach[day.symbol] = min(first, day.trading_day), max(last, day.trading_day)
    outgrown = []
    for key in visible:
        first, last = reach.get(key.symbol, (date.max, date.min))
        if not first <= key.trading_day <= last:
            continue  # the schedule does not reach there
        now = by_day.get((key.symbol, key.trading_day))
        if now is None or (
            now.contract != key.contract and (now.key in visible or now.key in no_data)
        ):
            outgrown.append(key)
    return outgrown


def _visible(rows: Mapping[DayKey, LedgerRow]) -> dict[DayKey, LedgerRow]:
    return {key: row for key, row in rows.items() if row.is_visible}


def order_days(
    backlog: Backlog, failed_before: Collection[DayKey]
) -> tuple[list[Scheduled], list[Scheduled], list[Scheduled]]:
    """The days in three steps.

    Revised, missing, and those that gave nothing in earlier loads.

    The last come last: two in a row may end the load, and by then it knows whether the history
    gives any.
    """
    revised, again = _split(backlog.revised, failed_before)
    missing, missing_again = _split(backlog.missing, failed_before)
    return revised, missing, [*again, *missing_again]


def _split(
    days: Sequence[Scheduled], failed_before: Collection[DayKey]
) -> tuple[list[Scheduled], list[Scheduled]]:
    fresh = [day for day in days if day.key not in failed_before]
    return fresh, [day for day in days if day.key in failed_before]
