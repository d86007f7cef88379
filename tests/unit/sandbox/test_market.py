"""The synthetic market: whole, continuous, and the same every time."""

from datetime import date
from fractions import Fraction

import numpy as np
import pytest

from loaders.sandbox.world.actions import Action, actions_csv, events
from loaders.sandbox.world.bars import group_bars
from loaders.sandbox.world.intraday import group_minutes
from loaders.sandbox.world.market import SyntheticMarket
from quotemill.errors import UsageError


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(codes=40, days=300, seed=3)


def actions_by_code(market: SyntheticMarket) -> dict[str, list[Action]]:
    return {s.code: list(market.actions(s.code)) for s in market.securities}


def test_the_same_seed_makes_the_same_bytes() -> None:
    worlds = [SyntheticMarket(codes=12, days=60, seed=seed) for seed in (5, 5, 6)]
    bars = [
        [column.tobytes() for s in w.securities for column in w.day_bars(s.code).columns()]
        for w in worlds
    ]
    assert bars[0] == bars[1]
    assert bars[0] != bars[2]
    assert actions_csv(worlds[0].all_actions()) == actions_csv(worlds[1].all_actions())
    day = worlds[0].days[30]
    assert worlds[0].ticks("sz000001", day) == worlds[1].ticks("sz000001", day)


def test_a_code_does_not_depend_on_codes_made_before() -> None:
    first, second = (SyntheticMarket(codes=12, days=60) for _ in range(2))
    for security in first.securities:
        first.day_bars(security.code)
    assert first.day_bars("sh600000").stamps == second.day_bars("sh600000").stamps
    assert (first.day_bars("sh600000").close == second.day_bars("sh600000").close).all()


def test_stocks_move_in_whole_cents_and_funds_in_whole_thousandths(market: SyntheticMarket) -> None:
    third_decimals = 0
    for security in market.securities:
        b = market.day_bars(security.code)
        if security.decimals == 2:
            assert not any((column % 10).any() for column in (b.open, b.high, b.low, b.close))
        elif security.kind == "fund":
            third_decimals += int((b.close % 10 != 0).sum())
    assert third_decimals > 0


def test_the_first_bar_after_an_event_opens_near_the_theoretical_price(
    market: SyntheticMarket,
) -> None:
    checked = 0
    for code, actions in actions_by_code(market).items():
        bars = market.day_bars(code)
        for event in events(actions):
            after = next(i for i, s in enumerate(bars.stamps) if s[:10] >= str(event.ex_date))
            expected = event.ex_price(Fraction(int(bars.close[after - 1]), 1000))
            assert abs(int(bars.open[after]) / 1000 / float(expected) - 1) < 0.02
            checked += 1
    assert checked > 20


def test_without_an_event_no_open_is_far_from_the_close_before(market: SyntheticMarket) -> None:
    for code, actions in actions_by_code(market).items():
        bars = market.day_bars(code)
        events_at = {str(event.ex_date) for event in events(actions)}
        gaps = np.abs(bars.open[1:] / bars.close[:-1] - 1)
        far = {bars.day(i + 1) for i in np.nonzero(gaps > 0.02)[0]}
        # an event inside a suspension shows on the first day after it
        assert all(any(e <= day for e in events_at) for day in far)
        assert len(far) <= len(events_at)


def test_every_kind_of_event_happens(market: SyntheticMarket) -> None:
    actions = [a for rows in actions_by_code(market).values() for a in rows]
    assert any(a.cash and not a.bonus and not a.rights for a in actions)
    assert any(a.bonus and not a.cash and not a.rights for a in actions)
    assert any(a.rights and not a.cash for a in actions)
    assert any(a.rights and a.cash and a.bonus and a.transfer for a in actions)
    assert any(a.category == 11 and a.split_ratio and a.split_ratio > 1 for a in actions)
    assert any(a.category == 11 and a.split_ratio and a.split_ratio < 1 for a in actions)
    assert any(a.rights_price and not a.rights and not a.adjusts_price for a in actions)
    assert any(a.category == 5 for a in actions)
    days = [(a.code, a.ex_date) for a in actions]
    assert len(days) > len(set(days)), "two rows on one day"
    assert any(a.ex_date > market.end.date() for a in actions), "after the last day"
    assert any(market.day_bars(a.code).find(a.ex_date) is None for a in actions), "suspended"


def test_the_market_has_suspended_delisted_and_new_securities(market: SyntheticMarket) -> None:
    last = market.end.date().isoformat()

    def ends(code: str) -> str:
        bars = market.day_bars(code)
        return max(s[:10] for s in bars.stamps if s[:10] <= last)

    assert ends("sh600001") < last  # delisted
    assert ends("sh688001") < last  # suspended to the end
    assert market.day_bars("sz300001").day(0) > str(market.days[0])  # a new listing
    assert market.find("sz000001")
    assert market.find("sh000001")
    assert {s.exchange for s in market.securities} == {"sh", "sz", "bj"}
    assert sum(s.kind == "fund" for s in market.securities) >= 10
    assert sum(s.kind == "index" for s in market.securities) == 3


def test_the_days_are_those_of_shanghai(market: SyntheticMarket) -> None:
    assert date(2025, 6, 30) in market.days
    assert date(2025, 5, 1) not in market.days  # a holiday
    assert date(2025, 4, 27) not in market.days  # a Sunday worked instead of a holiday: no trading
    assert market.days == sorted(set(market.days))
    assert sum(day <= market.end.date() for day in market.days) == 300


def test_indices_hold_multiples_of_a_hundred_hands_and_the_breadth(market: SyntheticMarket) -> None:
    bars = market.day_bars("sh000001")
    assert len(bars) == len(market.days)
    assert not (bars.volume % 100).any()
    assert (bars.up + bars.down > 0).all()


def test_minutes_and_ticks_of_every_code_fit_their_day(market: SyntheticMarket) -> None:
    for security in market.securities:
        if security.kind == "index":
            continue
        bars = market.day_bars(security.code)
        for at in range(0, len(bars), 37):
            day = date.fromisoformat(bars.day(at))
            minutes, ticks = market.minutes(security.code, day), market.ticks(security.code, day)
            m = minutes
            assert (m.open[0], m.close[-1]) == (bars.open[at], bars.close[at])
            assert (m.high.max(), m.low.min()) == (bars.high[at], bars.low[at])
            assert m.amount.sum() == bars.amount[at]
            traded = m.volume > 0
            assert (m.amount[traded] >= 99 * m.low[traded] * m.volume[traded]).all()
            assert (m.amount <= 101 * m.high * (m.volume + 1)).all()
            lost = bars.volume[at] - m.volume.sum()
            odd = security.exchange == "bj" or security.digits.startswith("688")
            assert 0 <= lost < 240 if odd else lost == 0
            prices = [tick.price for tick in ticks]
            assert (prices[0], prices[-1]) == (bars.open[at], bars.close[at])
            assert (max(prices), min(prices)) == (bars.high[at], bars.low[at])
            assert sum(tick.volume for tick in ticks) == m.volume.sum()
            assert all(tick.volume > 0 for tick in ticks)


def test_longer_bars_start_over_after_lunch(market: SyntheticMarket) -> None:
    minutes = market.minutes("sz000001", market.days[10])
    assert [minutes.stamps[n][11:16] for n in (0, 119, 120, 239)] == [
        "09:31",
        "11:30",
        "13:01",
        "15:00",
    ]
    assert minutes.volume[-2] == 0  # 14:59, inside the closing auction
    hours = group_bars(minutes, group_minutes(minutes, 60))
    assert [stamp[11:16] for stamp in hours.stamps] == ["10:30", "11:30", "14:00", "15:00"]
    assert len(group_bars(minutes, group_minutes(minutes, 5))) == 48


def test_more_days_than_the_exchange_has_are_refused() -> None:
    with pytest.raises(UsageError, match="trading days"):
        SyntheticMarket(codes=1, days=9000)


def test_a_market_can_have_five_hundred_codes() -> None:
    market = SyntheticMarket(codes=500, days=60)
    assert len({s.code for s in market.securities if s.kind != "index"}) == 500 + 1  # a B share
