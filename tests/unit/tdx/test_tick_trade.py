"""Ticks of days: which are due, by which route they come, and what of an answer lands."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.engine.window import Window
from loaders.tdx.bars.tick_days import (
    BrokenRule,
    DayBar,
)
from loaders.tdx.client.answers_trades import Ticks
from loaders.tdx.context import Context, Security
from loaders.tdx.datasets import tick_trade
from loaders.tdx.datasets.tick_trade import Due, Stored, group_days
from loaders.tdx.fetching.ticks_today import check_today
from loaders.tdx.settings import TdxSettings
from quotemill.errors import UpstreamError
from tests.unit.tdx.fake_context import fake_context
from tests.unit.tdx.fake_ticks import BAR, FRIDAY, LATER, MONDAY, ticks

DAYS = [FRIDAY - timedelta(days=7), *(FRIDAY - timedelta(days=i) for i in (4, 3, 2, 1, 0)), MONDAY]


def test_stretches_span_at_most_five_trading_days() -> None:
    due = [Due(day, BAR, None) for day in DAYS]
    assert [[d.day for d in group] for group in group_days(due, DAYS)] == [DAYS[:5], DAYS[5:]]


def test_stretches_do_not_cross_a_hole_of_the_calendar() -> None:
    far = date(2019, 4, 1)
    due = [Due(FRIDAY, BAR, None), Due(far, BAR, None)]
    assert len(group_days(due, [FRIDAY, far])) == 2


class Service:
    """A client that answers from what a test puts in; what it was asked for is kept."""

    def __init__(
        self,
        days: Mapping[date, Ticks] | Exception,
        day: Callable[[date], Ticks | Exception] = lambda day: UpstreamError("nothing"),
        today: Ticks | None = None,
    ) -> None:
        self.days, self.day, self.today = days, day, today
        self.asked: list[date | tuple[date, date]] = []

    async def trades_of_days(self, code: str, first: date, last: date) -> Mapping[date, Ticks]:
        self.asked.append((first, last))
        if isinstance(self.days, Exception):
            raise self.days
        return {day: result for day, result in self.days.items() if first <= day <= last}

    async def trades_of_day(self, code: str, day: date) -> Ticks:
        self.asked.append(day)
        result = self.day(day)
        if isinstance(result, Exception):
            raise result
        return result

    async def trades_of_today(self, code: str, day: date) -> Ticks:
        assert self.today is not None
        return self.today


def context(service: Service, asked: Any, *, mode: str = "incremental", **changes: Any) -> Context:
    window = Window(
        days=DAYS,
        due=MONDAY,
        overlap=10,
        closed=lambda day: False,
        today=changes.pop("today", date(2019, 2, 12)),
        **changes.pop("window", {}),
    )
    return fake_context(
        client=service,
        settings=TdxSettings(),
        window=window,
        service_day=window.today,
        mode=mode,
        began=changes.pop("began", LATER),
        ask=lambda query: asked,
        cursors=lambda name: {"sh600000": FRIDAY},
        room=lambda: True,
        instrument_type=lambda code: Security(code, code, "stock", "").instrument_type,
    )


def outcome(run: Context) -> Outcome:
    (result,) = tick_trade.fetch(run, ["sh600000"])
    return result


def landed(result: Outcome) -> dict[date, bool]:
    """Days that land, and whether as final."""
    return {day.day: day.is_final for day in result.rows.days} if result.rows else {}


def due(*days: date, stored: Stored | None = None) -> dict[str, list[Due]]:
    return {"sh600000": [Due(day, BAR, stored) for day in days]}


def test_days_that_come_whole_land_as_final_and_move_the_cursor() -> None:
    service = Service({day: ticks(day) for day in (FRIDAY, MONDAY)})

    result = outcome(context(service, due(FRIDAY, MONDAY)))

    assert landed(result) == {FRIDAY: True, MONDAY: True}
    assert (result.cursor, result.failure, result.fallback) == (MONDAY, None, None)
    assert service.asked == [(FRIDAY, MONDAY)]


def test_a_day_that_the_answer_does_not_cover_is_asked_for_by_itself() -> None:
    service = Service({MONDAY: ticks(MONDAY)}, lambda day: ticks(day))

    result = outcome(context(service, due(FRIDAY, MONDAY)))

    assert landed(result) == {FRIDAY: True, MONDAY: True}
    assert service.asked == [(FRIDAY, MONDAY), FRIDAY]
    assert "/api/trade-history/full → /api/minute-trade-all: " in str(result.fallback)


def test_days_that_fail_are_named_and_the_others_land() -> None:
    def alone(day: date) -> Ticks | Exception:
        return UpstreamError("silence") if day == FRIDAY else ticks(day)

    result = outcome(context(Service(UpstreamError("down"), alone), due(FRIDAY, MONDAY)))

    assert landed(result) == {MONDAY: True}
    assert result.failure == "1 of 2 days: 2019-02-01 (2019-02-01: silence)"
    assert result.cursor == MONDAY


def test_a_traded_day_that_comes_without_volume_is_a_failure() -> None:
    empty = ticks(MONDAY, volumes=(0, 0))
    service = Service({FRIDAY: ticks(FRIDAY), MONDAY: empty}, lambda _: empty)
    result = outcome(context(service, due(FRIDAY, MONDAY)))
    assert landed(result) == {FRIDAY: True}
    assert result.failure is not None
    assert "without any traded share" in result.failure


def test_a_service_that_is_gone_keeps_what_came_before() -> None:
    gone = SourceGone("gone")
    days = [DAYS[0], FRIDAY, MONDAY]
    service = Service({DAYS[0]: ticks(DAYS[0])}, lambda day: gone)

    result = outcome(context(service, due(*days)))

    assert landed(result) == {DAYS[0]: True}
    assert result.gone is gone
    assert result.failure == "gone"


def test_ticks_outside_the_day_bar_on_both_routes_refuse_the_day() -> None:
    wrong = ticks(FRIDAY, price=20_000)

    result = outcome(context(Service({FRIDAY: wrong}, lambda day: wrong), due(FRIDAY)))

    assert landed(result) == {}
    (refused,) = result.rejected
    assert (refused.row_key, refused.field) == ("sh600000 2019-02-01", "price")
    assert refused.rule in (result.failure or "")


@pytest.mark.parametrize("volumes", [(1_000, 1_000), (1_000,) * 6], ids=["short", "a page twice"])
def test_a_day_that_lacks_volume_lands_provisional_and_is_a_failure(
    volumes: tuple[int, ...],
) -> None:
    wrong = ticks(FRIDAY, volumes=volumes)

    result = outcome(context(Service({FRIDAY: wrong}, lambda day: wrong), due(FRIDAY)))

    assert landed(result) == {FRIDAY: False}
    assert result.cursor is None
    assert re.search(f"{sum(volumes):,} .* 3,000 ", result.failure or "")


def test_a_short_day_never_lands_over_a_fuller_one() -> None:
    short = ticks(FRIDAY, volumes=(1_000, 500))
    stored = Stored(2_500, 3, FRIDAY)

    result = outcome(context(Service({}, lambda day: short), due(FRIDAY, stored=stored)))

    assert landed(result) == {}
    assert "1,500" in (result.failure or "")


def test_of_two_answers_that_are_not_whole_the_fuller_one_stands_in() -> None:
    service = Service({FRIDAY: ticks(volumes=(1_000, 1_000))}, lambda day: ticks(volumes=(1_000,)))

    result = outcome(context(service, due(FRIDAY)))

    assert [day.hands for day in result.rows.days] == [2_000]


def test_a_day_that_comes_alike_on_two_days_is_all_that_the_service_has() -> None:
    short = ticks(FRIDAY, volumes=(1_000, 500))
    yesterday = Stored(1_500, 3, MONDAY)

    result = outcome(context(Service({}, lambda day: short), due(FRIDAY, stored=yesterday)))
    again = outcome(
        context(Service({}, lambda day: short), due(FRIDAY, stored=Stored(1_500, 3, LATER.date())))
    )

    assert (landed(result), result.failure) == ({FRIDAY: True}, None)
    # the same day's second try proves nothing
    assert landed(again) == {}


@pytest.mark.parametrize(("hands", "asked"), [(3_000, False), (1_500, True)])
def test_the_current_day_is_asked_for_again_until_it_is_whole(hands: int, asked: bool) -> None:
    evening = datetime(2019, 2, 11, 9, 0, tzinfo=UTC)
    service = Service({}, today=ticks(MONDAY, fetched_at=evening))
    stored = Stored(hands, 3, MONDAY)

    result = outcome(context(service, due(MONDAY, stored=stored), today=MONDAY, began=evening))

    assert landed(result) == ({MONDAY: False} if asked else {})
    assert (result.skipped == NOT_DUE) is not asked


def test_a_code_of_which_nothing_is_due_costs_no_request() -> None:
    service = Service({})
    assert outcome(context(service, {})).skipped == NOT_DUE
    assert service.asked == []


MORNING = datetime(2019, 2, 11, 1, 45, tzinfo=UTC)  # 09:45 in Shanghai


def realtime(answer: Ticks, stored: int = 0, *, began: datetime = MORNING) -> Outcome:
    bars = ({"sh600000": BAR}, {"sh600000": stored} if stored else {})
    service = Service({}, today=answer)
    return outcome(context(service, bars, mode="realtime", began=began, today=MONDAY))


def test_fewer_ticks_than_are_stored_of_the_running_day_are_a_failure() -> None:
    result = realtime(ticks(MONDAY, fetched_at=MORNING, volumes=(100, 80)), stored=200)

    assert landed(result) == {}
    assert re.match("180 .* 200 ", result.failure or "")


def test_ticks_without_volume_of_a_stock_suspended_today_do_not_land() -> None:
    result = realtime(ticks(MONDAY, fetched_at=MORNING, volumes=(0, 0)))
    assert (landed(result), result.failure, result.rejected) == ({}, None, ())


def test_before_the_opening_auction_nothing_is_asked_for() -> None:
    early = datetime(2019, 2, 11, 1, 24, tzinfo=UTC)
    assert realtime(ticks(MONDAY), began=early).skipped == NOT_DUE


def test_ticks_of_the_last_session_are_not_taken_for_todays() -> None:
    # all of yesterday's hands, stamped with today, long before today's close
    future = replace(ticks(MONDAY, fetched_at=MORNING), stamps=[f"{MONDAY}T15:00:00"] * 3)
    with pytest.raises(BrokenRule, match="future"):
        check_today(MONDAY, future, BAR, tenfold=False)
    evening = datetime(2019, 2, 11, 7, 30, tzinfo=UTC)
    with pytest.raises(BrokenRule, match="today"):
        check_today(MONDAY, replace(future, fetched_at=evening), BAR, tenfold=False)


def test_todays_fund_is_scaled_by_the_bar_of_the_day_before() -> None:
    before = DayBar(4_100, 4_200, 1)
    tenfold = ticks(MONDAY, price=43_000, fetched_at=MORNING, volumes=(2,))
    right = ticks(MONDAY, price=4_300, fetched_at=MORNING, volumes=(2,))
    assert check_today(MONDAY, tenfold, before, tenfold=True).price[0] == 4_300
    assert check_today(MONDAY, right, before, tenfold=True).price[0] == 4_300
    assert check_today(MONDAY, tenfold, None, tenfold=True).price[0] == 4_300
