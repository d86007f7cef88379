"""Ticks of the main contracts of futures, from QuestDB."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pyarrow as pa

from quotemill.errors import DataQualityError
from quotemill.readers.listed import find_listed, require_known, require_order
from quotemill.settings.model import TopSettings
from quotemill.ticks.columns import DAY_INDEX, MAIN_TICKS, TICKS, numbers_to_dates
from quotemill.ticks.questdb_http import QuestdbHttp, find_address, literal

MAIN = "KQ.m@"
_DAYS = (
    "select symbol, underlying_contract, trading_day, first_ts, last_ts from {} "
    "where status in ('complete', 'short')"
)


@dataclass(frozen=True)
class TickDay:
    """A trading day whose ticks readers see; first, last: their times in UTC."""

    symbol: str
    contract: str
    trading_day: date
    first: datetime
    last: datetime


class _QuestdbTicks:
    """Ticks in a QuestDB."""

    def __init__(self, http: QuestdbHttp) -> None:
        self._http = http

    def list_days(self) -> list[TickDay]:
        known = self._http.rows(f"select 1 as n from tables() where table_name = '{DAY_INDEX}'")
        if not known:
            return []
        rows = self._http.table(_DAYS.format(DAY_INDEX))
        days = numbers_to_dates(rows["trading_day"])
        rows = rows.set_column(rows.schema.get_field_index("trading_day"), "trading_day", days)
        return [TickDay(*row.values()) for row in rows.to_pylist()]

    def read_day(self, day: TickDay, names: Sequence[str]) -> pa.Table:
        rows = self._http.table(
            f"select {', '.join(names)} from {MAIN_TICKS} where symbol = {literal(day.symbol)} "
            f"and underlying_contract = {literal(day.contract)} "
            f"and ts between '{_write_time(day.first)}' and '{_write_time(day.last)}' "
            f"and trading_day = {day.trading_day:%Y%m%d} and not is_deleted order by ts, seq"
        )
        if "trading_day" in names:
            place = rows.schema.get_field_index("trading_day")
            rows = rows.set_column(place, "trading_day", numbers_to_dates(rows["trading_day"]))
        return rows


def stream_ticks(
    settings: TopSettings,
    variety: str,
    *,
    start: date | None = None,
    end: date | None = None,
    columns: Sequence[str] = (),
) -> pa.RecordBatchReader:
    """Ticks of a variety such as SHFE.cu, a trading day at a time, by time.

    Columns: as of TICKS; `ts` in UTC, volume and amount those of the trading day so far. `start`
    and `end`, trading days or times, are included. Raises NotListed for a variety without ticks,
    UsageError for unknown columns, DataQualityError for a day whose ticks are lost, StoreError
    if the store is unreachable.
    """
    require_order(start, end)
    require_known("column", columns, TICKS.names)
    names = list(columns or TICKS.names)
    schema = pa.schema([TICKS.field(name) for name in names])

    def read() -> Iterator[list[pa.RecordBatch]]:
        if settings.has_own_questdb and not (settings.home / "questdb").exists():
            _choose_days([], variety, start, end)  # no load has made it
        with closing(QuestdbHttp(find_address(settings))) as http:
            store = _QuestdbTicks(http)
            stored = store.list_days()
            days = _choose_days(stored, variety, start, end)
            yield []  # what is wrong shows before the first batch
            for day in days:
                ticks = store.read_day(day, names).cast(schema)
                if not ticks.num_rows and day in stored:
                    raise DataQualityError(
                        f"the tick store has no ticks of {day.contract} on {day.trading_day}, "
                        "which its index lists",
                        hint="Run `loaders verify tq`.",
                    )
                yield ticks.to_batches()

    following = read()
    next(following)
    batches = (batch for part in following for batch in part)
    return pa.RecordBatchReader.from_batches(schema, batches)


def _choose_days(
    days: list[TickDay], variety: str, start: date | None, end: date | None
) -> list[TickDay]:
    known = sorted({day.symbol.removeprefix(MAIN) for day in days})
    name = find_listed(variety, known, "no ticks for")
    cut = [_cut_day(day, start, end) for day in days if day.symbol.removeprefix(MAIN) == name]
    chosen = [day for day in cut if day is not None]
    return sorted(chosen, key=lambda day: (day.trading_day, day.contract))


def _cut_day(day: TickDay, start: date | None, end: date | None) -> TickDay | None:
    """What of a day is between two trading days or times; None: nothing."""
    if isinstance(start, datetime):
        day = replace(day, first=max(day.first, start))
    elif start and day.trading_day < start:
        return None
    if isinstance(end, datetime):
        day = replace(day, last=min(day.last, end))
    elif end and day.trading_day > end:
        return None
    return day if day.first <= day.last else None


def _write_time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
