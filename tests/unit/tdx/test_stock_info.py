"""The parts of stock-info: a row for each that came, the missing ones named."""

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from loaders.engine.outcome import Outcome, records
from loaders.engine.window import Window
from loaders.landing.screening import screen
from loaders.requests.http import RetryableAnswer
from loaders.tdx.client.answers_intraday import MinutePoints
from loaders.tdx.client.answers_quotes import Quote, StockInfo
from loaders.tdx.datasets import stock_info
from loaders.tdx.settings import TdxSettings
from loaders.tdx.tables import STOCK_INFO
from quotemill.errors import UpstreamError
from tests.unit.tdx.fake_context import fake_context
from tests.unit.tdx.fake_tdx import bar, bars_of
from tests.unit.tdx.test_quotes import BEGAN, FRIDAY, quote

CODE = "sh510300"
THIRTY = bars_of([bar(date(2024, 11, 7), 4_000), bar(FRIDAY, 4_100)])


def minutes(*prices: int) -> MinutePoints:
    labels = [f"09:{31 + i}" for i in range(len(prices))]
    return MinutePoints(FRIDAY, labels, list(prices), [10] * len(prices), "stock-info", BEGAN)


def info(**parts: Any) -> StockInfo:
    result = {"quote": quote(CODE), "kline_day": THIRTY, "minute": minutes(10_100, 10_300, 10_200)}
    result |= parts
    faults = {name: "left out" for name, part in result.items() if part is None}
    return StockInfo(**result, faults=faults, fetched_at=BEGAN)


class Service:
    def __init__(self, answer: StockInfo | Exception, single: Quote | None = None) -> None:
        self.answer, self.single = answer, single

    async def stock_info(self, code: str) -> StockInfo:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def quote(self, codes: list[str]) -> list[Quote]:
        if self.single is None:
            raise UpstreamError("no quote")
        return [self.single]

    async def minute_points(self, code: str, day: date) -> MinutePoints:
        if self.single is None:
            raise UpstreamError("no minutes")
        return minutes(10_100)


def outcome(service: Service, *, code: str = CODE, kind: str = "stock") -> Outcome:
    window = Window(days=[FRIDAY], due=FRIDAY, overlap=10, closed=lambda day: False, today=FRIDAY)
    run = fake_context(
        client=service,
        settings=TdxSettings(),
        window=window,
        began=BEGAN,
        room=lambda: True,
        instrument_type=lambda code: kind,
    )

    (result,) = stock_info.fetch(run, [code])
    return result


def rows(result: Outcome) -> dict[str, dict[str, Any]]:
    return {row["part"]: row for row in screen(records([result]), STOCK_INFO).rows.to_pylist()}


def test_each_part_is_a_row() -> None:
    result = rows(outcome(Service(info())))

    assert set(result) == {"quote", "kline_day", "minute"}
    assert (result["quote"]["close"], result["quote"]["volume"]) == (10_200, 1235)
    days = result["kline_day"]
    assert (days["trade_date"], days["row_count"], days["close"]) == (FRIDAY, 2, 4_100)
    assert (days["previous_close"], days["amount_yuan"]) == (4_000, None)
    minute = result["minute"]
    assert (minute["open"], minute["high"], minute["low"], minute["close"]) == (
        10_100,
        10_300,
        10_100,
        10_200,
    )
    assert (minute["row_count"], minute["volume"]) == (3, 30)


@pytest.mark.parametrize("missing", ["quote", "kline_day", "minute"])
def test_a_part_that_is_missing_is_named_and_the_others_land(missing: str) -> None:
    result = outcome(Service(info(**{missing: None})))

    assert set(rows(result)) == {"quote", "kline_day", "minute"} - {missing}
    assert result.fallback == f"/api/stock-info without {missing}"
    assert result.failure is None


def test_an_answer_without_any_part_is_a_failure() -> None:
    result = outcome(Service(info(quote=None, kline_day=None, minute=None)))
    assert re.search("kline_day: .* minute: .* quote: ", result.failure or "")


def test_minutes_outside_a_session_are_a_row_without_prices() -> None:
    minute = rows(outcome(Service(info(minute=minutes()))))["minute"]
    assert (minute["row_count"], minute["open"], minute["volume"]) == (0, None, None)


def test_after_a_dropped_connection_quote_and_minutes_come_apart() -> None:
    broken = RetryableAnswer("the connection broke")

    result = outcome(Service(broken, single=quote(CODE)))

    assert set(rows(result)) == {"quote", "minute"}
    assert rows(result)["quote"]["source_route"] == "/api/quote"
    assert result.fallback == "/api/stock-info → /api/quote, /api/minute: RetryableAnswer"


def test_a_call_that_breaks_where_nothing_else_answers_is_a_failure() -> None:
    result = outcome(Service(RetryableAnswer("reset")))
    assert result.failure == "reset"


def test_the_minutes_of_a_fund_are_divided_by_ten_where_the_quote_says_so() -> None:
    tenfold = info(minute=minutes(101_000, 102_000))

    assert rows(outcome(Service(tenfold), kind="fund"))["minute"]["close"] == 10_200
    # a service that scales rightly, and a stock, are left alone
    assert rows(outcome(Service(info()), kind="fund"))["minute"]["close"] == 10_200
    assert rows(outcome(Service(tenfold), kind="stock"))["minute"]["close"] == 102_000


def test_a_quote_without_a_price_leaves_the_scale_to_the_last_adjusted_day() -> None:
    suspended = replace(quote(CODE), open=0, high=0, low=0, close=0)
    result = outcome(Service(info(quote=suspended, minute=minutes(4_050))), kind="fund")
    assert rows(result)["minute"]["close"] == 4_050


def test_an_index_is_never_asked_for() -> None:
    never = Service(AssertionError("asked"))
    assert "index" in (outcome(never, code="sh000001").skipped or "")
    assert "index" in (outcome(never, code="sh999999", kind="index").skipped or "")
