"""Of arbitrary messages of IB, of its socket and of the library: a result or an error of ours."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from loaders.ib.client import contract_details, daily_bars, quotes
from loaders.ib.client.ib_client import Connection
from loaders.ib.client.ticker import Patience, Reading
from loaders.ib.client.values import Candidate, OptionContract, PreviousClose, Underlying
from tests.integration.foreign_bytes.arbitrary import (
    TEXTS,
    altered,
    fails_as_ours,
)

NOW = datetime(2025, 7, 1, 9, tzinfo=UTC)
LAST = date(2025, 6, 30)


def connection() -> Connection:
    return Connection(lambda *_: None, 40)


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=20) | st.binary(max_size=60), max_size=4))
def test_the_stream_of_a_gateway(messages: Sequence[list[str] | bytes]) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    gateway = connection()
    gateway._ib.client._serverVersion = gateway._ib.client.decoder.serverVersion = 176
    gateway._ib.client._apiReady = True
    gateway._ib.client.conn.transport = SimpleNamespace(abort=lambda: None)
    for message in messages:
        if isinstance(message, list):
            fields = "".join(f"{field}\0" for field in message).encode("utf-8", "surrogatepass")
            message = len(fields).to_bytes(4, "big") + fields
        gateway._ib.client._onSocketHasData(message)
        gateway._on_data(message)


CANDIDATE = Candidate("AAPL", 265598, "AAPL", date(2026, 12, 18), Decimal(150), "C")
CONTRACT = {
    "conId": 1,
    "localSymbol": "AAPL  261218C00150000",
    "tradingClass": "AAPL",
    "multiplier": "100",
    "lastTradeDateOrContractMonth": "20261218",
    "strike": 150.0,
    "right": "C",
    "exchange": "SMART",
    "primaryExchange": "",
    "currency": "USD",
}
DETAILS = {
    "longName": "APPLE",
    "underConId": 265598,
    "realExpirationDate": "20261218",
    "liquidHours": "20261218:0930-20261218:1600",
    "timeZoneId": "US/Eastern",
}
CHAIN = {
    "exchange": "SMART",
    "tradingClass": "AAPL",
    "multiplier": "100",
    "expirations": ["20261218"],
    "strikes": [150.0],
}
BAR = {"date": date(2026, 1, 5), **dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)}
TIMES = st.datetimes() | st.datetimes(timezones=st.timezones()) | st.dates()


OPTION = OptionContract(1, "x", "AAPL", 2, "AAPL", LAST, Decimal(1), "C", Decimal(100))
STOCK = Underlying("AAPL", 265598, "NASDAQ")
ODD_BARS = st.lists(altered(BAR) | TIMES.map(lambda at: BAR | {"date": at}), max_size=2)


@given(altered(CONTRACT), altered(DETAILS))
def test_contracts_of_a_gateway(contract: Any, details: Any) -> None:
    row = SimpleNamespace(contract=holder(contract), **fields(details))
    gateway = answering(details=[row])
    request = contract_details.find_underlying(gateway, "AAPL", "STK", exchange="", timeout=1)
    fails_as_ours(lambda: asyncio.run(request))
    asyncio.run(contract_details._look_up(gateway, CANDIDATE, 1))
    asyncio.run(contract_details.find_owner(gateway, [OPTION], 1))


@given(altered(CHAIN))
def test_option_parameters_of_a_gateway(chain: Any) -> None:
    request = contract_details.option_params(answering(chains=[holder(chain)]), STOCK, 1)
    fails_as_ours(lambda: asyncio.run(request))


@given(ODD_BARS, ODD_BARS)
def test_bars_of_a_gateway(bars: Sequence[Any], adjusted: Sequence[Any]) -> None:
    gateway = answering(bars=[*map(holder, bars)], adjusted=[*map(holder, adjusted)])
    fails_as_ours(lambda: asyncio.run(daily_bars.read_bars(gateway, STOCK, 1)))


def test_bars_whose_adjusted_ones_cannot_be_read_are_kept() -> None:
    gateway = answering(bars=[holder(BAR)], adjusted=[holder(BAR | {"date": "x"})])
    [bar], error = asyncio.run(daily_bars.read_bars(gateway, STOCK, 1))
    assert (bar.close, bar.adjusted_close) == (Decimal(1), None)
    assert re.search("adjusted .* AAPL .*read", str(error))


@given(ODD_BARS)
def test_a_previous_close_is_a_quote_if_a_bar_cannot_be_read(bars: Sequence[Any]) -> None:
    gateway = answering(bars=[holder(BAR | {"date": "x"}), *map(holder, bars)])
    quote = Reading(SimpleNamespace(close=7.0), None, NOW, 0.0)
    with patch.object(contract_details, "read_single", return_value=quote):
        close = contract_details.previous_close(
            gateway, STOCK, NOW, Patience(1, 0), data_types=[1], by_history=True
        )
        assert asyncio.run(close) == PreviousClose(Decimal(7), None, "ticker")


def answering(**rows: Any) -> Any:
    """A connection that answers each kind of request with its rows."""

    async def bars(*_: Any, what: str = "TRADES", **__: Any) -> Any:
        return rows["adjusted" if what == "ADJUSTED_LAST" else "bars"], None

    def give(kind: str) -> Any:
        async def answer(*_: Any, **__: Any) -> Any:
            return rows[kind], None

        return answer

    return SimpleNamespace(
        details=give("details"),
        chains=give("chains"),
        bars=bars,
        use_data_type=lambda _: None,
    )


def fields(value: Any) -> dict[str, Any]:
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else {}


def holder(value: Any) -> SimpleNamespace:
    return SimpleNamespace(**fields(value))


GREEKS = st.none() | st.builds(
    SimpleNamespace,
    **dict.fromkeys(
        ("impliedVol", "delta", "optPrice", "pvDividend", "gamma", "vega", "theta", "undPrice"),
        st.floats() | st.none(),
    ),
)
TICKERS = st.builds(
    SimpleNamespace,
    time=st.none() | st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)),
    marketDataType=st.integers(),
    dividends=st.none()
    | st.builds(
        SimpleNamespace,
        past12Months=st.floats() | st.none(),
        next12Months=st.floats() | st.none(),
        nextDate=st.none() | TIMES,
        nextAmount=st.floats() | st.none(),
    ),
    **dict.fromkeys(
        (
            "bid",
            "ask",
            "last",
            "close",
            "bidSize",
            "askSize",
            "lastSize",
            "volume",
            "callOpenInterest",
            "putOpenInterest",
        ),
        st.floats(),
    ),
    **dict.fromkeys(("modelGreeks", "bidGreeks", "askGreeks"), GREEKS),
)


@given(TICKERS, TICKERS)
def test_ticks_of_a_gateway(ticker: Any, stock: Any) -> None:
    option, under = (Reading(t, None, NOW, 0.0) for t in (ticker, stock))
    quotes._make_quote(OPTION, 1, option, stock=under, stamp=lambda at: at)
