"""The lane of main contracts against the real client and the simulated servers."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from loaders import sources
from loaders.engine.request import LoadRequest
from loaders.errors import SettingsError, UsageError
from loaders.sandbox.tq.world import World
from loaders.tq.request import parts
from loaders.tq.trading_day import trading_day_of
from tests.integration.tq.bench import Bench, bench

VARIETIES = ("SHFE.cu", "CFFEX.IF")
FIRST, END = date(2025, 9, 8), date(2025, 10, 24)
EVENTS = (
    "select variety, route, trading_day, contract from raw_tq.main_event order by 1, 2, 3, event_at"
)


def world(end: date = END, varieties: tuple[str, ...] = VARIETIES) -> World:
    return World(varieties, first=FIRST, end=end, ticks_per_day=200, default_ticks=200)


def expected(served: World, route: str, last: date) -> list[tuple[Any, ...]]:
    """The switches of the simulated market, the first dated the window's first day."""
    found = []
    for variety in sorted(served.varieties):
        switches = [(day, contract) for day, contract in served.main_table(variety) if day <= last]
        found += [(variety, route, max(day, served.first), contract) for day, contract in switches]
    return found


@pytest.fixture(scope="module")
def loaded(
    new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Servers and warehouse after the first load."""
    home = tmp_path_factory.mktemp("mapping")
    with bench(world(), new_database(), home) as made:
        assert made.load().status == "succeeded"
        yield made


def test_both_routes_tell_the_switches_of_the_market(loaded: Bench) -> None:
    served = world()
    rows = loaded.rows(EVENTS)
    for route in ("backtest", "history"):
        assert [row for row in rows if row[1] == route] == expected(served, route, END)
    assert len({row[3] for row in rows}) > len(VARIETIES)
    harvests = loaded.rows("select variety, first_day, last_day from raw_tq.main_harvest")
    assert sorted(harvests) == sorted((v, FIRST, END) for v in VARIETIES for _ in range(2))


def test_clocks_of_the_backtest_belong_to_the_days_that_the_history_names(loaded: Bench) -> None:
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
    assert hours == [
        ("day", 32400, 36900), ("day", 37800, 41400), ("day", 48600, 54000), ("night", 75600, 90000),
    ]  # fmt: skip
    served = world()
    known = {row[0] for row in loaded.rows("select contract from raw_tq.contract")}
    assert {c for v in VARIETIES for _, c in served.main_table(v) if _ <= END} <= known
    [(close, volume, oi)] = loaded.rows(
        "select close, volume, close_oi from raw_tq.contract_daily "
        "where contract = 'SHFE.cu2511' and trade_date = %s and is_final", END,
    )  # fmt: skip
    last = served.day_ticks("SHFE.cu2511", END)[-1]
    assert (float(close), volume, oi) == (
        last["last_price"], last["volume"], last["open_interest"]
    )  # fmt: skip


def test_a_load_without_anything_new_writes_no_row_and_asks_for_no_day_bar(loaded: Bench) -> None:
    again = loaded.load()
    assert (again.status, again.total("rows_new"), again.total("rows_changed")) == (
        "succeeded",
        0,
        0,
    )
    bars = [task for task in again.tasks if task.dataset == "contract_daily"]
    assert sum(task.done for task in bars) == 0


def test_another_day_extends_what_is_stored_and_changes_no_row_of_it(loaded: Bench) -> None:
    before = loaded.rows(EVENTS)
    loaded.sandbox.set_clock(date(2025, 10, 27))
    result = loaded.load(keys=("SHFE.cu",))
    assert (result.status, result.total("rows_new") > 0) == ("succeeded", True)
    assert [row for row in loaded.rows(EVENTS) if row[2] <= END] == before
    assert loaded.rows("select max(last_day) from raw_tq.main_harvest") == [(date(2025, 10, 27),)]


def test_a_running_day_lands_as_provisional_and_is_final_once_the_source_shows_its_end(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    newest = "select trade_date, is_final from raw_tq.contract_daily where contract = 'SHFE.cu2511' order by 1 desc limit 2"
    served = World(("SHFE.cu",), first=date(2025, 10, 13), end=END, ticks_per_day=200)
    with bench(served, new_database(), tmp_path, clock="2025-10-23T14:00:00") as made:
        assert made.load().status == "succeeded"
        assert made.rows(newest) == [(date(2025, 10, 23), False), (date(2025, 10, 22), True)]
        made.sandbox.set_clock("2025-10-23T15:10:00")  # within the margin more may come
        made.load()
        assert made.rows(newest)[0] == (date(2025, 10, 23), False)
        made.sandbox.set_clock("2025-10-23T17:00:00")
        made.load()
        assert made.rows(newest)[0] == (date(2025, 10, 23), True)


@pytest.fixture
def small(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """One variety for two weeks, after its first load."""
    served = World(("SHFE.cu",), first=date(2025, 10, 13), end=END, ticks_per_day=200)

    def fill(dsn: str) -> None:
        with bench(served, dsn, tmp_path / "first") as made:
            assert made.load().status == "succeeded"

    with bench(served, filled_database("main contracts", fill), tmp_path) as made:
        yield made


def test_a_source_that_stands_still_fails_and_what_is_stored_stays(small: Bench) -> None:
    before = small.rows(EVENTS)
    result = small.load(clock=datetime(2025, 10, 28, 18))  # ours goes on, theirs does not
    assert result.status == "partial"
    failures = [text for task in result.tasks for text in task.failures.values()]
    # the other route is a table without bars: it cannot know
    assert len(failures) == 1
    assert "end 2025-10-24, though the trading day 2025-10-28 is over" in failures[0]
    assert small.rows(EVENTS) == before


def test_a_holiday_announced_late_takes_its_day_back_and_a_day_that_was_held_stays(
    small: Bench,
) -> None:
    """The day may be over by the next load, and is lost by none."""
    served, query = small.sandbox.world, "select trade_date from raw_tq.trading_day order by 1"
    known = [day for (day,) in small.rows(query)]
    soon, late = date(2025, 11, 3), date(2025, 11, 10)
    assert {soon, late} <= set(known)

    served.holidays = sorted({*served.holidays, late})
    assert small.load(datasets=("trading_day",)).status == "succeeded"
    assert [day for (day,) in small.rows(query)] == [day for day in known if day != late]

    served.holidays = sorted({*served.holidays, soon})
    after = datetime(2025, 11, 6, 18)
    assert small.load(clock=after, datasets=("trading_day",)).status == "succeeded"
    found = [day for (day,) in small.rows(query) if day <= known[-1]]
    assert found == [day for day in known if day not in (soon, late)]

    served.holidays = sorted({*served.holidays, date(2025, 11, 4)})
    result = small.load(clock=after, datasets=("trading_day",))
    assert [list(task.failures.values()) for task in result.tasks if task.failures] == [
        ["the trading calendar lost 1 days it had, the first 2025-11-04: what is stored is kept"]
    ]
    assert (date(2025, 11, 4),) in small.rows(query)


def test_wrong_credentials_end_the_load_at_once_and_are_in_no_record(small: Bench) -> None:
    small.sandbox.faults.add("auth:status=401")
    result = small.load()
    assert (result.status, result.exit_code) == ("failed", SettingsError.exit_code)
    assert "QUOTEMILL_TQ__PASSWORD" in result.hint
    told = f"{result} {small.heard.lines} {small.rows('select * from ops.ingestion_logs')}"
    assert "sandbox-password" not in told


def test_an_unknown_variety_fails_by_name_and_costs_no_other(small: Bench) -> None:
    result = small.load(keys=("SHFE.cu", "SHFE.zz"), datasets=("contract", "main_events"))
    assert result.status == "partial"
    failed = {key for task in result.tasks for key in task.failures}
    assert failed == {"SHFE.zz", "SHFE.zz backtest", "SHFE.zz history"}
    assert "SHFE.zz" in str(result.tasks)
    assert small.rows("select distinct variety from raw_tq.main_event") == [("SHFE.cu",)]


def test_an_empty_answer_is_a_failure_and_keeps_what_is_stored(small: Bench) -> None:
    before = small.rows(EVENTS)
    assert before
    small.sandbox.faults.add("no-mains:variety=SHFE.cu")
    result = small.load()
    assert result.status == "partial"
    assert {key for task in result.tasks for key in task.failures} == {
        "SHFE.cu backtest", "SHFE.cu history",
    }  # fmt: skip
    assert small.rows(EVENTS) == before


def test_a_revision_of_the_past_replaces_the_events_and_is_said(small: Bench) -> None:
    served = small.sandbox.world
    roll, contract = served.main_table("SHFE.cu")[1]
    before = served.previous(roll)
    assert served.first < before < END
    small.sandbox.faults.add(f"revise-mains:contract={contract}:by=-1")
    result = small.load(datasets=("main_events",))
    assert result.status == "succeeded"
    assert any(f"revised from {before}" in warning for warning in result.warnings)
    days = small.rows(
        "select distinct trading_day from raw_tq.main_event where contract = %s", contract
    )
    assert days == [(before,)]


def test_requests_that_make_no_sense_are_refused_before_anything_is_opened(small: Bench) -> None:
    for wrong in (
        {"keys": ("copper",)},
        {"datasets": ("kline_daily",)},
        {"mode": "realtime"},
        {"options": {"exchange": "sh"}},
        {"since": date(2025, 2, 1), "until": date(2025, 1, 1)},
    ):
        with pytest.raises(UsageError):
            small.load(**wrong)


def test_a_run_is_the_main_contracts_and_then_the_ticks() -> None:
    source = sources.find("tq")
    both = parts(LoadRequest("tq"))
    assert [(r.mode, source.lane_of(r)) for r in both] == [("mapping", "tq"), ("ticks", "tq_ticks")]
    assert [r.mode for r in parts(LoadRequest("tq", datasets=("contract",)))] == ["mapping"]
    assert [r.mode for r in parts(LoadRequest("tq", datasets=("ticks",)))] == ["ticks"]


def test_a_window_before_the_listing_begins_with_an_event_without_a_contract(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    served = World(("SHFE.cu",), first=date(2025, 10, 13), end=END, ticks_per_day=60)
    with bench(served, new_database(), tmp_path, start="2025-09-22") as made:
        result = made.load(datasets=("trading_day", "main_events"))
        assert result.status == "succeeded", result
        [(_, contract), (listed, first_contract), *_] = made.rows(
            "select trading_day, contract from raw_tq.main_event where route = 'backtest' order by 1"
        )
        assert (contract, listed) == (None, served.first)
        assert first_contract == served.main_table("SHFE.cu")[0][1]
        covered = "select distinct first_day from raw_tq.main_harvest"
        assert made.rows(covered) == [(date(2025, 9, 22),)]
