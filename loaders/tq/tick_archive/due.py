"""Which trading days may leave the store, and why others stay. A pure function of what is known.

A trading day goes as a whole, since its series share partitions of the store. It stays while a day
of a series is doubtful, short, missing or of another contract, so that a load may still write it,
and while the minutes of its ticks are not made. Days on record as without ticks hold nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from loaders.ticks.store import IndexRow
from loaders.tq.tick_days.schedule import Scheduled
from quotemill.ticks.columns import DayKey

SHOWN = 3  # reasons of a trading day


@dataclass(frozen=True)
class Due:
    """Trading days before a date.

    days  index rows of each that goes, by series
    held  why others stay, by trading day
    """

    days: dict[date, list[IndexRow]] = field(default_factory=dict)
    held: dict[date, str] = field(default_factory=dict)


def find_due(
    index: Iterable[IndexRow],
    schedule: Sequence[Scheduled],
    no_data: Mapping[DayKey, str],
    minutes: Mapping[tuple[str, date], str],
    *,
    before: date,
    short: bool = False,
) -> Due:
    """The days with ticks in the store before a date.

    `schedule`: of the varieties that are loaded. `no_data`: statuses of the record. `minutes`: the
    row_hash of the ticks that they were made of, by contract and day. `short`: days on record as
    short go too.
    """
    stored: dict[date, list[IndexRow]] = defaultdict(list)
    for row in index:
        if row.is_visible and row.trading_day < before:
            stored[row.trading_day].append(row)
    wanted: dict[date, list[Scheduled]] = defaultdict(list)
    for day in schedule:
        wanted[day.trading_day].append(day)
    due = Due()
    for trading_day, rows in sorted(stored.items()):
        if all(row.is_archived for row in rows):
            continue
        held = {row.key: row for row in rows}
        missing = (day for day in wanted[trading_day] if day.key not in held)
        reasons = [
            *(
                f"{day.contract} is {no_data.get(day.key, 'missing')}"
                for day in missing
                if no_data.get(day.key) != "no_data"
            ),
            *filter(None, (_reason(row, no_data, minutes, short=short) for row in rows)),
        ]
        if reasons:
            more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
            due.held[trading_day] = ", ".join(reasons[:SHOWN]) + more
        else:
            due.days[trading_day] = rows
    return due


def _reason(
    row: IndexRow,
    no_data: Mapping[DayKey, str],
    minutes: Mapping[tuple[str, date], str],
    *,
    short: bool,
) -> str | None:
    if row.status == "short" and not (short and no_data.get(row.key) == "short"):
        return f"{row.contract} is {no_data.get(row.key, 'short')}"
    if minutes.get((row.contract, row.trading_day)) != row.row_hash:
        return f"the minutes of {row.contract} are not made"
    return None


def count_ticks(rows: Collection[IndexRow]) -> int:
    return sum(row.rows for row in rows)
