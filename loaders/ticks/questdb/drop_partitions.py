"""Removal of archived ticks: whole partitions, and flags where a partition has to stay.

A partition is a UTC day, a trading day has parts of two or more. So a partition goes once all that
readers see of it is archived. Of one that stays, archived ticks are flagged: a day is either in the
archive or in the store.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import date, timedelta

from loaders.ticks.questdb.rows import number_to_date
from loaders.ticks.tables import MAIN_TICKS
from quotemill.ticks.columns import DayKey, window
from quotemill.ticks.questdb_http import QuestdbHttp, StoreError, literal

PATIENCE = 600.0  # seconds for partitions to go
AT_ONCE = 50  # partitions in one statement, which is part of an address
_TABLE = MAIN_TICKS.name


def drop_archived(
    http: QuestdbHttp, archived: Collection[DayKey], first: date, last: date
) -> dict[str, list[DayKey]]:
    """Drop partitions with archived ticks alone of days from `first` to `last`, flag the others.

    Returns the partitions that stay though they have archived ticks, with the days that hold them.
    """
    held: dict[str, list[DayKey]] = {}
    dropped: list[str] = []
    low, high = window(first)[0].date(), window(last)[1].date()
    present = _partitions(http)
    for name in present:
        if not low.isoformat() <= name < high.isoformat():
            continue
        ticks = _days_in(http, name)
        ours = {key for key in ticks if key in archived}
        others = ticks.keys() - ours
        if others:
            if ours:
                _flag(http, name, ours)
            if ours or any(first <= key.trading_day <= last for key in others):
                held[name] = sorted(others)
        elif name != present[-1]:  # which the server may be writing
            dropped.append(name)
        elif ours:
            _flag(http, name, ours)
    for start in range(0, len(dropped), AT_ONCE):
        _drop(http, dropped[start : start + AT_ONCE])
    return held


def _partitions(http: QuestdbHttp) -> list[str]:
    """The UTC days that have ticks; parts of a split partition have a time in their names."""
    rows = http.rows(f"select name from table_partitions('{_TABLE}')")
    return sorted({row["name"][:10] for row in rows})


def _range(name: str) -> str:
    day = date.fromisoformat(name)
    return f"ts >= '{day}' and ts < '{day + timedelta(1)}'"


def _days_in(http: QuestdbHttp, name: str) -> dict[DayKey, int]:
    """Ticks that readers see in a partition, by contract-day."""
    rows = http.rows(
        "select symbol, underlying_contract, trading_day, count() as n "
        f"from {_TABLE} where {_range(name)} and not is_deleted"
    )
    return {
        DayKey(row["symbol"], row["underlying_contract"], number_to_date(row["trading_day"])): row[
            "n"
        ]
        for row in rows
    }


def _flag(http: QuestdbHttp, name: str, keys: Collection[DayKey]) -> None:
    """Make these days' ticks in a partition invisible, the series of a trading day at once."""
    days: dict[date, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key in keys:
        days[key.trading_day][key.symbol].add(key.contract)
    for day, series in days.items():
        whose = " or ".join(
            f"(symbol = {literal(symbol)} and underlying_contract in "
            f"({', '.join(map(literal, sorted(contracts)))}))"
            for symbol, contracts in sorted(series.items())
        )
        http.rows(
            f"UPDATE {_TABLE} SET is_deleted = true "
            f"WHERE {_range(name)} and trading_day = {day:%Y%m%d} and ({whose})"
        )
    http.wait_applied(_TABLE, PATIENCE)


def _drop(http: QuestdbHttp, names: Collection[str]) -> None:
    listed = ", ".join(f"'{name}'" for name in names)
    http.rows(f"ALTER TABLE {_TABLE} DROP PARTITION LIST {listed}")
    http.wait_applied(_TABLE, PATIENCE)
    if left := sorted(set(names) & set(_partitions(http))):
        raise StoreError(
            f"QuestDB did not drop the partition {left[0]} of {_TABLE}", hint="run again"
        )
