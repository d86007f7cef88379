"""Of arbitrary messages of IB, of its socket and of the library: a result or an error of ours."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.ib.client import contract_details, quotes
from loaders.ib.client.ib_client import Connection, Line
from loaders.ib.client.library_answers import make_bar, make_chain, make_details
from loaders.ib.client.ticker import Reading
from loaders.ib.client.values import Candidate, OptionContract
from tests.integration.foreign_bytes.arbitrary import (
    TEXTS,
    altered,
)

NOW = datetime(2025, 7, 1, 9, tzinfo=UTC)
LAST = date(2025, 6, 30)


def connection() -> Connection:
    return Connection(lambda *_: None, 40, 0.0)


@settings(max_examples=200)
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


@given(altered(CONTRACT), altered(DETAILS), altered(CHAIN), altered(BAR), TIMES)
def test_answers_of_a_gateway(
    contract: Any, details: Any, chain: Any, bar: Any, at: datetime | date
) -> None:
    row = SimpleNamespace(contract=holder(contract), **fields(details))
    made: list[tuple[Callable[[Any], Any], Any]] = [
        (make_details, row),
        (make_chain, holder(chain)),
        (make_bar, holder(bar)),
        (make_bar, holder(BAR | {"date": at})),
    ]
    asyncio.set_event_loop(asyncio.new_event_loop())
    for make, answer in made:
        gateway = connection()

        async def once(*_: Any, answer: Any = answer) -> Any:
            return [answer], None

        gateway._answer_once = once  # type: ignore[method-assign]
        rows, failure = asyncio.run(gateway._answer(lambda _: None, 1, "contracts", make))
        assert len(rows) == 1 or failure is not None
        if make is make_details and rows:

            async def same(*_: Any, rows: Any = rows, **__: Any) -> Any:
                return rows, None

            gateway.details = same  # type: ignore[method-assign]
            asyncio.run(contract_details._look_up(gateway, CANDIDATE, 1))


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
OPTION = OptionContract(1, "x", "AAPL", 2, "AAPL", LAST, Decimal(1), "C", Decimal(100))


@given(TICKERS, TICKERS)
def test_ticks_of_a_gateway(ticker: Any, stock: Any) -> None:
    option, under = (
        Reading(Line(None, t, lambda: None).tick(), None, NOW, 0.0)  # type: ignore[arg-type]
        for t in (ticker, stock)
    )
    quotes._make_quote(OPTION, 1, option, stock=under, stamp=lambda at: at)
