"""The measures of all ticks of a table, range by range, in a thread for each processor.

The server reads a range in one thread, and ends a query after a minute.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from queue import SimpleQueue

from loaders.ticks.day_hash import measure_sql
from loaders.ticks.questdb.connection import Connection
from loaders.ticks.questdb.server import WORKERS
from loaders.ticks.store import MeasuredTicks
from loaders.trading_time import number_to_date
from quotemill.ticks.questdb_http import QuestdbHttp

ROWS = 3_000_000  # of a range at least, unless it is the last: some seconds


def measure_all(connection: Connection, table: str) -> Iterator[list[MeasuredTicks]]:
    """The measures of each range in its turn."""
    ranges = connection.retry(lambda: _ranges(connection.http(), table))
    with ExitStack() as stack:
        idle: SimpleQueue[Connection] = SimpleQueue()
        for _ in range(WORKERS):
            other = connection.another()
            stack.callback(other.close)
            idle.put(other)

        def measure(where: str) -> list[MeasuredTicks]:
            own = idle.get()
            try:
                return own.retry(lambda: measure_ticks(own.http(), table, where))
            finally:
                idle.put(own)

        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield from pool.map(measure, ranges)


def _ranges(http: QuestdbHttp, table: str) -> list[str]:
    """Conditions of which each row meets one: whole partitions, which are UTC days."""
    partitions = http.rows(f"select name, numRows from table_partitions('{table}') order by index")
    days: dict[str, int] = {}
    for partition in partitions:  # parts of a split one have a time in their names
        day = partition["name"][:10]
        days[day] = days.get(day, 0) + partition["numRows"]
    starts, rows = [], 0
    for day, count in days.items():
        if rows >= ROWS:
            starts.append(day)
            rows = 0
        rows += count
    lows = ["1 = 1", *(f"ts >= '{start}'" for start in starts)]
    highs = [*(f"ts < '{start}'" for start in starts), "1 = 1"]
    return [f"{first} and {last}" for first, last in zip(lows, highs, strict=True)]


def measure_ticks(http: QuestdbHttp, table: str, where: str) -> list[MeasuredTicks]:
    """The measures of the visible ticks for which a condition holds."""
    return [
        MeasuredTicks(
            row["symbol"],
            row["underlying_contract"],
            number_to_date(row["trading_day"]),
            row["segment_id"],
            row["schedule_hash"],
            row["rows"],
            datetime.fromisoformat(row["first_ts"]),
            datetime.fromisoformat(row["last_ts"]),
            row["hash_a"],
        )
        for row in http.rows(measure_sql(table, where))
    ]
