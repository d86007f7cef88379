"""The synthetic futures market follows the rules of the real ones."""

from datetime import date, datetime
from itertools import pairwise

import pytest

from loaders.sandbox.faults import FaultPlan
from loaders.sandbox.tq.faults import CATALOGUE
from loaders.sandbox.tq.market import Market
from loaders.sandbox.tq.varieties import NS, nanoseconds
from loaders.sandbox.tq.world import World
from quotemill.errors import UsageError

# 1 October is a Wednesday; the eve of the holidays is Tuesday 30 September
HOLIDAYS = (date(2025, 10, 1), date(2025, 10, 2), date(2025, 10, 3))
MONDAY, EVE, AFTER = date(2025, 9, 29), date(2025, 9, 30), date(2025, 10, 6)


@pytest.fixture(scope="module")
def world() -> World:
    return World(
        first=date(2025, 9, 1), end=date(2025, 12, 12), ticks_per_day=80, holidays=HOLIDAYS
    )


def market(world: World, clock: datetime, *faults: str) -> Market:
    return Market(world, FaultPlan(CATALOGUE, faults), clock)


def test_the_same_arguments_give_the_same_market() -> None:
    day = date(2025, 9, 16)
    first, again, other = (
        World(["SHFE.cu"], end=date(2025, 9, 30), holidays=HOLIDAYS, seed=seed)
        for seed in (1, 1, 2)
    )
    code = str(first.main_on("SHFE.cu", day))
    assert first.day_ticks(code, day) == again.day_ticks(code, day)
    assert first.day_ticks(code, day) != other.day_ticks(code, day)


def test_a_market_is_quoted_to_its_close_however_few_its_ticks_are(world: World) -> None:
    for variety in world.varieties:
        code = str(world.main_on(variety, EVE))
        close = world.sessions(variety, EVE)[-1][1]
        stamps = [row["datetime"] for row in world.day_ticks(code, EVE)]
        assert stamps[-1] == close - NS // 2
        assert stamps == sorted(set(stamps))


def test_a_night_belongs_to_the_next_day_and_none_is_before_holidays(world: World) -> None:
    friday = date(2025, 9, 26)
    assert world.sessions("SHFE.cu", MONDAY)[0] == (
        nanoseconds(friday, "21:00:00"),
        nanoseconds(friday, "25:00:00"),
    )
    assert world.sessions("SHFE.au", EVE)[0] == (
        nanoseconds(MONDAY, "21:00:00"),
        nanoseconds(MONDAY, "26:30:00"),
    )
    assert world.sessions("SHFE.cu", AFTER)[0] == (
        nanoseconds(AFTER, "09:00:00"),
        nanoseconds(AFTER, "10:15:00"),
    )
    assert len(world.sessions("CFFEX.IF", MONDAY)) == 2


def test_every_tick_is_in_a_session_and_later_than_the_one_before(world: World) -> None:
    for variety in world.varieties:
        for day in (MONDAY, EVE, AFTER):
            code = str(world.main_on(variety, day))
            rows, sessions = world.day_ticks(code, day), world.sessions(variety, day)
            assert len(rows) == world.tick_count(code, day) == 80
            assert rows[0]["datetime"] == sessions[0][0]
            assert all(a["datetime"] < b["datetime"] for a, b in pairwise(rows))
            assert all(a["volume"] <= b["volume"] for a, b in pairwise(rows))
            for row in rows:
                assert any(start <= row["datetime"] < end for start, end in sessions)
                assert row["lowest"] <= row["last_price"] <= row["highest"]
            assert ("bid_price5" in rows[0]) == (variety.startswith("SHFE"))


def test_days_can_differ_in_ticks() -> None:
    thick = World(
        ["SHFE.cu"],
        end=date(2025, 9, 30),
        ticks_per_day={MONDAY: 500},
        default_ticks=9,
        holidays=HOLIDAYS,
    )
    code = str(thick.main_on("SHFE.cu", MONDAY))
    assert [thick.tick_count(code, day) for day in (date(2025, 9, 26), MONDAY)] == [9, 500]
    assert len(thick.day_ticks(code, MONDAY)) == 500
    crowded = World(["CFFEX.IF"], ticks_per_day=50_000, holidays=())
    with pytest.raises(UsageError, match="do not fit"):
        crowded.day_ticks(str(crowded.main_on("CFFEX.IF", EVE)), EVE)


def test_the_main_contract_follows_open_interest_forward_only(world: World) -> None:
    for variety in world.varieties:
        table = world.main_table(variety)
        in_60_days = [day for day, _ in table if date(2025, 9, 18) < day <= date(2025, 12, 12)]
        assert len(in_60_days) >= 2
        contracts = [world.contract(code) for _, code in table]
        assert all(a and b and a.expires < b.expires for a, b in pairwise(contracts))
        for day, code in table[1:]:
            eve = world.previous(day)
            chosen, left = world.contract(code), world.contract(str(world.main_on(variety, eve)))
            assert chosen
            assert left
            assert world.open_interest(chosen, eve) > world.open_interest(left, eve)
            assert chosen.trades_on(day)
    assert world.main_on("SHFE.cu", date(2025, 8, 29)) is None


def test_contracts_are_listed_and_expire(world: World) -> None:
    code = "CFFEX.IF2511"
    contract = world.contract(code)
    assert contract
    assert contract.expires == date(2025, 11, 21)  # third Friday
    assert world.tick_count(code, contract.expires) > 0
    assert world.tick_count(code, date(2025, 11, 24)) == 0
    early = market(world, datetime(2025, 9, 15, 18))
    listed = {c.code for c in early.contracts("SHFE.cu")}
    assert listed < {c.code for c in world.contracts("SHFE.cu")}
    assert early.contract("SHFE.cu2605") is None


def test_an_impossible_world_is_refused() -> None:
    with pytest.raises(UsageError, match=r"SHFE\.zz"):
        World(["SHFE.zz"], holidays=())
    with pytest.raises(UsageError, match="cannot end"):
        World(first=date(2025, 9, 1), end=date(2025, 8, 1), holidays=())
