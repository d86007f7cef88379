"""What the real client brings back is what the sandbox's world holds."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders.sandbox.tq.world import World
from loaders.tq.client.answers import MainEvents
from loaders.tq.client.harvest import Harvest
from loaders.tq.errors import UnknownSymbol
from tests.integration.tq_service.conftest import day_range

if TYPE_CHECKING:
    from loaders.sandbox.tq.service import TqSandbox

LAST = date(2025, 12, 12)


def days_of(world: World, first: date, last: date) -> list[date]:
    return [day for day in world.days if first <= day <= last]


def contract_by_day(world: World, answer: MainEvents, days: list[date]) -> dict[date, str | None]:
    """The contract of each day; an event holds from its trading day on.

    After 18:00 that is the next day, weekends and holidays left out.
    """
    starts = []
    for clock, contract in answer.events:
        day = (clock + timedelta(hours=8 + 6)).date()
        starts.append((next(d for d in world.calendar if d >= day), contract))
    return {day: [c for start, c in starts if start <= day][-1] for day in days}


def test_trading_days_leave_out_weekends_and_holidays(harvest: Harvest, world: World) -> None:
    answer = harvest.calendar(date(2025, 9, 25), date(2025, 11, 30))
    assert answer == [d for d in world.calendar if date(2025, 9, 25) <= d <= date(2025, 11, 30)]
    assert date(2025, 10, 1) not in answer
    assert date(2025, 11, 19) not in answer
    # no further than the holidays are published
    assert max(harvest.calendar(date(2026, 12, 1), date(2029, 1, 1))) == date(2027, 12, 31)


def test_contracts_and_sessions_equal_the_world(
    harvest: Harvest, sandbox: "TqSandbox", world: World
) -> None:
    answer = harvest.instruments(list(world.varieties))
    assert answer.sessions["SHFE.cu"][-1] == ("night", 0, 21 * 3600, 25 * 3600)
    assert answer.sessions["SHFE.au"][-1] == ("night", 0, 21 * 3600, 26 * 3600 + 1800)
    assert answer.sessions["CFFEX.IF"] == [("day", 0, 34200, 41400), ("day", 1, 46800, 54000)]
    listed = [c for v in world.varieties for c in sandbox.market.contracts(v)]
    recent = [row for row in answer.contracts if row["delivery_year"] > 2020]
    assert len(answer.contracts) > len(recent)  # the others are in the client's own list
    assert {row["contract"]: row["expire_date"] for row in recent} == {
        c.code: c.expires for c in listed
    }
    gold = next(row for row in answer.contracts if row["contract"] == "SHFE.au2512")
    assert gold["price_tick"] == Decimal("0.02")
    assert (gold["variety"], gold["exchange"], gold["volume_multiple"]) == ("SHFE.au", "SHFE", 1000)
    assert (gold["name"], gold["delivery_year"], gold["delivery_month"]) == ("沪金2512", 2025, 12)
    main = sandbox.schedule("SHFE.cu")[-1][1]
    newest = sandbox.ticks(str(main), LAST)[-1]["datetime"]
    seen = answer.seen_at["SHFE.cu"]
    assert seen is not None
    assert int(seen.timestamp() * 1e6) * 1000 == newest


def test_switches_after_holidays_and_weekends_have_their_trading_day(
    harvest: Harvest, sandbox: "TqSandbox", world: World
) -> None:
    first, calendar = date(2025, 11, 10), world.calendar
    wanted = {"SHFE.au": date(2025, 11, 20), "CFFEX.IF": date(2025, 11, 24)}
    rules, moved = [], {}
    for variety, to in wanted.items():
        ((day, moved[variety]),) = [
            row for row in world.main_table(variety) if first < row[0] < LAST
        ]
        by = calendar.index(to) - calendar.index(day)
        rules.append(sandbox.faults.add(f"revise-mains:contract={moved[variety]}:by={by}"))
    harvest.close()  # a process of the client keeps the vendor's table for good: a new one is asked
    days = days_of(world, first, LAST)
    for variety, to in wanted.items():
        held = contract_by_day(world, harvest.main_events(variety, first, LAST, "backtest"), days)
        assert next(day for day in days if held[day] == moved[variety]) == to
    for rule in rules:
        sandbox.faults.remove(rule)
    harvest.close()


def test_a_window_before_any_contract_says_so(harvest: Harvest, world: World) -> None:
    answer = harvest.main_events("SHFE.cu", date(2025, 8, 4), date(2025, 8, 8), "backtest")
    assert [contract for _, contract in answer.events] == [None]
    assert (answer.first_day, answer.last_day) == (date(2025, 8, 4), date(2025, 8, 8))
    later = harvest.main_events("SHFE.cu", date(2025, 8, 25), date(2025, 9, 5), "backtest")
    held = contract_by_day(world, later, [date(2025, 8, 29), date(2025, 9, 1)])
    assert held == {
        date(2025, 8, 29): None,
        date(2025, 9, 1): world.main_on("SHFE.cu", date(2025, 9, 1)),
    }


def test_days_carry_open_interest_and_exact_prices(
    harvest: Harvest, sandbox: "TqSandbox", world: World
) -> None:
    codes = ["SHFE.au2512", "CFFEX.IF2511"]
    rows = harvest.daily(codes, date(2025, 11, 17), date(2025, 11, 24)).to_pylist()
    gold = [row for row in rows if row["contract"] == "SHFE.au2512"]
    assert [row["trade_date"] for row in gold] == days_of(
        world, date(2025, 11, 17), date(2025, 11, 24)
    )
    for row in gold:
        ticks = sandbox.ticks("SHFE.au2512", row["trade_date"])
        prices = [Decimal(repr(tick["last_price"])) for tick in ticks]
        assert (row["open"], row["close"]) == (prices[0], prices[-1])
        assert (row["high"], row["low"]) == (max(prices), min(prices))
        assert row["volume"] == ticks[-1]["volume"]
        assert row["close_oi"] == ticks[-1]["open_interest"]
    # the third Friday is the last day of the other
    assert [r["trade_date"] for r in rows if r["contract"] == "CFFEX.IF2511"][-1] == date(
        2025, 11, 21
    )


def test_settlement_prices_are_those_of_the_days_that_have_one(
    harvest: Harvest, sandbox: "TqSandbox", world: World
) -> None:
    days = [day for day in world.days if date(2025, 11, 17) <= day <= date(2025, 11, 21)]
    prices = harvest.settlements("SHFE.cu2601", days[0], days[-1], days=len(days))
    assert prices == {
        day: Decimal(repr(sandbox.market.settlement("SHFE.cu2601", day))) for day in days
    }
    with pytest.raises(UnknownSymbol):
        harvest.settlements("SHFE.cu9901", days[0], days[-1], days=1)


def test_ticks_of_several_days_equal_the_world(
    harvest: Harvest, sandbox: "TqSandbox", world: World
) -> None:
    """Friday's night, the evening before a holiday, and a day without a tick between others.

    The answer of that day must not be a row of its neighbour.
    """
    days = days_of(world, date(2025, 11, 14), date(2025, 11, 25))
    empty = date(2025, 11, 21)
    rule = sandbox.faults.add(f"empty:contract=SHFE.cu2601:day={empty}")
    sandbox.log.clear()
    answers = [harvest.ticks("SHFE.cu2601", *day_range(world, day)) for day in days]
    sandbox.faults.remove(rule)
    # seven days are more than one process holds in memory
    assert sum(entry.what == "token" for entry in sandbox.log) >= 2
    for day, answer in zip(days, answers, strict=True):
        if day == empty:
            assert answer is None
            continue
        ticks = pq.read_table(answer)
        truth = sandbox.tick_table("SHFE.cu2601", day)
        assert ticks.select(truth.column_names).equals(truth)
        assert ticks.num_rows == world.tick_count("SHFE.cu2601", day)
    # the book is thin at times: missing levels are null, its volume 0
    first = pq.read_table(answers[0])
    assert any(
        v is None for v in sandbox.tick_table("SHFE.cu2601", days[0])["ask_price5"].to_pylist()
    ) == (first["ask_price5"].null_count > 0)


def test_an_exchange_that_shows_one_level_has_one(
    harvest: Harvest, world: World, tmp_path: Path
) -> None:
    day = date(2025, 11, 14)
    answer = harvest.ticks(str(world.main_on("DCE.m", day)), *day_range(world, day))
    ticks = pq.read_table(answer)
    assert ticks["bid_price1"].null_count == 0
    assert ticks["bid_price2"].null_count == ticks.num_rows > 0


def test_damaged_days_arrive_as_the_servers_sent_them(
    harvest: Harvest, sandbox: "TqSandbox", world: World
) -> None:
    """Twice the same, in the wrong order, or too few: the loader decides what to store."""
    texts = (
        "duplicate:contract=SHFE.cu2601:day=2025-11-14",
        "late:contract=SHFE.cu2601:day=2025-11-17:row=0",
        "short:contract=SHFE.cu2601:day=2025-11-18:keep=7",
    )
    rules = [sandbox.faults.add(text) for text in texts]
    days = [date(2025, 11, 14), date(2025, 11, 17), date(2025, 11, 18)]
    sent = [sandbox.market.day_ticks("SHFE.cu2601", day) for day in days]
    answers = [harvest.ticks("SHFE.cu2601", *day_range(world, day)) for day in days]
    for rule in rules:
        sandbox.faults.remove(rule)
    whole = world.tick_count("SHFE.cu2601", days[0])
    tables = [pq.read_table(answer) for answer in answers]
    assert [table.num_rows for table in tables] == [2 * whole, len(sent[1]), 7]
    for table, rows in zip(tables, sent, strict=True):
        stamps = table["datetime_ns"].to_pylist()
        assert stamps == [row["datetime"] for row in rows]


@pytest.mark.parametrize("variety", ["SHFE.cu", "DCE.m"])
def test_newest_ticks_need_no_permission_and_are_those_of_the_history(
    harvest: Harvest, sandbox: "TqSandbox", world: World, variety: str
) -> None:
    code = str(world.main_on(variety, LAST))
    # two days and a half: two ticks of one stamp are a microsecond apart
    days = [day for day in world.days if day <= LAST][-3:]
    ticks = harvest.recent_ticks(code, 150)
    truth = pa.concat_tables([sandbox.tick_table(code, day) for day in days]).slice(30)
    assert any(stamp % 10**6 for stamp in truth["datetime_ns"].to_pylist())
    assert ticks.select(truth.column_names).equals(truth)
