"""The desktop client's folder of the small market, and loads that have nothing but it."""

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from loaders.engine.result import LoadResult
from loaders.sandbox.tdx.vipdoc_files import write_vipdoc
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.client.answers import EXCHANGES
from loaders.trading_time import SHANGHAI
from tests.integration.tdx_load.bench import Bench, Heard, settings_for

CODE = "sh600000"
RECORD = 32
CALENDAR_FILE = "sh000001.day"
DAYS = ("kline_daily",)  # with the codes and the calendar, which come first
MINUTES = (*DAYS, "minute_1m")
BARS = """
    select code, trade_date, open, high, low, close, volume * volume_unit / 100 as hands, is_final
    from raw_tdx.kline_daily order by code, trade_date
"""
COUNT = f"select count(*) from raw_tdx.kline_daily where code = '{CODE}'"


def set_time(file: Path, day: date, at: time = time(18)) -> None:
    """Set the time of a file's last write, by the exchange's clock."""
    written = datetime.combine(day, at, SHANGHAI).timestamp()
    os.utime(file, (written, written))


def write(file: Path, content: bytes, day: int) -> None:
    """Write a file of the client on a day of June 2025."""
    file.write_bytes(content)
    moment = datetime(2025, 6, day, 8, tzinfo=UTC).timestamp()
    os.utime(file, (moment, moment))


def cut_short(file: Path, keep: float) -> None:
    """Leave this share of a file's bytes, as an interrupted download does."""
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])


def failures(result: LoadResult) -> dict[str, str]:
    """Why a key of each dataset failed."""
    return {task.dataset: why for task in result.tasks for why in task.failures.values()}


def raise_prices(content: bytearray, record: int) -> None:
    """Add a cent to the four prices of a record of a day file."""
    for place in range(record * RECORD + 4, record * RECORD + 20, 4):
        price = int.from_bytes(content[place : place + 4], "little") + 1
        content[place : place + 4] = price.to_bytes(4, "little")


@dataclass
class ClientFolder:
    """The client's folder, written as the client leaves it.

    home: folder of quotemill
    exchanges: whose files are written
    """

    path: Path
    market: SyntheticMarket
    days: list[date]
    dsn: str
    home: Path
    exchanges: tuple[str, ...] = EXCHANGES

    def write(self, day: date | None = None, at: time = time(18), *, minutes: int = 1) -> None:
        """Write all files as of a day, by default the last one, with so many days of minutes."""
        day = day or self.days[-1]
        until = datetime.combine(day, time(18))
        codes = [s.code for s in self.market.securities if s.exchange in self.exchanges]
        write_vipdoc(self.market, self.path / "vipdoc", until=until, days=minutes, codes=codes)
        for file in (self.path / "vipdoc").rglob("*.*"):
            set_time(file, day, at)

    def day_file(self, code: str = CODE) -> Path:
        return self.path / f"vipdoc/{code[:2]}/lday/{code}.day"

    def minute_file(self) -> Path:
        return self.path / f"vipdoc/{CODE[:2]}/minline/{CODE}.lc1"

    def bench(self, day: date | None = None, **tdx: Any) -> Bench:
        """A warehouse and the folder; the clock is at 18:00 of `day` or at the market's end."""
        clock = datetime.combine(day, time(18)) if day else self.market.end
        client = {"client": str(self.path), "base_url": None}
        settings = settings_for("", self.dsn, self.home, **(client | tdx))
        still: Any = SimpleNamespace(clock=clock)
        return Bench(still, settings, Heard(), DAYS)

    def load(self, day: date | None = None, **request: Any) -> Bench:
        """Open a bench and load without a failure."""
        bench = self.bench(day)
        assert bench.load(**request).exit_code == 0, bench.heard.lines
        return bench
