"""Day bars whose second request fails, and dividends that do not come."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.ib.client import daily_bars
from loaders.ib.client.error_codes import GATEWAY_GONE, NO_ANSWER, NO_PERMISSION, PACING, PARTIAL
from loaders.ib.client.ticker import Patience, Reading
from loaders.ib.client.values import Failure, Underlying
from loaders.ib.errors import (
    GatewayGone,
    GatewayTimeout,
    NotPermitted,
    PacingViolation,
    RequestFailed,
)

STOCK = Underlying("AAPL", 265598, "NASDAQ")
BAR = SimpleNamespace(
    date=date(2026, 11, 19), open=100.0, high=102.0, low=99.0, close=101.0, volume=5.0
)
PATIENCE = Patience(1, 1)


class Connection:
    """Has the bars, but not those adjusted for dividends."""

    async def bars(self, *_: object, what: str, **__: object) -> tuple[list[Any], Failure | None]:
        if what == "ADJUSTED_LAST":
            return [], Failure(NO_ANSWER, None, "nothing came")
        return [BAR], None


def test_bars_outlive_a_failure_of_the_adjusted_ones() -> None:
    connection: Any = Connection()
    [bar], error = asyncio.run(daily_bars.read_bars(connection, STOCK, 1))
    assert (bar.close, bar.adjusted_close) == (Decimal(101), None)
    assert isinstance(error, GatewayTimeout)
    assert "AAPL" in str(error)


@pytest.mark.parametrize("lacking", ["TRADES", "ADJUSTED_LAST"])
def test_an_end_without_a_bar_is_a_failure_with_a_name(lacking: str) -> None:
    async def bars(*_: object, what: str, **__: object) -> tuple[list[Any], Failure | None]:
        return ([] if what == lacking else [BAR]), None

    connection: Any = SimpleNamespace(bars=bars)
    reading = daily_bars.read_bars(connection, STOCK, 1)
    if lacking == "TRADES":
        with pytest.raises(RequestFailed, match="AAPL"):
            asyncio.run(reading)
    else:
        [bar], error = asyncio.run(reading)
        assert bar.adjusted_close is None
        assert isinstance(error, RequestFailed)


def test_an_index_has_no_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BAR, "volume", 0)
    connection: Any = Connection()
    index = Underlying("SPX", 416904, "CBOE", sec_type="IND")
    for underlying, volume in ((index, None), (STOCK, 0)):
        [bar], _ = asyncio.run(daily_bars.read_bars(connection, underlying, 1))
        assert bar.volume == volume


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (GATEWAY_GONE, GatewayGone),
        (PACING, PacingViolation),
        (NO_PERMISSION, NotPermitted),
        (NO_ANSWER, GatewayTimeout),
        (PARTIAL, None),
        (None, None),
    ],
)
def test_dividends_that_fail_are_not_none(
    failure: str | None, error: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = Failure(failure, None, "timeout") if failure else None

    async def read_single(*_: object, **__: object) -> Reading:
        return Reading(SimpleNamespace(dividends=None), why, datetime.now(UTC), 0.1)

    monkeypatch.setattr(daily_bars, "read_single", read_single)
    connection: Any = None
    if error is None:
        assert asyncio.run(daily_bars.read_dividends(connection, STOCK, PATIENCE)) is None
    else:
        with pytest.raises(error, match="AAPL: timeout"):
            asyncio.run(daily_bars.read_dividends(connection, STOCK, PATIENCE))
