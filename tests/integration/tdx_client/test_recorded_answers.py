"""Recorded answers of the service come back from a quote server that has their rows."""

import asyncio
import json
from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from loaders.sandbox.tdx.quote_answers import answer_request
from loaders.sandbox.tdx.quote_server import QuoteServer
from loaders.sandbox.tdx.replay import classify_code
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import Action
from loaders.sandbox.world.bars import Bars, empty_bars
from loaders.sandbox.world.intraday import LABELS
from loaders.sandbox.world.market import SyntheticMarket
from loaders.sandbox.world.world import MinutePoint, Security, Tick, World
from loaders.tdx.servers.frames import KNOWN
from loaders.tdx.servers.transport import QuoteTransport
from loaders.tdx.settings import TdxSettings
from loaders.trading_time import SHANGHAI

MARKET = SyntheticMarket(codes=12, days=120)


class Recorded(World):
    """A market of one recorded answer."""

    records_intraday = True

    def __init__(self, code: str, data: Any, clock: datetime) -> None:
        self._rows = data.get("List") or data["list"]
        days = sorted(
            {datetime.fromisoformat(r["Time"]).date() for r in self._rows if "T" in r["Time"]}
        )
        listed = date(1990, 12, 19)
        securities = [Security(c[:2], c[2:], c, classify_code(c), listed) for c in (code, KNOWN)]
        super().__init__(days or [clock.date()], clock, securities)

    def actions(self, code: str) -> Sequence[Action]:
        return ()

    def day_bars(self, code: str) -> Bars:
        if code == KNOWN:
            return MARKET.day_bars(code)
        if "Open" not in self._rows[0]:
            return empty_bars()
        names = ("Open", "High", "Low", "Close", "Volume", "Amount", "UpCount", "DownCount")
        columns = [np.array([row[name] for row in self._rows]) for name in names]
        stamps = [row["Time"][:19] for row in self._rows]
        return Bars(stamps, *columns, np.zeros(len(stamps), dtype=np.int64))

    def minutes(self, code: str, day: date) -> Bars:
        return empty_bars()

    def minute_history(self, code: str) -> Bars | None:
        return self.day_bars(code)

    def minute_points(self, code: str, day: date) -> list[MinutePoint]:
        known = {row["Time"]: MinutePoint(*row.values()) for row in self._rows}
        return [known.get(label, MinutePoint(label, 10, 0)) for label in LABELS]

    def ticks(self, code: str, day: date) -> list[Tick]:
        return [Tick(row["Time"][11:16], *list(row.values())[1:]) for row in self._rows]


RECORDED = (
    "06_kline_history",
    "07_kline_all",
    "08_kline_all_tdx",
    "10_index",
    "11_index_all",
    "12_minute",
    "13_trade",
    "15_minute_trade_all",
)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_answers_of_the_service_come_back_value_for_value(
    real_tdx_data: Path, name: str
) -> None:
    entry = json.loads((real_tdx_data / "service_answers" / f"{name}.json").read_text("utf-8"))
    url, data = httpx.URL(entry["path"]), entry["answer"]["data"]
    route = url.path.replace("kline-all/tdx", "kline-all").replace(
        "api/trade", "api/minute-trade-all"
    )
    clock = datetime(2026, 11, 20, 18)
    sandbox = TdxSandbox(Recorded(url.params["code"], data, clock), clock=clock)

    async def ask(server: QuoteServer) -> Any:
        settings = TdxSettings(servers=[f"127.0.0.1:{server.address[1]}"])
        transport = QuoteTransport(settings, lambda: clock.replace(tzinfo=SHANGHAI))
        async with httpx.AsyncClient(transport=transport, base_url="http://servers") as client:
            return (await client.get(route, params=url.params)).json()["data"]

    with QuoteServer(partial(answer_request, sandbox.state)) as server:
        answer = asyncio.run(ask(server))
    rows, recorded = (part.get("List") or part["list"] for part in (answer, data))
    for row in (*rows, *recorded):
        row["Time"], row["Last"] = row["Time"][:19], 0
    # a line of minutes has all of them; only some are recorded
    times = {row["Time"] for row in recorded}
    assert [row for row in rows if row["Time"] in times] == recorded
