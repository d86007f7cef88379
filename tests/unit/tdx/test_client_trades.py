"""The client's routes of ticks: ranges, days, today."""

from datetime import date
from typing import Any

import pytest
from fake_tdx import FETCHED_AT, Service, asked, good, tick, upper

from loaders.tdx.client.answers import EmptyAnswer
from loaders.tdx.client.reply import WrongShape
from quotemill.errors import UsageError

DAY = date(2019, 2, 1)
TODAY = FETCHED_AT.date()


def ticks(count: int, day: date = DAY) -> list[dict[str, Any]]:
    """Ticks whose price is their position, spread over the morning."""
    clocks = [f"{10 + i * 90 // 60 // count}:{i * 90 // count % 60:02}" for i in range(count)]
    return [tick(f"{day}T{clock}", i + 1) for i, clock in enumerate(clocks)]


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
    service = Service(lambda *_: good(upper(None)))
    with pytest.raises(ValueError, match=f"{DAY} .* {last}"):
        asked(service, lambda c: c.trades_of_days("sh600000", DAY, last))
    assert not service.requests


@pytest.mark.parametrize("code", ["600000", "SH600000"])
def test_ticks_of_a_code_without_its_exchange_are_never_asked_for(code: str) -> None:
    service = Service(lambda *_: good(upper(None)))
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
    assert (len(result), result.source_route) == (10, "minute-trade-all")
    assert service.requests == [("minute-trade-all", {"code": "sh600000", "date": "20190201"})]


def test_a_day_that_ends_on_a_page_border_is_read_again() -> None:
    answers = {1: 2000, 2: 2600}
    service = Service(lambda _r, _p, n: good(upper(ticks(answers[n]))))
    assert len(asked(service, lambda c: c.trades_of_day("sh600000", DAY))) == 2600


def test_an_empty_day_is_a_failure_where_ticks_are_due() -> None:
    service = Service(lambda *_: good(upper(None)))
    with pytest.raises(EmptyAnswer, match="minute-trade-all sh600000: "):
        asked(service, lambda c: c.trades_of_day("sh600000", DAY))
    empty = asked(service, lambda c: c.trades_of_day("sh600000", DAY, expect_rows=False))
    assert (len(empty), empty.source_route) == (0, "minute-trade-all")


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
