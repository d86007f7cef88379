"""A night of futures ticks: written with all checks, read back, made minutes."""

from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa

from loaders.ticks.frame import key_of
from loaders.ticks.questdb import server as questdb_server
from loaders.ticks.questdb.store import QuestdbStore
from loaders.tq.datasets.tick_minute import COLUMNS
from loaders.tq.tick_days.minute_bars import make_minutes
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError
from tests.benchmarks.ticks import SETTINGS, _client
from tests.benchmarks.year.place import Figure, Year, seconds_of
from tests.ticks import day_of_ticks

PRODUCTS, A_DAY, DAYS = 60, 40_000, 20
FIRST = date(2025, 3, 3)
TOGETHER = 8  # days that a load writes in one transaction


def run_tick_night(year: Year) -> list[Figure]:
    """Days before, then a night, beside the same rows by QuestDB's own client."""
    with ExitStack() as stack:
        folder = year.home.folder / "questdb"
        address = questdb_server.start(folder, SETTINGS)
        stack.callback(questdb_server.remove, folder)
        store = QuestdbStore(lambda: address, SETTINGS, label="bench")
        stack.callback(store.close)
        store.prepare()
        client = stack.enter_context(_client(address))
        for number in range(DAYS):
            days = _list_days(year, number)
            _write(store, days)
            for day in days:
                client(day)
        days = _list_days(year, DAYS)
        rows = sum(day.num_rows for day in days)
        limit = sum(client(day) for day in days)
        written = seconds_of(lambda: _write(store, days))
        read: list[pa.Table] = []
        keys = [key_of(day) for day in days]
        back = seconds_of(lambda: read.extend(store.read_day(key, COLUMNS) for key in keys))
        made = seconds_of(lambda: [_make(day, keys[0].trading_day) for day in read])
        files = (file for file in folder.rglob("*.d") if "/wal" not in str(file))
        size = sum(file.stat().st_size for file in files)
    name, how = f"a night of ticks: {rows:,}", "QuestDB's client, no checks"
    return [
        Figure(f"{name}, written", rows / written, "/s", rows / limit, how, "≥ 0.5"),
        Figure("the same, read back", rows / back, "/s"),
        Figure("their minutes", rows / made, "/s"),
        Figure(
            "the same, written, read and made minutes",
            rows / (written + back + made),
            "/s",
            rows / limit,
            how,
            "≥ 0.5",
        ),
        Figure(f"a tick, of {rows * (DAYS + 1):,} twice", size / rows / (DAYS + 1) / 2, "bytes"),
    ]


def _list_days(year: Year, number: int) -> list[pa.Table]:
    day = FIRST + timedelta(days=number)
    keys = [DayKey(f"KQ.m@X.p{n}", f"X.p{n}2505", day) for n in range(year.count(PRODUCTS))]
    return [day_of_ticks(A_DAY, key, seed=n) for n, key in enumerate(keys)]


def _write(store: QuestdbStore, days: list[pa.Table]) -> None:
    for start in range(0, len(days), TOGETHER):
        results = store.write_days(days[start : start + TOGETHER])
        for result in results:
            if isinstance(result, StoreError):
                raise result


def _make(ticks: pa.Table, day: date) -> pa.Table:
    """The minutes of a night and a day session, as tests.ticks has them."""
    start, hour = datetime(day.year, day.month, day.day, 1, tzinfo=UTC), timedelta(hours=1)
    return make_minutes(ticks, [(start - 12 * hour, start - 9 * hour), (start, start + 12 * hour)])
