"""Steps of the trades of shares: days before, then a night beside writing the same rows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from loaders.landing import load_job
from loaders.tdx.tables import TICK_TRADE
from loaders.warehouse.content import content_id
from loaders.warehouse.tables import Batch
from tests.benchmarks.loads import open_warehouse
from tests.benchmarks.year.chains import copy_day, make_rows
from tests.benchmarks.year.place import Figure, Year, seconds_of
from tests.benchmarks.year.shares import day_at
from tests.client_folder import codes_of

A_DAY, DAYS = 2_000, 10  # trades of a code; before the night
TOGETHER = 100  # codes that land together
OPENED = timedelta(hours=1, minutes=30)  # 09:30, in UTC
LANDED, RESULT = (TICK_TRADE.qualified,), ("market.tick_daily_summary",)


def run_trade_night(year: Year) -> list[Figure]:
    """Land days of trades, then one more: landed, and its summaries built."""
    warehouse = open_warehouse(year.home.dsn, year.home.folder)
    content = content_id(warehouse)
    pipeline, _ = load_job.open_pipeline(warehouse, content, "trades_bench", "tdx")
    codes = codes_of(year.codes)
    days = [day_at(count + 1) for count in range(DAYS + 1)]

    def land(days: Sequence[date]) -> None:
        rows = _list_batches(codes, days)
        load_job.land(pipeline, warehouse, "tdx", TICK_TRADE, rows)

    land(days[:-1])
    for _ in range(2):  # the second has nothing to build
        fixed = year.build(days[-1])
    year.settle()
    landed = seconds_of(lambda: land(days[-1:]))
    built = year.build(days[-1])
    copied, written = (copy_day(year, places, days[-1]) for places in (LANDED, RESULT))
    name = f"a night of trades: {len(codes) * A_DAY:,}"
    how = "create table as of the day's rows"
    return [
        Figure(f"{name}: landed", landed, "s", copied, how),
        Figure(f"{name}: built", built, "s", written, how, fixed=fixed),
    ]


def _list_batches(codes: Sequence[str], days: Sequence[date]) -> Iterator[Batch]:
    for day in days:
        for start in range(0, len(codes), TOGETHER):
            random = np.random.default_rng(start)
            some = codes[start : start + TOGETHER]
            count = len(some) * A_DAY
            opened = datetime.combine(day, time(), UTC) + OPENED
            minutes = [opened + timedelta(minutes=240 * n // A_DAY) for n in range(A_DAY)]
            rows = {
                "code": np.repeat(some, A_DAY).tolist(),
                "trade_date": day,
                "ordinal": np.tile(np.arange(1, A_DAY + 1), len(some)),
                "traded_at": minutes * len(some),
                "price": 10_000 + random.integers(0, 500, count),
                "volume": random.integers(1, 500, count),
                "side": random.integers(0, 3, count),
                "order_count": 0,
                "fetched_at": opened + timedelta(days=1),
            }
            yield Batch(make_rows(TICK_TRADE, rows))
