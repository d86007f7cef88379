"""Recorded minutes and ticks, replayed by the simulated service and read by the client."""

import asyncio
import csv
from collections.abc import Awaitable, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest

from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.tdx.bars import plausibility, records
from loaders.tdx.client.client import TdxClient
from loaders.tdx.settings import TdxSettings
from tests.unit.tdx.fake_context import calendar

T = TypeVar("T")
DAYS = (date(2019, 2, 1), date(2019, 2, 11))


@pytest.fixture(scope="module")
def ask(real_tdx_data: Path) -> Iterator[Callable[..., Any]]:
    with TdxSandbox(ReplayMarket(real_tdx_data), clock="2019-02-15") as sandbox:

        def once(call: Callable[[TdxClient], Awaitable[T]], *faults: str) -> T:
            for fault in faults:
                sandbox.faults.add(fault)

            async def scenario() -> T:
                async with TdxClient(TdxSettings(base_url=sandbox.url, backoff=0.0)) as client:
                    result = await call(client)
                    assert (client.unknown_fields, client.oddities) == ({}, {})
                    return result

            try:
                return asyncio.run(scenario())
            finally:
                sandbox.faults.clear()

        yield once


def recorded(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("day", DAYS, ids=str)
@pytest.mark.parametrize("code", ["SH600000", "SZ000002"])
def test_recorded_ticks_come_whole_and_in_their_order(
    ask: Callable[..., Any], real_tdx_data: Path, code: str, day: date
) -> None:
    rows = recorded(real_tdx_data / f"ticks_{code}.csv")
    mine = [row for row in rows if row["date"] == str(day)]
    ticks = ask(lambda c: c.trades_of_day(code.lower(), day))
    assert ticks.volume == [int(row["volume_hands"]) for row in mine]
    assert ticks.price == [round(float(row["price_yuan"]) * 1000) for row in mine]
    assert ticks.stamps == [f"{day}T{row['minute']}:00" for row in mine]
    assert ticks.side == [int(row["side"]) for row in mine]


@pytest.mark.parametrize("code", ["SH600000", "SZ000002", "SH000001"])
def test_recorded_minute_lines_come_through_as_points(
    ask: Callable[..., Any], real_tdx_data: Path, code: str
) -> None:
    rows = recorded(real_tdx_data / f"minute_line_{code}.csv")
    mine = [row for row in rows if row["bar_start"].startswith(str(DAYS[0]))]
    points = ask(lambda c: c.minute_points(code.lower(), DAYS[0]))
    assert (len(points), points.labels[119:121]) == (240, ["11:30", "13:01"])
    assert points.number == [int(row["volume_hands"]) for row in mine]


def test_recorded_minutes_of_an_index_keep_their_noon_label(
    ask: Callable[..., Any],
) -> None:
    bars = ask(lambda c: c.index_intraday_all("sh000001"))
    clocks = [stamp[11:16] for stamp in bars.stamps]
    assert (len(bars), clocks.count("13:00")) == (24_000, 100)
    days = calendar(date(2019, 2, 15), lambda day: day.weekday() > 4)
    good, rejected = plausibility.check("x", records.from_answer(bars), "minute1", days)
    assert (len(good), rejected) == (24_000, [])
