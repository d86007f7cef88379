"""Ticks of a day: scale, wholeness, which days are due, and what of an answer lands."""

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.engine.window import Window
from loaders.errors import UpstreamError
from loaders.tdx.bars.tick_days import (
    BrokenRule,
    DayBar,
    day_of,
    divisor,
    is_tenfold,
    is_whole,
    misfit,
    priced,
    rows_of,
    whole,
)
from loaders.tdx.bars.ticks_today import of_today
from loaders.tdx.context import Context
from loaders.tdx.datasets import tick_trade
from loaders.tdx.datasets.codes import Security
from loaders.tdx.datasets.tick_trade import Due, Stored, stretches
from loaders.tdx.service.answers_trades import Ticks
from loaders.tdx.settings import TdxSettings
from tests.unit.tdx.fake_context import fake_context

FRIDAY = date(2019, 2, 1)
MONDAY = date(2019, 2, 11)  # the trading day after: the new year's holidays lie between
LATER = datetime(2019, 2, 12, 8, 0, tzinfo=UTC)
BAR = DayBar(10_000, 11_000, 3_000)


def ticks(
    day: date = FRIDAY,
    price: int | list[int] = 10_500,
    volumes: tuple[int, ...] = (1_000, 1_000, 1_000),
    fetched_at: datetime = LATER,
    **changes: Any,
) -> Ticks:
    size = len(volumes)
    minutes = [f"{day}T{9 + (30 + i) // 60:02}:{(30 + i) % 60:02}:00" for i in range(size)]
    prices = price if isinstance(price, list) else [price] * size
    made = Ticks(
        minutes, prices, list(volumes), [0] * size, [0] * size, "trade-history/full", fetched_at
    )
    return replace(made, **changes)


def real_ticks(folder: Path, code: str) -> dict[date, Ticks]:
    rows: dict[date, list[dict[str, str]]] = defaultdict(list)
    with (folder / f"ticks_{code.upper()}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[date.fromisoformat(row["date"])].append(row)
    return {
        day: Ticks(
            [f"{day}T{r['minute']}:00" for r in found],
            [round(float(r["price_yuan"]) * 1000) for r in found],
            [int(r["volume_hands"]) for r in found],
            [int(r["side"]) for r in found],
            [0] * len(found),
            "minute-trade-all",
            LATER,
        )
        for day, found in rows.items()
    }


# -- real ticks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "bar"),
    [
        # of the day file, in li and hands
        (FRIDAY, DayBar(10_620, 10_820, 191_193)),
        (MONDAY, DayBar(10_620, 10_730, 202_165)),
    ],
)
def test_real_ticks_are_the_whole_of_their_real_day(
    real_tdx_data: Path, day: date, bar: DayBar
) -> None:
    found = day_of(day, real_ticks(real_tdx_data, "sh600000")[day])

    at_scale = priced(found, bar, tenfold=False)

    assert at_scale.hands == bar.volume
    assert is_whole("sh600000", at_scale.hands, len(at_scale), bar)
    assert whole(at_scale).is_final


def test_real_ticks_that_lost_their_newest_page_are_not_whole(real_tdx_data: Path) -> None:
    all_of_it = real_ticks(real_tdx_data, "sz000002")[FRIDAY]
    assert sum(all_of_it.volume) == 518_543  # as the real minutes of the day
    bar = DayBar(27_000, 28_200, 518_543)
    cut = Ticks(
        *(
            getattr(all_of_it, n)[:-2000]
            for n in ("stamps", "price", "volume", "side", "order_count")
        ),
        source_route="trade-history",
        fetched_at=LATER,
    )

    assert is_whole("sz000002", day_of(FRIDAY, all_of_it).hands, len(all_of_it), bar)
    assert not is_whole("sz000002", day_of(FRIDAY, cut).hands, len(cut), bar)


def test_rows_of_real_ticks_keep_order_price_and_minute(real_tdx_data: Path) -> None:
    days = real_ticks(real_tdx_data, "sh600000")
    found = [("sh600000", whole(day_of(day, answer))) for day, answer in days.items()]

    rows = rows_of(found)

    assert rows.num_rows == 6223
    first = rows.slice(0, 2).to_pylist()
    assert [r["ordinal"] for r in first] == [1, 2]
    assert first[0]["traded_at"] == datetime(2019, 2, 1, 1, 25, tzinfo=UTC)
    assert (first[0]["price"], first[0]["volume"], first[0]["side"]) == (10_820, 5368, 2)
    assert first[0]["source_route"] == "/api/minute-trade-all"
    monday = rows.slice(3083, 1).to_pylist()[0]
    assert (monday["trade_date"], monday["ordinal"]) == (MONDAY, 1)
    assert rows["is_final"].to_pylist() == [True] * 6223


# -- scale ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "instrument_type", "expected"),
    [
        ("sh600000", "stock", False),
        ("sh510300", "fund", True),
        ("sz160105", "fund", True),  # a LOF
        ("sh900901", "stock", True),  # B shares
        ("sz200002", "stock", True),
        ("bj920001", "stock", False),
    ],
)
def test_funds_and_b_shares_have_tenfold_tick_prices(
    code: str, instrument_type: str, expected: bool
) -> None:
    assert is_tenfold(code, instrument_type) is expected


def test_the_price_of_a_fund_is_divided_where_its_day_bar_says_so() -> None:
    found = day_of(FRIDAY, ticks(price=[41_250, 41_260, 41_240]))

    at_scale = priced(found, DayBar(4_120, 4_130, 300), tenfold=True)

    assert at_scale.price.tolist() == [4_125, 4_126, 4_124]


def test_a_fund_whose_prices_already_fit_is_left_alone() -> None:
    found = day_of(FRIDAY, ticks(price=4_125))
    assert priced(found, DayBar(4_120, 4_130, 300), tenfold=True).price[0] == 4_125


def test_a_stock_is_never_divided() -> None:
    found = day_of(FRIDAY, ticks(price=105_000))
    with pytest.raises(BrokenRule, match="between low and high of the day bar"):
        priced(found, BAR, tenfold=False)


def test_one_tick_outside_the_day_bar_refuses_the_day_even_after_the_division() -> None:
    found = day_of(FRIDAY, ticks(price=[41_250, 41_260, 51_240]))
    with pytest.raises(BrokenRule, match="ticks 41250 to 51240, bar 4120 to 4130"):
        priced(found, DayBar(4_120, 4_130, 300), tenfold=True)


def test_a_tenfold_price_that_ten_does_not_divide_is_refused() -> None:
    found = day_of(FRIDAY, ticks(price=41_255))
    with pytest.raises(BrokenRule, match="must be a multiple of 10"):
        priced(found, DayBar(4_120, 4_130, 300), tenfold=True)


def test_without_a_day_bar_the_class_of_the_code_decides() -> None:
    assert divisor(41_250, 41_260, None, tenfold=True) == 10
    assert divisor(10_500, 10_500, None, tenfold=False) == 1


def test_a_price_that_no_column_can_hold_is_refused() -> None:
    with pytest.raises(BrokenRule, match="32-bit"):
        day_of(FRIDAY, ticks(price=2**40))


# -- wholeness -----------------------------------------------------------------------------------


@pytest.mark.parametrize("hands", [1, 3, 4, 9, 16, 33, 64, 127, 128])
def test_small_volumes_of_day_bars_that_the_service_decodes_wrongly_still_fit(hands: int) -> None:
    shown = {1: 32768, 3: 4098, 4: 8194, 9: 264, 16: 2056, 33: 48, 64: 544}.get(hands, hands)
    assert misfit(hands, DayBar(1, 1, shown)) == 0


def test_every_minute_may_lose_a_hand_and_on_boards_of_single_shares_every_tick() -> None:
    found = day_of(FRIDAY, ticks(volumes=(9,) * 300))
    assert is_whole("sh600000", found.hands, len(found), DayBar(10_000, 11_000, 2_940))
    assert not is_whole("sh600000", found.hands, len(found), DayBar(10_000, 11_000, 3_050))
    assert is_whole("sh688001", found.hands, len(found), DayBar(10_000, 11_000, 3_050))
    assert is_whole("bj920001", found.hands, len(found), DayBar(10_000, 11_000, 3_050))


def test_more_hands_than_the_day_had_are_not_whole() -> None:
    found = day_of(FRIDAY, ticks(volumes=(9,) * 300))
    assert is_whole("sh600000", found.hands, len(found), DayBar(10_000, 11_000, 2_650))
    assert not is_whole("sh600000", found.hands, len(found), DayBar(10_000, 11_000, 2_600))


def test_a_day_is_final_only_if_it_was_fetched_on_a_later_day_of_the_exchange() -> None:
    # 15:59 UTC is 23:59 in Shanghai, and a minute later it is the next day there
    evening = datetime(2019, 2, 1, 15, 59, tzinfo=UTC)
    same = day_of(FRIDAY, ticks(fetched_at=evening))
    later = day_of(FRIDAY, ticks(fetched_at=evening + timedelta(minutes=1)))
    assert not whole(same).is_final
    assert whole(later).is_final


def test_equal_ticks_stay_apart_by_their_ordinal() -> None:
    rows = rows_of(
        [("sh600000", day_of(FRIDAY, ticks(volumes=(5, 5), stamps=[f"{FRIDAY}T09:31:00"] * 2)))]
    )
    assert rows["ordinal"].to_pylist() == [1, 2]
    assert rows["traded_at"].to_pylist()[0] == rows["traded_at"].to_pylist()[1]


# -- which days, and by which route --------------------------------------------------------------

DAYS = [FRIDAY - timedelta(days=7), *(FRIDAY - timedelta(days=i) for i in (4, 3, 2, 1, 0)), MONDAY]


def test_stretches_span_at_most_five_trading_days() -> None:
    due = [Due(day, BAR, None) for day in DAYS]
    assert [[d.day for d in group] for group in stretches(due, DAYS)] == [DAYS[:5], DAYS[5:]]


def test_stretches_do_not_cross_a_hole_of_the_calendar() -> None:
    far = date(2019, 4, 1)
    due = [Due(FRIDAY, BAR, None), Due(far, BAR, None)]
    assert len(stretches(due, [FRIDAY, far])) == 2


class Service:
    """A client that answers from what a test puts in; what it was asked for is kept."""

    def __init__(
        self,
        of_days: Mapping[date, Ticks] | Exception,
        of_day: Callable[[date], Ticks | Exception] = lambda day: UpstreamError("nothing"),
        of_today: Ticks | None = None,
    ) -> None:
        self.of_days, self.of_day, self.of_today = of_days, of_day, of_today
        self.asked: list[date | tuple[date, date]] = []

    async def trades_of_days(self, code: str, first: date, last: date) -> Mapping[date, Ticks]:
        self.asked.append((first, last))
        if isinstance(self.of_days, Exception):
            raise self.of_days
        return {day: found for day, found in self.of_days.items() if first <= day <= last}

    async def trades_of_day(self, code: str, day: date) -> Ticks:
        self.asked.append(day)
        found = self.of_day(day)
        if isinstance(found, Exception):
            raise found
        return found

    async def trades_of_today(self, code: str) -> Ticks:
        assert self.of_today is not None
        return self.of_today


def context(service: Service, asked: Any, *, mode: str = "incremental", **changes: Any) -> Context:
    window = Window(
        days=DAYS, due=MONDAY, overlap=10, closed=lambda day: False,
        today=changes.pop("today", date(2019, 2, 12)), **changes.pop("window", {}),
    )  # fmt: skip
    return fake_context(
        client=service,
        settings=TdxSettings(),
        window=window,
        mode=mode,
        began=changes.pop("began", LATER),
        ask=lambda query: asked,
        cursors=lambda name: {"sh600000": FRIDAY},
        room=lambda: True,
        instrument_type=lambda code: Security(code, code, "stock", "").instrument_type,
    )


def outcome(run: Context) -> Outcome:
    (found,) = tick_trade.fetch(run, ["sh600000"])
    return found


def landed(found: Outcome) -> dict[date, bool]:
    """Days that land, and whether as final."""
    return {day.day: day.is_final for day in found.rows.days} if found.rows else {}


def due(*days: date, stored: Stored | None = None) -> dict[str, list[Due]]:
    return {"sh600000": [Due(day, BAR, stored) for day in days]}


def test_days_that_come_whole_land_as_final_and_move_the_cursor() -> None:
    service = Service({day: ticks(day) for day in (FRIDAY, MONDAY)})

    found = outcome(context(service, due(FRIDAY, MONDAY)))

    assert landed(found) == {FRIDAY: True, MONDAY: True}
    assert (found.cursor, found.failure, found.fallback) == (MONDAY, None, None)
    assert service.asked == [(FRIDAY, MONDAY)]


def test_a_day_that_the_answer_does_not_cover_is_asked_for_by_itself() -> None:
    service = Service({MONDAY: ticks(MONDAY)}, lambda day: ticks(day))

    found = outcome(context(service, due(FRIDAY, MONDAY)))

    assert landed(found) == {FRIDAY: True, MONDAY: True}
    assert service.asked == [(FRIDAY, MONDAY), FRIDAY]
    assert found.fallback == "/api/trade-history/full → /api/minute-trade-all: days are missing"


def test_days_that_fail_are_named_and_the_others_land() -> None:
    def alone(day: date) -> Ticks | Exception:
        return UpstreamError("silence") if day == FRIDAY else ticks(day)

    found = outcome(context(Service(UpstreamError("down"), alone), due(FRIDAY, MONDAY)))

    assert landed(found) == {MONDAY: True}
    assert found.failure == "1 of 2 days: 2019-02-01 (2019-02-01: silence)"
    assert found.cursor == MONDAY


def test_a_service_that_is_gone_keeps_what_came_before() -> None:
    gone = SourceGone("gone")
    days = [DAYS[0], FRIDAY, MONDAY]
    service = Service({DAYS[0]: ticks(DAYS[0])}, lambda day: gone)

    found = outcome(context(service, due(*days)))

    assert landed(found) == {DAYS[0]: True}
    assert found.gone is gone
    assert found.failure == "gone"


def test_ticks_outside_the_day_bar_by_both_routes_refuse_the_day_with_the_rule() -> None:
    wrong = ticks(FRIDAY, price=20_000)

    found = outcome(context(Service({FRIDAY: wrong}, lambda day: wrong), due(FRIDAY)))

    assert landed(found) == {}
    assert "every tick must lie between" in (found.failure or "")
    (refused,) = found.rejected
    assert refused.row_key == "sh600000 2019-02-01"
    assert refused.rule == "every tick must lie between low and high of the day bar"


@pytest.mark.parametrize("volumes", [(1_000, 1_000), (1_000,) * 6], ids=["short", "a page twice"])
def test_a_day_that_misses_the_volume_of_its_bar_lands_provisional_and_is_a_failure(
    volumes: tuple[int, ...],
) -> None:
    wrong = ticks(FRIDAY, volumes=volumes)

    found = outcome(context(Service({FRIDAY: wrong}, lambda day: wrong), due(FRIDAY)))

    assert landed(found) == {FRIDAY: False}
    assert found.cursor is None
    assert f"{sum(volumes):,} hands of ticks, but 3,000 of the day bar" in (found.failure or "")


def test_a_short_day_never_lands_over_a_fuller_one() -> None:
    short = ticks(FRIDAY, volumes=(1_000, 500))
    stored = Stored(2_500, 3, FRIDAY)

    found = outcome(context(Service({}, lambda day: short), due(FRIDAY, stored=stored)))

    assert landed(found) == {}
    assert "nothing was overwritten" in (found.failure or "")


def test_of_two_answers_that_are_not_whole_the_fuller_one_stands_in() -> None:
    service = Service({FRIDAY: ticks(volumes=(1_000, 1_000))}, lambda day: ticks(volumes=(1_000,)))

    found = outcome(context(service, due(FRIDAY)))

    assert [day.hands for day in found.rows.days] == [2_000]


def test_a_day_that_comes_alike_on_two_days_is_all_that_the_service_has() -> None:
    short = ticks(FRIDAY, volumes=(1_000, 500))
    yesterday = Stored(1_500, 3, MONDAY)

    found = outcome(context(Service({}, lambda day: short), due(FRIDAY, stored=yesterday)))
    again = outcome(
        context(Service({}, lambda day: short), due(FRIDAY, stored=Stored(1_500, 3, LATER.date())))
    )

    assert (landed(found), found.failure) == ({FRIDAY: True}, None)
    # the same day's second try proves nothing
    assert landed(again) == {}


@pytest.mark.parametrize(("hands", "asked"), [(3_000, False), (1_500, True)])
def test_the_current_day_is_asked_for_again_until_it_is_whole(hands: int, asked: bool) -> None:
    evening = datetime(2019, 2, 11, 9, 0, tzinfo=UTC)
    service = Service({}, of_today=ticks(MONDAY, fetched_at=evening))
    stored = Stored(hands, 3, MONDAY)

    found = outcome(context(service, due(MONDAY, stored=stored), today=MONDAY, began=evening))

    assert landed(found) == ({MONDAY: False} if asked else {})
    assert (found.skipped == NOT_DUE) is not asked


def test_a_code_of_which_nothing_is_due_costs_no_request() -> None:
    service = Service({})
    assert outcome(context(service, {})).skipped == NOT_DUE
    assert service.asked == []


# -- the running day -----------------------------------------------------------------------------

MORNING = datetime(2019, 2, 11, 1, 45, tzinfo=UTC)  # 09:45 in Shanghai


def realtime(answer: Ticks, stored: int = 0, *, began: datetime = MORNING) -> Outcome:
    bars = ({"sh600000": BAR}, {"sh600000": stored} if stored else {})
    service = Service({}, of_today=answer)
    return outcome(context(service, bars, mode="realtime", began=began, today=MONDAY))


def test_ticks_of_the_running_day_land_as_provisional() -> None:
    found = realtime(ticks(MONDAY, fetched_at=MORNING, volumes=(100, 80)))

    assert landed(found) == {MONDAY: False}
    assert found.cursor is None


def test_fewer_ticks_than_are_stored_of_the_running_day_are_a_failure() -> None:
    found = realtime(ticks(MONDAY, fetched_at=MORNING, volumes=(100, 80)), stored=200)

    assert landed(found) == {}
    assert "180 hands of ticks, but 200 are stored" in (found.failure or "")


def test_before_the_opening_auction_nothing_is_asked_for() -> None:
    early = datetime(2019, 2, 11, 1, 24, tzinfo=UTC)
    assert realtime(ticks(MONDAY), began=early).skipped == NOT_DUE


def test_ticks_of_the_last_session_are_not_taken_for_todays() -> None:
    # all of yesterday's hands, stamped with today, long before today's close
    future = replace(ticks(MONDAY, fetched_at=MORNING), stamps=[f"{MONDAY}T15:00:00"] * 3)
    with pytest.raises(BrokenRule, match="future"):
        of_today(MONDAY, future, BAR, tenfold=False)
    evening = datetime(2019, 2, 11, 7, 30, tzinfo=UTC)
    with pytest.raises(BrokenRule, match="last session"):
        of_today(MONDAY, replace(future, fetched_at=evening), BAR, tenfold=False)


def test_todays_fund_is_scaled_by_the_bar_of_the_day_before() -> None:
    before = DayBar(4_100, 4_200, 1)
    tenfold = ticks(MONDAY, price=43_000, fetched_at=MORNING, volumes=(2,))
    right = ticks(MONDAY, price=4_300, fetched_at=MORNING, volumes=(2,))
    assert of_today(MONDAY, tenfold, before, tenfold=True).price[0] == 4_300
    assert of_today(MONDAY, right, before, tenfold=True).price[0] == 4_300
    assert of_today(MONDAY, tenfold, None, tenfold=True).price[0] == 4_300


def test_columns_of_a_day_are_narrow() -> None:
    found = day_of(FRIDAY, ticks())
    assert found.minute.dtype == np.int16
    assert found.price.dtype == found.volume.dtype == np.int32
