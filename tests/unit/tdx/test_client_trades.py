"""The client's routes of ticks: ranges, fall-back, pages, today."""

from datetime import date
from typing import Any

import httpx
import pytest
from fake_tdx import FETCHED_AT, Service, asked, failing, good, tick, upper

from loaders.engine.outcome import SourceGone
from loaders.tdx.client.answers import EmptyAnswer
from loaders.tdx.client.reply import WrongShape
from quotemill.errors import UpstreamError, UsageError

DAY = date(2019, 2, 1)
TODAY = FETCHED_AT.date()


def ticks(count: int, day: date = DAY) -> list[dict[str, Any]]:
    """Ticks whose price is their position, spread over the morning."""
    clocks = [f"{10 + i * 90 // 60 // count}:{i * 90 // count % 60:02}" for i in range(count)]
    return [tick(f"{day}T{clock}", i + 1) for i, clock in enumerate(clocks)]


def paged(rows: list[dict[str, Any]], whole: httpx.Response | None = None) -> Service:
    """A service whose whole-day route fails (or answers `whole`), and whose pages count back."""

    def answer(route: str, params: dict[str, str], _n: int) -> httpx.Response:
        if route == "minute-trade-all":
            return whole or failing("获取分时成交失败: EOF")
        stop = max(len(rows) - int(params["start"]) % 65_536, 0)
        page = rows[max(stop - int(params["count"]), 0) : stop]
        return good(upper(page or None))

    return Service(answer)


def test_a_range_is_sent_with_both_ends_and_never_with_today_included() -> None:
    data = {
        "code": "sh600000",
        "count": 0,
        "covered_dates": [],
        "limit": 0,
        "list": [],
        "start_date": "2019-02-01",
        "end_date": "2019-02-12",
        "truncated": False,
    }
    service = Service(lambda *_: good(data))
    last = date(2019, 2, 12)
    assert asked(service, lambda c: c.trades_of_days("sh600000", DAY, last)) == {}
    assert service.requests == [
        (
            "trade-history/full",
            {"code": "sh600000", "start_date": "20190201", "end_date": "20190212"},
        )
    ]


@pytest.mark.parametrize("last", [date(2019, 1, 31), date(2019, 3, 1)])
def test_a_range_that_the_service_would_swap_or_misread_is_never_sent(last: date) -> None:
    service = paged([])
    with pytest.raises(ValueError, match=f"{DAY} .* {last}"):
        asked(service, lambda c: c.trades_of_days("sh600000", DAY, last))
    assert not service.requests


@pytest.mark.parametrize("code", ["600000", "SH600000"])
def test_ticks_of_a_code_without_its_exchange_are_never_asked_for(code: str) -> None:
    service = paged([])
    for call in (
        lambda c: c.trades_of_days(code, DAY, DAY),
        lambda c: c.trades_of_day(code, DAY),
        lambda c: c.trades_of_today(code, TODAY),
    ):
        with pytest.raises(UsageError):
            asked(service, call)
    assert not service.requests


def test_a_day_comes_whole_from_one_route() -> None:
    service = Service(lambda *_: good(upper(ticks(10))))
    result = asked(service, lambda c: c.trades_of_day("sh600000", DAY))
    assert (len(result), result.source_route, result.fallback) == (10, "minute-trade-all", None)
    assert service.requests == [("minute-trade-all", {"code": "sh600000", "date": "20190201"})]


def test_a_day_that_ends_on_a_page_border_is_read_again() -> None:
    answers = {1: 2000, 2: 2600}
    service = Service(lambda _r, _p, n: good(upper(ticks(answers[n]))))
    assert len(asked(service, lambda c: c.trades_of_day("sh600000", DAY))) == 2600


@pytest.mark.parametrize("count", [1, 1999, 2000, 2001, 6000, 7345])
def test_pages_stand_in_for_the_whole_day_and_lose_no_tick(count: int) -> None:
    rows = ticks(count)
    service = paged(rows)
    result = asked(service, lambda c: c.trades_of_day("sh600000", DAY), retries=0)
    assert result.price == [row["Price"] for row in rows]
    assert result.source_route == "trade-history"
    assert result.fallback is not None
    assert "minute-trade-all → trade-history" in result.fallback
    assert "EOF" in result.fallback
    assert service.routes()["trade-history"] == count // 2000 + 1


@pytest.mark.parametrize(
    "whole",
    [
        good(upper(None)),
        good(upper(ticks(3)[::-1])),
        good({"Count": 3}),
        httpx.Response(200, content=b""),
    ],
    ids=["empty", "disorder", "wrong shape", "empty body"],
)
def test_a_whole_day_that_cannot_be_taken_falls_back_to_pages(whole: httpx.Response) -> None:
    result = asked(paged(ticks(50), whole), lambda c: c.trades_of_day("sh600000", DAY))
    assert (len(result), result.source_route) == (50, "trade-history")


def test_a_day_empty_on_both_routes_is_a_failure_where_ticks_are_due() -> None:
    service = paged([], good(upper(None)))
    with pytest.raises(EmptyAnswer, match="trade-history sh600000: "):
        asked(service, lambda c: c.trades_of_day("sh600000", DAY))
    empty = asked(service, lambda c: c.trades_of_day("sh600000", DAY, expect_rows=False))
    assert (len(empty), empty.source_route) == (0, "minute-trade-all")


def test_pages_never_start_where_the_service_would_wrap_around() -> None:
    service = paged(ticks(70_000))
    with pytest.raises(WrongShape, match="65535"):
        asked(service, lambda c: c.trades_of_day("sh600000", DAY), retries=0)
    starts = [int(p["start"]) for route, p in service.requests if route == "trade-history"]
    assert max(starts) == 64_000


def test_pages_that_do_not_join_in_time_are_refused() -> None:
    rows = ticks(4500)

    def answer(route: str, params: dict[str, str], _n: int) -> httpx.Response:
        if route == "minute-trade-all":
            return failing("EOF")
        if params["start"] == "4000":
            return good(upper(rows[2000:2500]))
        return good(upper(rows[2500:4500]))

    with pytest.raises(WrongShape, match=r"row [0-9]+ field Time"):
        asked(Service(answer), lambda c: c.trades_of_day("sh600000", DAY), retries=0)


def test_a_service_that_is_gone_is_not_asked_for_pages() -> None:
    def answer(*_: Any) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused")

    service = Service(answer)
    with pytest.raises(SourceGone):
        asked(service, lambda c: c.trades_of_day("sh600000", DAY), retries=0)
    assert service.routes()["trade-history"] == 0


def test_both_routes_failing_is_the_failure_of_the_last() -> None:
    service = Service(lambda *_: failing("获取历史分时成交失败: EOF"))
    with pytest.raises(UpstreamError, match="trade-history sh600000"):
        asked(service, lambda c: c.trades_of_day("sh600000", DAY), retries=0)


def test_ticks_of_today_are_asked_for_without_a_date_and_must_be_todays() -> None:
    service = Service(lambda *_: good(upper(ticks(5, TODAY))))
    assert len(asked(service, lambda c: c.trades_of_today("sh600000", TODAY))) == 5
    assert service.requests == [("minute-trade-all", {"code": "sh600000"})]
    yesterday = Service(lambda *_: good(upper(ticks(5))))
    with pytest.raises(WrongShape, match=r"2019-02-01 .* 2024-11-08"):
        asked(yesterday, lambda c: c.trades_of_today("sh600000", TODAY))


def test_no_trade_yet_today_is_no_failure() -> None:
    assert (
        len(
            asked(
                Service(lambda *_: good(upper(None))),
                lambda c: c.trades_of_today("sh600000", TODAY),
            )
        )
        == 0
    )
