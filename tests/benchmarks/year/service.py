"""A night of minutes from the simulated service, beside its requests by a plain client."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from loaders.sandbox.world.market import DEFAULT_END, exchange_days
from loaders.tdx.tables import KLINE_MINUTE
from tests.benchmarks.builds import pipeline
from tests.benchmarks.year.place import Figure, Year
from tests.benchmarks.year.shares import CORE, MINUTES, measure_night

DAYS = 60  # of the market
TOGETHER = 6  # requests, which a service allows


def run_service_night(year: Year) -> list[Figure]:
    """The minutes of a night, requested code by code. The service runs beside it."""
    first, second, night = exchange_days(DEFAULT_END, DEFAULT_END + timedelta(14))[1:4]
    with (
        TemporaryDirectory(dir=year.home.folder) as scratch,
        pipeline(year.small.dsn, Path(scratch), (year.codes, DAYS)) as market,
    ):
        for day in (first, second):  # dbt compiles other SQL for the first
            market.move_to(day)
            market.change(1, *CORE, "minute_1m")
        market.move_to(night)
        market.change(1, *CORE)
        seconds, fixed = (market.change(1, "minute_1m") for _ in range(2))
        own = Year(market.home, year.factor, year.small)
        counts = dict(
            own.rows(
                "select code, count(*) from raw_tdx.kline_minute where trade_date = %s group by 1",
                night,
            )
        )

        def read() -> None:
            base = market.home.settings["QUOTEMILL_TDX__BASE_URL"]
            with httpx.Client(base_url=base) as client, ThreadPoolExecutor(TOGETHER) as threads:
                wanted = {"type": "minute1", "limit": 2 * MINUTES}  # also the newest stored day
                for answer in threads.map(
                    lambda code: client.get("/api/kline-history", params={"code": code, **wanted}),
                    counts,
                ):
                    answer.raise_for_status().json()

        limit = measure_night(own, KLINE_MINUTE, read, night)
    bars = sum(counts.values())
    name, how = f"a night: {bars:,} bars from the service", "requests, COPY, rollups by SQL"
    taken, unchanged = (run["load"] + run["build"] for run in (seconds, fixed))
    return [
        Figure(f"{name}, load + build", taken, "s", limit, how, "≤ 1.5", unchanged),
        Figure(f"{name}: load", seconds["load"]),
    ]
