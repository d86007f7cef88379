"""The client against the simulated service: each family of faults, and a whole load by replay."""

import asyncio
import csv
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.bars import plausibility, records
from loaders.tdx.client.answers import Bars
from loaders.tdx.client.client import TdxClient
from loaders.tdx.settings import TdxSettings
from tests.unit.tdx.fake_context import calendar

T = TypeVar("T")


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(codes=16, days=900, seed=3)


def asked(
    market: Any, call: Callable[[TdxClient], Awaitable[T]], *faults: str, **settings: Any
) -> tuple[T, Counter[str], TdxClient]:
    """Result, number of requests by route, and the client."""

    async def once(url: str) -> tuple[T, TdxClient]:
        options = {"base_url": url, "backoff": 0.0} | settings
        async with TdxClient(TdxSettings(**options)) as client:
            return await call(client), client

    with TdxSandbox(market, faults=faults, options=Options("shanghai", 0.01)) as sandbox:
        result, client = asyncio.run(once(sandbox.url))
        routes = Counter(entry.route for entry in sandbox.log)
    return result, routes, client


def stocks(market: SyntheticMarket) -> list[str]:
    result, _, _ = asked(market, lambda c: c.codes())
    return [listing.code for listing in result]


@pytest.fixture(scope="module")
def code(market: SyntheticMarket) -> str:
    return max(stocks(market)[:6], key=lambda c: len(asked(market, lambda x: x.kline_all(c))[0]))


def check(code: str, bars: Bars, today: date, closed: Any = lambda _: False) -> Any:
    return plausibility.check(code, records.from_answer(bars), "day", calendar(today, closed))


def columns(bars: Bars) -> list[Any]:
    return [bars.row(i) for i in range(len(bars))]


def test_every_security_of_the_lists_gives_plausible_bars(market: SyntheticMarket) -> None:
    async def everything(client: TdxClient) -> int:
        codes = [x.code for x in await client.codes() + await client.etfs()]
        answers = await asyncio.gather(*map(client.kline_all, codes))
        today = max(a.dates[-1] for a in answers)
        open_days = set(await client.workdays(date(1990, 12, 19), today))
        for name, bars in zip(codes, answers, strict=True):
            good, rejected = check(name, bars, today, lambda d: d not in open_days)
            assert (rejected, len(good)) == ([], len(bars))
        return len(codes)

    count, _, client = asked(market, everything)
    assert count > 8
    assert (client.unknown_fields, client.oddities) == ({}, {})


def test_an_index_has_its_own_routes_and_their_answers_agree(market: SyntheticMarket) -> None:
    async def both(client: TdxClient) -> tuple[Bars, Bars]:
        return await client.index_all("sh000001"), await client.index("sh000001", limit=50)

    (whole, newest), _, _ = asked(market, both)
    assert columns(whole)[-50:] == columns(newest)
    assert any(whole.up)


def test_an_index_asked_for_as_a_stock_is_never_taken_for_minutes(market: SyntheticMarket) -> None:
    """Success with the first bar of each page right and misaligned bytes for the rest."""
    minutes, _, _ = asked(market, lambda c: c.intraday("sh000001"))
    landed = records.from_answer(minutes)
    with pytest.raises(plausibility.Implausible, match=" of 800 bars "):
        plausibility.check(
            "x", landed, minutes.period, calendar(market.end.date(), lambda _: False)
        )


def test_real_bars_come_through_as_they_were_recorded(real_tdx_data: Path) -> None:
    with (real_tdx_data / "daily_SZ000002.csv").open(encoding="utf-8") as file:
        recorded = [
            (
                date.fromisoformat(r["date"]),
                *(Decimal(r[n]) * 1000 for n in ("open", "high", "low", "close")),
                int(r["volume_hands"]),
            )
            for r in csv.DictReader(file)
        ]
    bars, _, client = asked(ReplayMarket(real_tdx_data), lambda c: c.kline_all("sz000002"))
    columns = (bars.dates, bars.open, bars.high, bars.low, bars.close, bars.volume)
    assert list(zip(*columns, strict=True)) == recorded
    assert check("sz000002", bars, bars.dates[-1])[1] == []
    assert client.oddities == {}


def test_many_timeouts_in_a_row_leave_the_connection_pool_usable(
    market: SyntheticMarket, code: str
) -> None:
    async def patient(client: TdxClient) -> int:
        return len(await client.kline_all(code))

    count, routes, _ = asked(
        market, patient, "hang:kline-all:first=25", timeout=0.02, retries=30, concurrency=1
    )
    assert count
    assert routes["kline-all"] >= 26  # a busy machine may be late with the first that is answered
