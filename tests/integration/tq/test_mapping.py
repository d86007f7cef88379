"""The lane of main contracts against the real client and the simulated servers."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from loaders import sources
from loaders.engine.request import LoadRequest
from loaders.sandbox.tq.world import World
from loaders.settings import Settings
from loaders.tq.request import parts
from loaders.tq.trading_day import trading_day_of
from quotemill.errors import UsageError
from tests.integration.tq.bench import Bench, bench, build_schedule

VARIETIES = ("SHFE.cu", "CFFEX.IF")
FIRST, END = date(2025, 9, 8), date(2025, 10, 24)
EVENTS = (
    "select variety, route, trading_day, contract from raw_tq.main_event order by 1, 2, 3, event_at"
)


def world(end: date = END, varieties: tuple[str, ...] = VARIETIES) -> World:
    return World(varieties, first=FIRST, end=end, ticks_per_day=200, default_ticks=200)


def expected(served: World, route: str, last: date) -> list[tuple[Any, ...]]:
    """The switches of the simulated market, the first dated the window's first day."""
    rows = []
    for variety in sorted(served.varieties):
        switches = [(day, contract) for day, contract in served.main_table(variety) if day <= last]
        rows += [(variety, route, max(day, served.first), contract) for day, contract in switches]
    return rows


@pytest.fixture(scope="module")
def loaded(
    new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Servers and warehouse after the first load."""
    home = tmp_path_factory.mktemp("mapping")
    with bench(world(), new_database(), home) as made:
        assert made.load().status == "succeeded"
        assert [entry.what for entry in made.sandbox.log].count("backtest") == 0
        assert made.rows("select distinct route from raw_tq.main_harvest") == [("history",)]
        assert made.load("cross-check").status == "succeeded"
        yield made


def test_both_routes_give_the_switches_of_the_market(loaded: Bench) -> None:
    served = world()
    rows = loaded.rows(EVENTS)
    for route in ("backtest", "history"):
        assert [row for row in rows if row[1] == route] == expected(served, route, END)
    assert len({row[3] for row in rows}) > len(VARIETIES)
    harvests = loaded.rows("select variety, first_day, last_day from raw_tq.main_harvest")
    assert sorted(harvests) == sorted((v, FIRST, END) for v in VARIETIES for _ in range(2))


def test_clocks_of_the_backtest_belong_to_the_days_of_the_history(loaded: Bench) -> None:
    calendar = [
        row[0] for row in loaded.rows("select trade_date from raw_tq.trading_day order by 1")
    ]
    assert date(2025, 10, 1) not in calendar
    assert date(2025, 10, 9) in calendar
    assert calendar[0] < FIRST
    assert calendar[-1] > END
    clocks = loaded.rows("select event_at, trading_day from raw_tq.main_event")
    assert clocks
    assert all(trading_day_of(clock, calendar) == day for clock, day in clocks)


def test_hours_contracts_and_day_bars_land_in_the_source_s_units(loaded: Bench) -> None:
    hours = loaded.rows(
        "select session, start_s, end_s from raw_tq.trading_session "
        "where variety = 'SHFE.cu' order by session, idx"
    )
    day = [("day", 32400, 36900), ("day", 37800, 41400), ("day", 48600, 54000)]
    assert hours == [*day, ("night", 75600, 90000)]
    served = world()
    known = {row[0] for row in loaded.rows("select contract from raw_tq.contract")}
    assert {c for v in VARIETIES for _, c in served.main_table(v) if _ <= END} <= known
    [(close, volume, oi)] = loaded.rows(
        "select close, volume, close_oi from raw_tq.contract_daily "
        "where contract = 'SHFE.cu2511' and trade_date = %s and is_final",
        END,
    )
    last = served.day_ticks("SHFE.cu2511", END)[-1]
    ticked = (last["last_price"], last["volume"], last["open_interest"])
    assert (float(close), volume, oi) == ticked


def test_main_contracts_have_settlement_prices_of_days_that_are_settled(loaded: Bench) -> None:
    mains = "(select contract from raw_tq.main_event where contract is not null)"
    days = loaded.rows(
        "select b.contract, b.trade_date, s.settlement from raw_tq.contract_daily as b "
        "left join raw_tq.settlement as s on (s.contract, s.trade_date) = (b.contract, "
        f"b.trade_date) where b.is_final and b.contract in {mains}"
    )
    # at 18:00 that of the day itself is not published yet
    assert {day for _, day, price in days if price is None} == {END}
    market = loaded.sandbox.market
    for contract, day, price in days:
        if day < END:
            assert float(price) == market.settlement(contract, day), (contract, day)


@pytest.mark.long
def test_a_price_that_the_source_never_has_is_not_asked_for_for_ever(loaded: Bench) -> None:
    gone = "contract = 'SHFE.cu2511' and trade_date in ('2025-09-16', '2025-10-23')"
    loaded.execute(f"delete from raw_tq.settlement where {gone}")
    loaded.sandbox.faults.add("no-settlement")
    # answers without any price are no evidence
    assert loaded.load(datasets=("settlement",)).status == "succeeded"
    assert loaded.rows(f"select * from raw_tq.settlement where {gone}") == []

    loaded.sandbox.faults.clear()
    loaded.sandbox.faults.add("no-settlement:contract=SHFE.cu2511")
    assert loaded.load(datasets=("settlement",)).status == "succeeded"
    # the later one is still awaited
    assert loaded.rows(f"select trade_date, settlement from raw_tq.settlement where {gone}") == [
        (date(2025, 9, 16), None)
    ]
    loaded.sandbox.faults.clear()
    assert loaded.load(datasets=("settlement",)).status == "succeeded"
    missing = f"select count(*) from raw_tq.settlement where {gone} and settlement is not null"
    assert loaded.rows(missing) == [(1,)]
    loaded.execute("delete from raw_tq.settlement where settlement is null")  # to ask again
    assert loaded.load(datasets=("settlement",)).status == "succeeded"
    assert loaded.rows(missing) == [(2,)]


@pytest.mark.parametrize("is_reached", [True, False])
def test_a_service_of_settlement_prices_that_is_away_fails_nothing(
    loaded: Bench, is_reached: bool
) -> None:
    """A host of its own: a firewall may block it, and it alone."""
    made, contracts = loaded, ("SHFE.cu2511", "SHFE.cu2512")
    for contract in contracts:
        made.execute(
            f"delete from raw_tq.settlement where contract = '{contract}' "
            "and trade_date < '2025-10-15'"
        )
    made.sandbox.faults.add(f"settlements:status={502 if is_reached else 0}")
    made.sandbox.log.clear()
    result = made.load(datasets=("settlement",))
    assert (result.status, result.exit_code) == ("succeeded", 0)
    assert "settlement" in str(result.warnings)
    assert "md-settlement-system-fc-api.shinnytech.com" in str(result.warnings)
    # once, and its retry: not for each contract
    asked = [entry.what for entry in made.sandbox.log].count("settlements")
    # a connection that was open and is cut is asked once more by the library: for each contract
    # these were eight
    assert asked == 2 if is_reached else asked in (2, 4)
    made.sandbox.faults.clear()
    again = loaded.load(datasets=("settlement",))
    assert (again.status, again.warnings) == ("succeeded", ())
    assert again.total("rows_new") > 0


TERMS = "select contract, trade_date, upper_limit, margin from raw_tq.contract_terms order by 1, 2"


def test_terms_are_those_of_the_quotes_of_the_day(loaded: Bench) -> None:
    rows = loaded.rows(
        "select contract, trade_date, lower_limit < pre_settlement, pre_settlement < upper_limit, "
        "margin, commission, price_tick, volume_multiple, pre_open_interest, quoted_at "
        "from raw_tq.contract_terms"
    )
    known = "select contract from raw_tq.contract where expire_date >= %s"
    assert {row[0] for row in rows} == {row[0] for row in loaded.rows(known, END)}
    assert {row[1:6] for row in rows} == {(END, True, True, Decimal(20000), Decimal(12))}
    ticks = {row[0][:8]: row[6:8] for row in rows}
    assert ticks == {"SHFE.cu2": (Decimal(10), 5), "CFFEX.IF": (Decimal("0.2"), 300)}
    # as by the other ways: day bars, and the service of settlement prices
    assert loaded.rows(
        "select count(*) filter (where t.pre_close is distinct from b.close "
        "or t.pre_open_interest <> b.close_oi), count(p.settlement) > 0, "
        "count(*) filter (where p.settlement <> t.pre_settlement) "
        "from raw_tq.contract_terms as t join raw_tq.contract_daily as b "
        "on b.contract = t.contract and b.trade_date = '2025-10-23' "
        "left join raw_tq.settlement as p "
        "on p.contract = b.contract and p.trade_date = b.trade_date"
    ) == [(0, True, 0)]


@pytest.mark.long
def test_a_quote_that_stands_still_or_lacks_a_term_gets_no_other_s(loaded: Bench) -> None:
    held, still = loaded.rows(TERMS), "contract = 'SHFE.cu2512'"
    loaded.sandbox.faults.add("frozen-quote:contract=SHFE.cu2512:day=2025-10-22")
    loaded.sandbox.faults.add("no-terms:contract=SHFE.cu2601")
    loaded.execute(f"delete from raw_tq.contract_terms where {still}")
    load = {"datasets": ("contract_terms",), "keys": ("SHFE.cu",)}
    result = loaded.load(**load)
    assert (result.status, result.warnings) == ("succeeded", ())  # others have all terms
    assert loaded.rows(f"select * from raw_tq.contract_terms where {still}") == []
    note = "select event from ops.ingestion_logs where event like 'no terms of SHFE.cu2512:%'"
    assert len(loaded.rows(note)) == 1
    terms = "select margin, commission, upper_limit > 0 from raw_tq.contract_terms"
    assert loaded.rows(f"{terms} where contract = 'SHFE.cu2601'") == [(None, None, True)]

    loaded.sandbox.faults.add("no-terms")
    assert re.search(" commission, margin .* SHFE.cu: null", str(loaded.load(**load).warnings))
    assert loaded.load(**load).warnings == ()  # said once
    loaded.sandbox.faults.clear()
    assert loaded.load(**load).status == "succeeded"
    assert loaded.rows(TERMS) == held


def test_terms_of_the_next_day_are_not_labelled_with_the_last_stamp(loaded: Bench) -> None:
    """In the evening, where the servers have turned to it; then of Monday's own quotes."""
    held = loaded.rows(TERMS)
    loaded.sandbox.faults.add("next-figures")
    load = {"datasets": ("contract_terms",)}
    assert loaded.load(**load).status == "succeeded"
    early = [row for row in loaded.rows(TERMS) if row not in held]
    assert len(early) == len(held)
    assert {row[1] for row in early} == {date(2025, 10, 27)}
    loaded.sandbox.faults.clear()
    loaded.sandbox.set_clock(datetime(2025, 10, 24, 22, 0))
    assert loaded.load(**load).status == "succeeded"
    loaded.sandbox.set_clock(END)
    assert loaded.rows(TERMS) == sorted(held + early)


def test_a_load_without_new_data_writes_and_requests_nothing(loaded: Bench) -> None:
    again = loaded.load()
    assert (again.status, again.total("rows_new"), again.total("rows_changed")) == (
        "succeeded",
        0,
        0,
    )
    bars = [task for task in again.tasks if task.dataset == "contract_daily"]
    assert sum(task.done for task in bars) == 0


def test_another_day_adds_rows_and_changes_none(loaded: Bench) -> None:
    before = loaded.rows(EVENTS)
    loaded.sandbox.set_clock(date(2025, 10, 27))
    result = loaded.load(keys=("SHFE.cu",))
    assert (result.status, result.total("rows_new") > 0) == ("succeeded", True)
    assert [row for row in loaded.rows(EVENTS) if row[2] <= END] == before
    assert loaded.rows("select max(last_day) from raw_tq.main_harvest") == [(date(2025, 10, 27),)]


def test_nonsensical_requests_are_refused_before_anything_is_opened(loaded: Bench) -> None:
    for wrong in (
        {"keys": ("copper",)},
        {"datasets": ("kline_daily",)},
        {"mode": "realtime"},
        {"options": {"exchange": "sh"}},
        {"since": date(2025, 2, 1), "until": date(2025, 1, 1)},
    ):
        with pytest.raises(UsageError):
            loaded.load(**wrong)


def test_a_run_is_the_main_contracts_and_then_the_ticks() -> None:
    source = sources.find("tq")

    def modes(request: LoadRequest) -> list[str]:
        return [part.mode for part in parts(Settings(), request, None)]

    both = parts(Settings(), LoadRequest("tq"), None)
    assert [(r.mode, source.lane_of(r)) for r in both] == [("mapping", "tq"), ("ticks", "tq_ticks")]
    assert modes(LoadRequest("tq", datasets=("contract",))) == ["mapping"]
    assert modes(LoadRequest("tq", datasets=("ticks",))) == ["ticks"]


@pytest.mark.long
def test_contracts_of_zhengzhou_have_the_whole_year_in_their_code(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    """The servers write CZCE.SR009 for that of 2020 and that of 2030."""
    first, end = date(2020, 8, 27), date(2020, 9, 3)
    served = World(("CZCE.SR",), first=first, end=end, ticks_per_day=20, default_ticks=20)
    assert [code for _, code in served.main_table("CZCE.SR")][:2] == ["CZCE.SR009", "CZCE.SR011"]
    mains = {"CZCE.SR2009", "CZCE.SR2011"}
    with bench(served, new_database(), tmp_path) as old:
        assert old.load().status == "succeeded"
        known = old.rows("select contract, delivery_year from raw_tq.contract")
        assert {("CZCE.SR2009", 2020), ("CZCE.SR1601", 2016), ("CZCE.SR2011", 2020)} <= {*known}
        assert {c for (c,) in old.rows("select contract from raw_tq.main_event")} == mains
        assert {c for (c,) in old.rows("select contract from raw_tq.contract_daily")} >= mains
        build_schedule(old)
        assert old.load("ticks").status == "succeeded"
        held = old.rows("select contract, status, volume - day_volume from raw_tq.symbol_day")
        assert {*held} == {(contract, "complete", 0) for contract in mains}
        assert len(held) == len([day for day in served.days if day <= end])


def test_contracts_that_expired_before_the_servers_list_begins_are_loaded(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    first, end = date(2020, 8, 10), date(2020, 9, 11)
    served = World(("SHFE.cu",), first=first, end=end, ticks_per_day=20, default_ticks=20)
    with bench(served, new_database(), tmp_path) as old:
        result = old.load()
        assert result.status == "succeeded"
        known = old.rows("select contract, expire_date, delivery_year from raw_tq.contract")
        assert ("SHFE.cu2009", date(2020, 9, 15), 2020) in known
        bars = old.rows("select contract, count(*) from raw_tq.contract_daily group by 1")
        [(missing,)] = old.rows(
            "select count(*) from raw_tq.main_event as e left join raw_tq.contract_daily as b "
            "on b.contract = e.contract and b.trade_date = e.trading_day where b.contract is null"
        )
        assert missing == 0
        assert {"SHFE.cu2008", "SHFE.cu2009"} <= {contract for contract, _ in bars}
