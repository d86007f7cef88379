"""The client's routes of bars: what is sent, what is refused before it is sent, second looks."""

from datetime import date
from typing import Any

import httpx
import pytest
from fake_tdx import Service, asked, bar, days, failing, good, kline_data, minute_bar, upper

from loaders.engine.outcome import SourceGone
from loaders.requests.http import RetryableAnswer
from loaders.tdx.client.answers import EmptyAnswer, PermanentAnswer
from loaders.tdx.client.answers_intraday import labels
from loaders.tdx.client.client import TdxClient
from loaders.tdx.client.reply import WrongShape
from quotemill.errors import UsageError

DAY = date(2024, 11, 8)
MINUTES = [minute_bar(f"{DAY}T{label}") for label in labels("minute1")]
POINTS = [{"Time": label, "Price": 10_000, "Number": 7} for label in labels("minute1")]


def meta(rows: list[dict[str, Any]] | None, period: str, source: str = "tdx") -> dict[str, Any]:
    data = kline_data(rows)
    data["meta"] |= {"type": period, "source": source}
    return data


def always(data: Any) -> Service:
    return Service(lambda *_: data if isinstance(data, httpx.Response) else good(data))


@pytest.mark.parametrize(
    ("call", "route", "params", "data"),
    [
        (
            lambda c: c.kline_all("sh600000", period="week"),
            "kline-all",
            {"type": "week"},
            meta([bar(DAY)], "week"),
        ),
        (
            lambda c: c.index_all("sh000001", period="month", limit=12),
            "index/all",
            {"type": "month", "limit": "12"},
            {"count": 1, "list": [bar(DAY)]},
        ),
        (
            lambda c: c.intraday("sh600000", limit=240),
            "kline-history",
            {"type": "minute1", "limit": "240"},
            upper(MINUTES),
        ),
        (
            lambda c: c.intraday("sh600000", period="hour"),
            "kline-history",
            {"type": "hour", "limit": "800"},
            upper(MINUTES),
        ),
        (
            lambda c: c.intraday_all("sh600000", period="minute5"),
            "kline-all",
            {"type": "minute5"},
            meta(MINUTES, "minute5"),
        ),
        (
            lambda c: c.index_intraday("sh000001"),
            "index",
            {"type": "minute1", "limit": "800"},
            upper(MINUTES),
        ),
        (
            lambda c: c.index_intraday_all("sh000001"),
            "index/all",
            {"type": "minute1"},
            {"count": 240, "list": MINUTES},
        ),
        (
            lambda c: c.kline_adjusted("sh600000"),
            "kline-all/ths",
            {"type": "day"},
            meta([bar(DAY)], "day", "ths"),
        ),
        (
            lambda c: c.minute_points("sh600000", DAY),
            "minute",
            {"date": "20241108", "full_code": "sh600000", "trading_date": "20241108"},
            upper(POINTS, date="20241108"),
        ),
    ],
)
def test_each_series_is_asked_for_by_its_route_type_and_limit(
    call: Any, route: str, params: dict[str, str], data: Any
) -> None:
    service = always(data)
    result = asked(service, call)
    ((sent, with_params),) = service.requests
    assert sent == route == result.source_route
    assert {k: v for k, v in with_params.items() if k != "code"} == params
    assert len(result)


@pytest.mark.parametrize("period", ["minute1", "MINUTE1", "minute60", "1", "quarter", "", "Day"])
def test_a_period_that_the_service_would_take_for_days_is_never_sent(period: str) -> None:
    service = always(None)
    for call in (
        lambda c: c.kline_all("sh600000", period=period),
        lambda c: c.index_all("sh000001", period=period),
    ):
        with pytest.raises(ValueError, match=f"period .* day, .*, not {period!r}"):
            asked(service, call)
    if period != "minute1":
        with pytest.raises(ValueError, match=f"period .* minute1, minute5, .*, not {period!r}"):
            asked(service, lambda c: c.intraday("sh600000", period=period))
    assert not service.requests


@pytest.mark.parametrize("limit", [0, -1, 801])
def test_a_limit_that_the_service_would_silently_change_is_never_sent(limit: int) -> None:
    service = always(None)
    for call in (
        lambda c: c.intraday("sh600000", limit=limit),
        lambda c: c.index_intraday("sh000001", limit=limit),
        lambda c: c.index("sh000001", limit=limit),
    ):
        with pytest.raises(ValueError, match=f"limit .* 800, not {limit}"):
            asked(service, call)
    assert not service.requests


@pytest.mark.parametrize("code", ["sh000001", "sh000300", "sz399001", "bj899050"])
def test_an_index_is_never_asked_of_the_third_party_page(code: str) -> None:
    service = always(None)
    for call in (lambda c: c.kline_adjusted(code), lambda c: c.stock_info(code)):
        with pytest.raises(UsageError, match=code):
            asked(service, call)
    assert not service.requests


def test_adjusted_prices_below_zero_are_taken_and_another_source_is_not() -> None:
    below = bar(DAY, -1200, Low=-1300, High=-1100, Open=-1200, Amount=0)
    service = always(meta([below], "day", "ths"))
    assert asked(service, lambda c: c.kline_adjusted("sh600000")).close == [-1200]
    with pytest.raises(WrongShape, match=r"meta\.source: .* ths, .*'tdx'"):
        asked(always(meta([below], "day")), lambda c: c.kline_adjusted("sh600000"))


def long(count: int) -> list[dict[str, Any]]:
    return [minute_bar(f"{d}T{label}") for d in days(100) for label in labels("minute1")][-count:]


def test_a_minute_history_that_ends_on_a_page_border_is_read_again() -> None:
    answers = {1: 1600, 2: 2000}
    service = Service(lambda _r, _p, n: good(meta(long(answers[n]), "minute1")))
    assert len(asked(service, lambda c: c.intraday_all("sh600000"))) == 2000


@pytest.mark.parametrize(("rows", "limit"), [(24_000, None), (1_600, 1_600), (1_599, None)])
def test_all_there_can_be_or_all_that_was_asked_for_needs_no_second_look(
    rows: int, limit: int | None
) -> None:
    service = always(meta(long(rows), "minute1"))
    assert len(asked(service, lambda c: c.intraday_all("sh600000", limit=limit))) == rows
    assert len(service.requests) == 1


def test_an_empty_day_of_points_is_requested_again_where_points_are_due() -> None:
    service = always(upper(None, date="20241108"))
    with pytest.raises(EmptyAnswer, match="2024-11-08"):
        asked(service, lambda c: c.minute_points("sh600000", DAY))
    assert len(service.requests) == 4


def test_an_index_asked_for_as_a_stock_is_asked_once() -> None:
    service = Service(lambda *_: httpx.Response(200, content=b""))
    with pytest.raises(PermanentAnswer, match="sh000001: HTTP 200"):
        asked(service, lambda c: c.intraday_all("sh000001"))
    assert len(service.requests) == 1


def test_a_silent_third_party_page_is_no_evidence_against_the_server() -> None:
    service = Service(
        lambda route, *_: (
            failing("获取同花顺K线失败: 超时")
            if route == "kline-all/ths"
            else good(meta([bar(DAY)], "day"))
        )
    )

    async def many(client: TdxClient) -> int:
        for i in range(15):
            with pytest.raises(RetryableAnswer) as caught:
                await client.kline_adjusted(f"sh6{i:05}")
            assert not isinstance(caught.value, SourceGone)
        return len(await client.kline_all("sh600000"))

    assert asked(service, many, retries=0) == 1
