"""The rules of stored days: what is missing, what a day's ticks leave out, which answer is better.

Pure functions of the schedule, the store's index, the days without data and the day bars.

due        settled days of the schedule − complete − days on record that are not due again; short
           days are among them, unless a count of both sides explains them, and days that hold the
           ticks of another contract, which come first
restamped  stored days of another segment now: no download
judged     stored days that another day bar makes short (lots that differ from its), or complete:
           no download either
outgrown   stored days whose contract the schedule has no more, once the new contract's ticks are
           stored, or on record as none, or the day has no contract
untrue     records of days without ticks, or with too few, that the store's days contradict

A tick's volume counts from the start of its trading day, so the last tick alone adds up to the day
bar even where a whole session before it is missing. What is missing shows as one large step. A day
with more lots than its bar is no better than one with fewer: one of the two counts something else.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.ticks.store import IndexRow, MeasuredTicks, NoDataRow, StoredDay
from loaders.tq.tick_days.schedule import Scheduled
from loaders.tq.trading_day import to_time
from loaders.trading_time import SHANGHAI
from quotemill.ticks.columns import DayKey

# age of a day without ticks, or with too few, up to which each load asks again; after as many days
# one on record is asked for again
RECHECK_AFTER = timedelta(days=30)
TOLERANCE = 0.01  # of a day bar's volume by which its last tick may differ
# before, Shanghai, Dalian, Zhengzhou and INE counted both sides of each trade
ONE_SIDE_SINCE = date(2020, 1, 1)
HOLE = 0.1  # of a day's volume that may come with one tick, the first one included
FEWER = 0.1  # of an answer's ticks that a better one may lack, as where some were sent twice
# ticks, or lots, of a day from which on such a step is a hole; thin days are traded in large steps
MANY = 2_000
MANY_LOTS = 20_000  # few ticks of so many lots are the end of a day
# of a thin day: a step of so many lots, and of so much of the day. In recorded minutes of days with
# fewer than MANY_LOTS no whole minute but that of one block has both
STEP_LOTS = 1_000
THIN_HOLE = 0.5
PAUSE = 10 * 10**9  # ns without a tick before such a step; the volume of a shorter one is a trade
NIGHT_AUCTION = (20 * 3600 + 50 * 60, 21 * 3600 + 60)  # seconds of the day: nothing is before it
CHINA = 8 * 3600  # seconds ahead of UTC


def find_due_days(
    schedule: Sequence[Scheduled],
    stored: Mapping[DayKey, StoredDay],
    no_data: Mapping[DayKey, datetime],
    settled: Mapping[str, date | None],
    *,
    as_of: datetime,
    others: Collection[DayKey] = (),
) -> list[Scheduled]:
    """Days to download, by contract and day.

    `no_data`: when each day on record as one without ticks, or with too few, was checked last; it
    is due again RECHECK_AFTER later. `settled`: the newest trading day of each variety that is
    over. `others`: days to download whatever is stored or on record.
    """

    def is_due(day: Scheduled) -> bool:
        row = stored.get(day.key)
        if row is not None and (row.status == "complete" or counts_both_sides(row)):
            return False
        checked_at = no_data.get(day.key)
        # a check by a later clock does not count, as of a load without `--as-of` in a sandbox's
        # home
        return checked_at is None or not timedelta(0) <= as_of - checked_at < RECHECK_AFTER

    return sorted(
        (
            day
            for day in schedule
            if day.trading_day <= (settled.get(day.variety) or date.min)
            and (day.key in others or is_due(day))
        ),
        key=lambda day: (day.symbol, day.contract, day.trading_day),
    )


def counts_both_sides(row: StoredDay) -> bool:
    """Whether the ticks or the bar of a short day seem to count both sides of each trade.

    Another download has the same ticks; another day bar judges the day again.
    """
    lots, traded = row.volume, row.day_volume
    if row.status != "short" or not lots or not traded:
        return False
    is_twice = not differs(lots, 2 * traded) or not differs(traded, 2 * lots)
    return is_twice and row.trading_day < ONE_SIDE_SINCE and row.contract[:6] != "CFFEX."


def find_changes(
    schedule: Sequence[Scheduled],
    stored: Mapping[DayKey, IndexRow],
    no_data: Collection[DayKey],
    traded: Mapping[DayKey, int],
) -> dict[DayKey, IndexRow]:
    """Index rows that change without a download, by key.

    `traded`: lots of the day bars that judge days again.
    """
    visible = {key: row for key, row in stored.items() if row.is_visible}
    rows = visible | {key: judge(visible[key], traded[key]) for key in visible.keys() & traded}
    for day in schedule:
        if day.key in visible:
            stamp = {"segment_id": day.segment_id, "schedule_hash": day.schedule_hash}
            rows[day.key] = replace(rows[day.key], **stamp)  # type: ignore[arg-type]
    for key in _outgrown(schedule, visible, no_data):
        rows[key] = rows[key].superseded()
    return {key: row for key, row in sorted(rows.items()) if row != stored[key]}


def find_untrue(
    no_data: Iterable[NoDataRow], stored: Mapping[DayKey, IndexRow], judged: Collection[DayKey]
) -> list[DayKey]:
    """Days to take off the record of those without ticks, or with too few.

    Complete ones; those with ticks on record as having none; short ones whose ticks are gone, as
    after a revision: they are missing. `judged`: days that another bar judges.
    """

    def is_untrue(record: NoDataRow) -> bool:
        row = stored.get(record.key)
        if row is None or not row.is_visible:
            return record.status == "short"
        return row.status == "complete" or record.status == "no_data"

    return [record.key for record in no_data if record.key in judged or is_untrue(record)]


def judge(row: IndexRow, traded: int) -> IndexRow:
    """The row as a day bar of so many lots judges it; a hole stays one."""
    has_hole = row.status == "short" and not differs(row.volume, row.day_volume)
    is_short = has_hole or differs(row.volume, traded)
    return replace(row, status="short" if is_short else "complete", day_volume=traded)


def _outgrown(
    schedule: Sequence[Scheduled],
    visible: Collection[DayKey],
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


def order_days(
    days: Sequence[Scheduled], stored: Mapping[DayKey, IndexRow], failed_before: Collection[DayKey]
) -> tuple[list[Scheduled], list[Scheduled], list[Scheduled]]:
    """Days in three steps: revised, missing, and those that gave nothing in earlier loads.

    Revised: the day holds the ticks of another contract, which its own replace. Two days in a row
    without ticks may end a load, and by the third step it knows whether the history gives any.
    """
    visible = {key for key, row in stored.items() if row.is_visible}
    held = {(key.symbol, key.trading_day) for key in visible}
    steps: tuple[list[Scheduled], list[Scheduled], list[Scheduled]] = ([], [], [])
    for day in days:
        is_revised = day.key not in visible and (day.symbol, day.trading_day) in held
        steps[2 if day.key in failed_before else 0 if is_revised else 1].append(day)
    return steps


def find_repairs(
    indexed: Collection[IndexRow], visible: Mapping[DayKey, Sequence[MeasuredTicks]]
) -> tuple[list[IndexRow], list[DayKey]]:
    """What needs no download: rows whose ticks get their stamp, and days without a row, to go."""
    rows = {row.key: row for row in indexed if row.is_visible}
    restamped = [
        row
        for key, row in sorted(rows.items())
        if any(part.stamp != row.stamp for part in visible.get(key, ()))
    ]
    return restamped, sorted(visible.keys() - rows.keys())


def traded_lots(ticks: pa.Table) -> int:
    """Lots traded by the end of a day's ticks (columns `volume`, `datetime_ns` where known).

    First ticks with more than the last one are left over from the day before.
    """
    if "datetime_ns" not in ticks.column_names:
        return int(_volumes(ticks).max(initial=0))
    ordered = _volumes(ticks.sort_by("datetime_ns"))
    ordered = ordered[ordered > 0]
    own = ordered[np.argmax(ordered <= ordered[-1]) :] if len(ordered) else ordered
    return int(own.max(initial=0))


def differs(lots: int | None, traded: int | None) -> bool:
    """Whether lots are too few or too many for the day bar."""
    return traded is not None and abs((lots or 0) - traded) > traded * TOLERANCE


def describe_gap(ticks: pa.Table, traded: int | None, until: int | None = None) -> str | None:
    """Describe the gap in a day's ticks (columns `volume`, `datetime_ns` where known).

    None where they account for it.

    `traded`: lots of the final day bar; None without one: then only holes can be seen, and that no
    tick is from `until` (ns) or later, as where a session at the end is missing.
    """
    lots = traded_lots(ticks)
    if traded is not None and differs(lots, traded):
        return f"ticks of {lots:,} lots, but the day bar has {traded:,}"
    if traded is None and until is not None:
        last = int(pc.max(ticks["datetime_ns"]).as_py())
        if last < until:
            clock = to_time(last).astimezone(SHANGHAI)
            return (
                f"the last tick is from {clock:%H:%M}, and no day bar confirms that "
                "trading ended then"
            )
    day = lots if traded is None else traded
    volumes, follows_pause = _order_ticks(ticks)
    # one left over from the day before may hold more
    steps = np.diff(np.minimum(volumes, day), prepend=0)[follows_pause]
    step = int(steps.max(initial=0))
    is_thin = len(volumes) < MANY and day < MANY_LOTS
    if step <= day * (THIN_HOLE if is_thin else HOLE) or (is_thin and step < STEP_LOTS):
        return None
    return f"a gap of {step:,} lots in the day's ticks ({day:,} lots)"


def rank(ticks: pa.Table, traded: int | None, until: int | None = None) -> tuple[bool, int, int]:
    """A value that is higher for the better of two answers for a day."""
    is_whole = describe_gap(ticks, traded, until) is None
    return is_whole, _closeness(traded_lots(ticks), traded), ticks.num_rows


def _closeness(lots: int, traded: int | None) -> int:
    """Higher for lots nearer to the day bar's; without a bar, for more lots."""
    return lots if traded is None else -abs(lots - traded)


def find_loss(
    ticks: pa.Table,
    stored: IndexRow,
    traded: int | None,
    until: int | None = None,
    *,
    by_name: bool,
    refetches: bool,
) -> str | None:
    """Why the stored ticks of a day stay; None where the new ones land.

    An answer that is less than what is stored never replaces it. `by_name`: the day was asked for,
    and is not one of those that are short; `refetches`: complete days are read again.
    """
    new = rank(ticks, traded, until)
    is_whole = stored.status == "complete" and not differs(stored.volume, traded)
    old = (is_whole, _closeness(stored.volume or 0, traded), stored.rows)
    came = f"received {ticks.num_rows:,} ticks of {traded_lots(ticks):,} lots"
    # a rank alone does not tell: the last ticks of a day alone have all its lots
    if ticks.num_rows < stored.rows * (1 - FEWER):
        return came
    if not by_name:
        return None if new > old else came
    # what the vendor took out of a day that still adds up is a correction
    if refetches and new[0]:
        return None
    return None if new >= old and ticks.num_rows >= stored.rows else came


def _volumes(ticks: pa.Table) -> Any:
    values = ticks["volume"].cast(pa.float64()).to_numpy()
    return values[np.isfinite(values) & (values >= 0)]


def _order_ticks(ticks: pa.Table) -> tuple[Any, Any]:
    """Volumes in their order, as a tick may come late, and which of them ticks may precede.

    Those after a pause, and the first, unless it is of the auction before a night session. On a day
    at its price limit the auction, or one trade that opens it, is a large part of the volume.
    """
    if "datetime_ns" not in ticks.column_names:
        volumes = np.sort(_volumes(ticks))
        return volumes, np.ones(len(volumes), bool)
    values = ticks["volume"].cast(pa.float64()).to_numpy()
    known = np.isfinite(values) & (values >= 0)
    volumes, stamps = values[known], ticks["datetime_ns"].to_numpy()[known]
    order = np.lexsort((stamps, volumes))
    volumes, stamps = volumes[order], stamps[order]
    follows_pause = np.abs(np.diff(stamps, prepend=stamps[:1])) >= PAUSE
    clock = (stamps[:1] // 10**9 + CHINA) % 86_400
    follows_pause[:1] = (clock < NIGHT_AUCTION[0]) | (clock > NIGHT_AUCTION[1])
    return volumes, follows_pause
