"""Servers of main contracts that stand still, refuse or revise: stored rows stay."""

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import pytest

from loaders.engine.result import LoadResult
from loaders.loads import measure_loads
from loaders.sandbox.tq.world import World
from loaders.tq.landed import REPEATS
from quotemill.errors import SettingsError
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.test_mapping import END, EVENTS


@pytest.fixture
def small(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """One variety for two weeks, after its first load."""
    served = World(("SHFE.cu",), first=date(2025, 10, 13), end=END, ticks_per_day=200)

    def fill(dsn: str) -> None:
        with bench(served, dsn, tmp_path / "first") as made:
            assert made.load().status == "succeeded"

    with bench(served, filled_database("main contracts", fill), tmp_path) as made:
        yield made


def reasons(result: LoadResult) -> list[str]:
    return [text for task in result.tasks for text in task.failures.values()]


def test_a_source_that_stands_still_fails_and_stored_rows_stay(small: Bench) -> None:
    before = small.rows(EVENTS)
    for mode in ("mapping", "cross-check"):
        result = small.load(mode, clock=datetime(2025, 10, 28, 18))  # theirs does not go on
        assert result.status == "partial"
        [failure] = [text for task in result.tasks for text in task.failures.values()]
        assert re.search("2025-10-24, .* 2025-10-28 ", failure)
        assert [row for row in small.rows(EVENTS) if row[1] == "history"] == before


def test_backtests_that_are_spent_cost_the_others_nothing(
    filled_database: Callable[..., str], tmp_path: Path
) -> None:
    """The check of a free account goes round its varieties; where they are the route, it fails."""
    codes = ("SHFE.cu", "SHFE.au", "DCE.m")
    served = World(codes, first=date(2025, 10, 13), end=END, ticks_per_day=200)
    checked = "select variety from raw_tq.main_harvest where route = 'backtest' order by 1"

    def fill(dsn: str) -> None:
        with bench(served, dsn, tmp_path / "first") as made:
            assert made.load(datasets=("contract", "main_events")).status == "succeeded"

    dsn = filled_database("three varieties", fill)
    with bench(served, dsn, tmp_path, faults=["backtests:after=3"]) as made:
        result = made.load("cross-check")
        assert (result.status, result.exit_code) == ("succeeded", 0)
        assert any("no backtests left today" in warning for warning in result.warnings)
        assert made.rows(checked) == [("SHFE.au",), ("SHFE.cu",)]
        made.sandbox.faults.clear()
        made.sandbox.faults.add("backtests:after=5")  # the next day's first
        assert made.load("cross-check").status == "succeeded"
        assert len(made.rows(checked)) == 3
    with bench(served, dsn, tmp_path, faults=["backtests"], route="backtest") as made:
        result = made.load(datasets=("main_events",))
        failed = {key for task in result.tasks for key in task.failures}
        assert (result.status, result.exit_code) == ("partial", 6)
        assert failed == {f"{code} backtest" for code in codes}
        assert "tq.route = history" in str(result.tasks)


def test_a_load_at_a_later_time_spoils_none_at_the_sandbox_s(small: Bench) -> None:
    later = datetime(2026, 6, 15, 18, 30)  # by the machine's clock the market has ended
    assert small.load(clock=later).status == "partial"
    result = small.load()
    assert (result.status, reasons(result)) == ("succeeded", [])


@pytest.fixture
def two(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """Copper and gold, and nothing loaded."""
    served = World(("SHFE.cu", "SHFE.au"), first=date(2025, 10, 13), end=END, ticks_per_day=40)
    with bench(served, filled_database("nothing", lambda _: None), tmp_path) as made:
        yield made


def test_a_variety_without_a_quote_at_the_close_settles_as_its_exchange(two: Bench) -> None:
    day = END
    main = two.sandbox.world.main_on("SHFE.au", day)
    newest = (
        f"select max(trade_date) from raw_tq.contract_daily where is_final and contract = '{main}'"
    )
    rule = two.sandbox.faults.add(f"short:contract={main}:day={day}:keep=8")
    result = two.load()
    assert (result.status, reasons(result)) == ("succeeded", [])
    assert two.rows(newest) == [(day,)]
    two.sandbox.faults.remove(rule)


def test_a_variety_that_is_quoted_no_more_is_skipped_with_its_reason(two: Bench) -> None:
    served = two.sandbox.world
    last = served.days[1]
    for contract in served.contracts("SHFE.au"):
        for day in (day for day in served.days if day > last):
            two.sandbox.faults.add(f"empty:contract={contract.code}:day={day}")
    for _ in range(2):
        result = two.load()
        assert (result.status, reasons(result)) == ("succeeded", [])
        assert re.search(f"SHFE.au .* since {last}", str(result.warnings))
        assert "tq.varieties" in str(result.warnings)


@pytest.mark.soak
def test_a_variety_whose_bars_go_on_is_not_quiet_though_its_quotes_stand_still(
    two: Bench,
) -> None:
    """What was traded has ticks: the schedule goes on, and a lost day shows."""
    reached = "select last_day from raw_tq.main_harvest where variety = 'SHFE.au'"
    two.sandbox.faults.add(f"still-quotes:variety=SHFE.au:day={two.sandbox.world.days[1]}")
    assert two.load().status == "succeeded"
    result = two.load()
    assert (result.status, reasons(result)) == ("succeeded", [])
    assert "has not been quoted since" not in str(result.warnings)
    assert two.rows(reached) == [(END,)]


def test_an_exchange_that_stands_still_fails_though_another_goes_on(
    filled_database: Callable[..., str], tmp_path: Path
) -> None:
    """Its varieties are not quiet, from the first day on and after any number."""
    served = World(("SHFE.cu", "DCE.m"), first=date(2025, 10, 13), end=END, ticks_per_day=40)
    with bench(served, filled_database("nothing", lambda _: None), tmp_path) as made:
        ended = [day for day in served.days if day <= END]
        for last in (ended[-2], ended[1]):
            for contract in served.contracts("DCE.m"):
                for day in (day for day in ended if day > last):
                    made.sandbox.faults.add(f"empty:contract={contract.code}:day={day}")
            result = made.load()
            [reason] = reasons(result)
            assert result.status == "partial"
            assert re.search(rf" DCE\.m .*{last}", reason)
            assert "stopped updating" in reason


def test_an_empty_list_of_contracts_is_no_list_of_the_expired_ones(small: Bench) -> None:
    """The client adds those that expired before October 2020, also to no others."""
    hours = "select * from raw_tq.trading_session order by valid_from, session, idx"
    before = small.rows(hours)
    for contract in small.sandbox.world.contracts("SHFE.cu"):
        small.sandbox.faults.add(f"unknown:symbol={contract.code}")
    result = small.load(clock=datetime(2025, 10, 27, 18))
    assert result.status == "partial"
    assert any("the source lists none of" in reason for reason in reasons(result))
    assert small.rows(hours) == before
    small.sandbox.faults.clear()
    assert small.load().status == "succeeded"


def test_a_late_holiday_takes_its_day_back_and_a_past_day_stays(small: Bench) -> None:
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
    days = [day for (day,) in small.rows(query) if day <= known[-1]]
    assert days == [day for day in known if day not in (soon, late)]

    served.holidays = sorted({*served.holidays, date(2025, 11, 4)})
    result = small.load(clock=after, datasets=("trading_day",))
    [failure] = [text for task in result.tasks for text in task.failures.values()]
    assert re.search(r" lost 1 day .* 2025-11-04\): ", failure)
    assert (date(2025, 11, 4),) in small.rows(query)


def test_wrong_credentials_end_the_load_and_are_in_no_record(small: Bench) -> None:
    small.sandbox.faults.add("auth:status=401")
    result = small.load()
    assert (result.status, result.exit_code) == ("failed", SettingsError.exit_code)
    assert "QUOTEMILL_TQ__PASSWORD" in result.hint
    text = f"{result} {small.heard.lines} {small.rows('select * from ops.ingestion_logs')}"
    assert "sandbox-password" not in text


def test_requests_of_the_client_are_counted_and_bytes_are_not(small: Bench) -> None:
    figures = {m.name: m.value for m in measure_loads([small.load(datasets=("contract",))])}
    assert figures["requests"] >= 2  # the log-in and the instruments
    assert "bytes" not in figures


def test_an_unknown_variety_fails_by_name_and_costs_no_other(small: Bench) -> None:
    result = small.load(keys=("SHFE.cu", "SHFE.zz"), datasets=("contract", "main_events"))
    assert result.status == "partial"
    failed = {key for task in result.tasks for key in task.failures}
    assert failed == {"SHFE.zz", "SHFE.zz history"}
    assert "SHFE.zz" in str(result.tasks)
    assert small.rows("select distinct variety from raw_tq.main_event") == [("SHFE.cu",)]


def test_an_empty_answer_is_a_failure_and_stored_rows_stay(small: Bench) -> None:
    before = small.rows(EVENTS)
    assert before
    small.sandbox.faults.add("no-mains:variety=SHFE.cu")
    for mode, key in (("mapping", "SHFE.cu history"), ("cross-check", "SHFE.cu backtest")):
        result = small.load(mode)
        assert {name for task in result.tasks for name in task.failures} == {key}
    assert small.rows(EVENTS) == before


def test_a_revision_of_the_past_replaces_events_with_a_warning(small: Bench) -> None:
    served = small.sandbox.world
    roll, contract = served.main_table("SHFE.cu")[1]
    before = served.previous(roll)
    assert served.first < before < END
    small.sandbox.faults.add(f"revise-mains:contract={contract}:by=-1")
    result = small.load(datasets=("main_events",))
    assert result.status == "succeeded"
    assert any(re.search(f"revised .* {before}", warning) for warning in result.warnings)
    days = small.rows(
        "select distinct trading_day from raw_tq.main_event where contract = %s", contract
    )
    assert days == [(before,)]


def test_a_contract_that_nobody_describes_is_one_failed_key(small: Bench) -> None:
    """The source lists it; its bars and description are there again once it is described."""
    lacking = "SHFE.cu2601"
    small.sandbox.faults.add(f"undescribed:symbol={lacking}")
    again = {"clock": datetime(2025, 10, 27, 18), "datasets": ("contract", "contract_daily")}
    result = small.load(**again)
    failed = [f for task in result.tasks for f in task.failures.items()]
    assert (result.status, [key for key, _ in failed]) == ("partial", [lacking])
    assert lacking in failed[0][1]
    assert "without a description" in failed[0][1]
    assert any(lacking in line and "does not describe" in line for line in result.warnings)
    small.sandbox.faults.clear()
    assert small.load(**again).status == "succeeded"


def test_an_expired_contract_is_requested_by_some_loads_only(small: Bench) -> None:
    """Its bars are stored, and the record of what was asked for is gone."""
    gone = "SHFE.cu2510"
    asked = "select first_day, failed from raw_tq.daily_harvest where contract = %s"
    bars = "select * from raw_tq.contract_daily order by contract, trade_date"
    before, [(first, _)] = small.rows(bars), small.rows(asked, gone)
    small.execute("delete from raw_tq.daily_harvest")
    small.sandbox.faults.add(f"unknown:symbol={gone}")
    for times in (1, 2, REPEATS):
        small.execute(f"update raw_tq.daily_harvest set failed = {times - 1} where failed > 0")
        for _ in range(1 + (times == 2)):  # again on one evening
            result = small.load(datasets=("contract_daily",))
        small.execute("update raw_tq.daily_harvest set fetched_at = fetched_at - interval '1 day'")
        assert (result.status, small.rows(asked, gone)) == ("succeeded", [(first, times)])
        [said] = result.warnings
        assert re.match(f"contract_daily {gone}: expired, .* {first} ", said)
        assert ("next load will retry" in said) == (times < REPEATS)
    assert small.load(datasets=("contract_daily",)).warnings == ()
    assert small.rows(bars) == before
    # a window that begins earlier is another question, and an answer ends the count
    small.sandbox.faults.clear()
    small.execute("update raw_tq.daily_harvest set first_day = first_day + 1")
    assert small.load(datasets=("contract_daily",)).warnings == ()
    [(since, failed)] = small.rows(asked, gone)
    assert (since <= first, failed) == (True, None)


def test_an_expired_contract_without_bars_fails_in_some_loads(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    gone, bars = "SHFE.cu2510", ("trading_day", "contract_daily")
    served = World(("SHFE.cu",), first=date(2025, 10, 13), end=END, ticks_per_day=200)
    with bench(served, new_database(), tmp_path, clock="2025-10-14T17:00:00") as made:
        assert made.load().status == "succeeded"
        made.sandbox.set_clock(END)
        made.sandbox.faults.add(f"unknown:symbol={gone}")
        for times in (1, REPEATS):
            made.execute(
                f"update raw_tq.daily_harvest set failed = {times - 1}, fetched_at = "
                f"fetched_at - interval '1 day' where {times} > 1"
            )
            result = made.load(datasets=bars)
            [(key, why)] = [f for task in result.tasks for f in task.failures.items()]
            assert (result.status, key) == ("partial", gone)
            assert re.search(f"expired: night {times} of {REPEATS} ", why)
        made.asked()
        assert made.load(datasets=bars).status == "succeeded"
        assert made.asked(gone) == []
