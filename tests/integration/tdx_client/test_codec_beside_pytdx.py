"""The codec of the quote servers reads what an independent one does."""

import struct
from datetime import date
from typing import Any

import numpy as np
import pytest
from pytdx import hq

from loaders.sandbox.tdx.quote_answers import answer_request
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.servers import codec

MARKET = SyntheticMarket(codes=12, days=120)
SANDBOX = TdxSandbox(MARKET)
EXACT = 128  # pytdx misreads volumes below
STOCKS = ("sh600000", "sz000001", "sz159915", "bj920001")
DAY = MARKET.end.date()


def both(command: type, asked: bytes, *params: Any, category: int = 0) -> tuple[bytes, Any]:
    """An answer, and what pytdx reads in it; both must have asked the same."""
    parser = command(None)
    parser.setParams(*params)
    parser.category = category
    assert bytes(parser.send_pkg[12:]) == asked
    number = struct.unpack_from("<H", parser.send_pkg, 10)
    body = answer_request(SANDBOX.state, struct.pack("<H", *number) + asked).body
    assert body is not None
    return body, parser.parseResponse(body)


@pytest.mark.parametrize("period", codec.PERIODS)
@pytest.mark.parametrize("code", [*STOCKS, "sh000001"])
def test_bars_are_read_as_by_pytdx(code: str, period: str) -> None:
    number, is_index = codec.PERIODS[period], code == "sh000001"
    command = hq.GetIndexBarsCmd if is_index else hq.GetSecurityBarsCmd
    asked = codec.ask_bars(code, period, 0, 800)
    params = (number, codec.MARKETS[code[:2]], code[2:], 0, 800)
    body, rows = both(command, asked, *params, category=number)
    bars = codec.read_bars(body, period, is_index=is_index)
    assert len(bars.times) == len(rows) > 0
    assert bars.times == [f"{row['datetime'].replace(' ', 'T')}:00" for row in rows]
    for name in ("open", "high", "low", "close"):
        assert getattr(bars, name).tolist() == [round(row[name] * 1000) for row in rows]
    for name, key in (("volume", "vol"), ("amount", "amount")):
        mine, other = getattr(bars, name), np.array([row[key] for row in rows])
        assert (mine == other)[mine >= EXACT].all()
    if is_index:
        assert bars.up.tolist() == [row["up_count"] for row in rows]
        assert bars.down.tolist() == [row["down_count"] for row in rows]


@pytest.mark.parametrize("code", STOCKS)
def test_minutes_and_ticks_are_read_as_by_pytdx(code: str) -> None:
    market, digits = codec.MARKETS[code[:2]], code[2:]
    day = date.fromisoformat(MARKET.day_bars(code).day(-70))
    number = int(f"{day:%Y%m%d}")
    asked = codec.ask_past_minutes(code, day)
    body, rows = both(hq.GetHistoryMinuteTimeData, asked, market, digits, number)
    price, volume = codec.read_past_minutes(body)
    assert [(round(r["price"] * 100), r["vol"]) for r in rows] == list(
        zip(price.tolist(), volume.tolist(), strict=True)
    )
    for past in (None, day):
        asked = codec.ask_ticks(code, 0, 900, past)
        command = hq.GetHistoryTransactionData if past else hq.GetTransactionData
        extra = (number,) if past else ()
        body, rows = both(command, asked, market, digits, 0, 900, *extra)
        ticks = codec.read_ticks(body, is_past=past is not None)
        columns = (ticks.minute, ticks.price, ticks.volume, ticks.orders, ticks.side)
        assert [
            (
                int(r["time"][:2]) * 60 + int(r["time"][3:]),
                round(r["price"] * 100),
                r["vol"],
                r.get("num", 0),
                r["buyorsell"],
            )
            for r in rows
        ] == list(zip(*(column.tolist() for column in columns), strict=True))
        assert rows


def test_quotes_are_read_as_by_pytdx() -> None:
    pairs = [(codec.MARKETS[code[:2]], code[2:]) for code in STOCKS]
    body, rows = both(hq.GetSecurityQuotesCmd, codec.ask_quotes(STOCKS), pairs)
    quotes = codec.read_quotes(body)
    assert len(quotes) == len(rows) == len(STOCKS)
    for quote, row in zip(quotes, rows, strict=True):
        assert (quote.market, quote.digits, quote.time) == (
            row["market"],
            row["code"],
            row["reversed_bytes0"],
        )
        for name, key in {"close": "price", "previous": "last_close", "open": "open"}.items():
            assert getattr(quote, name) == round(row[key] * 100)
        for i in range(5):
            levels = (*quote.bids[i], *quote.asks[i])
            keys = (f"bid{i + 1}", f"bid_vol{i + 1}", f"ask{i + 1}", f"ask_vol{i + 1}")
            prices = [row[k] if "vol" in k else round(row[k] * 100) for k in keys]
            assert list(levels) == prices
        assert (quote.volume, quote.amount) == (row["vol"], row["amount"])


@pytest.mark.parametrize("code", STOCKS)
def test_events_and_counts_are_read_as_by_pytdx(code: str) -> None:
    market = codec.MARKETS[code[:2]]
    body = answer_request(
        SANDBOX.state, struct.pack("<H", codec.EVENTS) + codec.ask_events([code])
    ).body
    assert body is not None
    (events,) = codec.read_events(body, [code])
    rows = hq.GetXdXrInfo(None).parseResponse(body)
    assert [(e.day, e.category) for e in events] == [
        (r["year"] * 10000 + r["month"] * 100 + r["day"], r["category"]) for r in rows
    ]
    known = ("fenhong", "peigujia", "songzhuangu", "peigu")
    assert [e.values for e in events if e.category == 1] == [
        tuple(r[name] for name in known) for r in rows if r["category"] == 1
    ]
    body = answer_request(
        SANDBOX.state, struct.pack("<H", codec.COUNT) + codec.ask_count(market, DAY)
    ).body
    assert body is not None
    count = codec.read_count(body)
    assert count == hq.GetSecurityCountCmd(None).parseResponse(body) > 0
