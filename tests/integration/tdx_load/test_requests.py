"""Which days and datasets a request means, and what a realtime load does when it cannot run."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta

import pytest

from loaders.engine import packages as load_packages
from loaders.engine.result import LoadResult
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.check import check
from loaders.trading_time import SHANGHAI
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import UsageError
from tests.integration.tdx_load.bench import Bench

CODE = "sh600000"


@pytest.fixture
def monday(
    open_bench: Callable[..., AbstractContextManager[Bench]], small_market: SyntheticMarket
) -> Iterator[Bench]:
    """The small market on Monday 2025-06-30 after the close."""
    with open_bench(small_market) as made:
        yield made


def datasets(result: LoadResult) -> list[str]:
    return list(dict.fromkeys(task.dataset for task in result.tasks))


def test_a_day_without_trading_is_refused_with_the_trading_day_before_it(monday: Bench) -> None:
    with pytest.raises(UsageError, match=r"2025-06-29 is not a trading day.*2025-06-27") as refused:
        monday.load(codes=(CODE,), datasets=("kline_daily",), options={"date": "2025-06-29"})
    assert "--date 2025-06-27" in refused.value.hint
    with pytest.raises(UsageError, match="2025-07-01 "):
        monday.load(codes=(CODE,), datasets=("kline_daily",), options={"date": "2025-07-01"})
    with pytest.raises(UsageError, match="--since or --until"):
        monday.load(options={"date": "last"}, since=date(2025, 6, 1))
    with pytest.raises(UsageError, match=r"2025-06-29 is not a trading day"):
        monday.load(codes=(CODE,), datasets=("kline_daily",), options={"date": "yesterday"})
    with pytest.raises(UsageError, match="'someday'"):
        monday.load(options={"date": "someday"})


def test_last_means_the_newest_day_that_has_ended(monday: Bench) -> None:
    monday.sandbox.set_clock(datetime(2025, 6, 30, 11, 0))

    result = monday.load(codes=(CODE,), datasets=("kline_daily",), options={"date": "last"})

    assert result.status == "succeeded"
    assert monday.rows("select max(trade_date), min(trade_date) from raw_tdx.kline_daily") == [
        (date(2025, 6, 27), date(2025, 6, 27))
    ]
    parameters = monday.rows("select parameters ->> 'since' from ops.ingestion_jobs")
    assert parameters == [("2025-06-27",)]


@pytest.mark.long
def test_each_mode_has_the_datasets_that_it_is_about(monday: Bench) -> None:
    monday.load(mode="init", codes=(CODE,), datasets=None)
    after_close = monday.load(codes=(CODE,), datasets=None)
    realtime = monday.load(mode="realtime", codes=(CODE,), datasets=None)

    by_job = monday.rows(
        "select job_id, array_agg(distinct dataset order by dataset) from ops.ingestion_job_tasks "
        "group by job_id order by job_id"
    )
    always = {"codes", "trading_calendar", "kline_daily", "minute_1m", "corporate_actions"}
    assert [set(loaded) for _, loaded in by_job] == [
        {*always, "stock_info", "quote_snapshot"},
        {*always, "tick_trade"},
        {"minute_1m", "tick_trade", "quote_snapshot"},
    ]
    assert datasets(after_close)[:3] == ["codes", "trading_calendar", "kline_daily"]
    assert realtime.status == "succeeded"


def test_a_realtime_load_does_nothing_on_a_day_without_trading(monday: Bench) -> None:
    monday.sandbox.set_clock(datetime(2025, 6, 29, 10, 0))
    before = len(monday.sandbox.log)

    result = monday.load(mode="realtime", codes=(CODE,), datasets=None)

    assert (result.status, result.exit_code, result.tasks) == ("succeeded", 0, ())
    assert any(line.startswith("2025-06-29 ") for line in monday.heard.lines)
    assert len(monday.sandbox.log) == before


def test_a_realtime_load_takes_no_day_and_no_dataset_of_ended_days(monday: Bench) -> None:
    with pytest.raises(UsageError, match="loads today"):
        monday.load(mode="realtime", options={"date": "last"}, datasets=None)
    with pytest.raises(UsageError, match=r"kline_daily: .* --mode realtime"):
        monday.load(mode="realtime", datasets=("kline_daily",))


def test_a_realtime_load_is_skipped_while_another_load_runs(monday: Bench) -> None:
    monday.load(codes=(CODE,), datasets=("kline_daily",))
    with load_lock(open_warehouse(monday.settings), "tdx"):
        result = monday.load(mode="realtime", codes=(CODE,), datasets=None)

    assert (result.status, result.exit_code, result.job_id) == ("skipped", 0, None)
    assert any(line.startswith("skipped: another load of tdx") for line in monday.heard.lines)
    assert monday.rows("select count(*) from ops.ingestion_jobs") == [(1,)]


def test_a_realtime_load_waits_its_turn_where_the_settings_say_so(
    monday: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loaders.warehouse.lock.QUEUE_POLL", 0.01)
    monday.load(codes=(CODE,), datasets=("kline_daily",))
    monday.settings = monday.settings.model_copy(
        update={"tdx": monday.settings.tdx.model_copy(update={"realtime_when_busy": "queue"})}
    )
    waiting = threading.Event()
    heard = monday.heard.line

    def line(text: str) -> None:
        heard(text)
        if text.startswith("waiting: another load of tdx"):
            waiting.set()

    monkeypatch.setattr(monday.heard, "line", line)
    results: list[LoadResult] = []
    with load_lock(open_warehouse(monday.settings), "tdx"):
        second = threading.Thread(
            target=lambda: results.append(
                monday.load(mode="realtime", codes=(CODE,), datasets=("quote_snapshot",))
            )
        )
        second.start()
        assert waiting.wait(timeout=60)
        assert not results
    second.join(timeout=60)
    assert [result.status for result in results] == ["succeeded"]


@pytest.mark.long
def test_a_full_package_ends_and_the_next_one_goes_on(
    monday: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = tuple(
        row[0]
        for row in (
            monday.load(datasets=("codes",)),
            monday.rows(
                "select code from raw_tdx.security where instrument_type = 'stock' "
                "and code like 'sh%' order by code limit 4"
            ),
        )[1]
    )
    monday.settings = monday.settings.model_copy(
        update={"tdx": monday.settings.tdx.model_copy(update={"concurrency": 1})}
    )
    whole = monday.load(codes=codes, datasets=("kline_daily",))
    rows = monday.klines()
    monday.execute("drop schema raw_tdx, raw_tq, raw_ib, ops cascade")
    for most in ("MOST_ROWS", "MOST_FIRST_ROWS"):
        monkeypatch.setattr(load_packages, most, 50)

    cut = monday.load(codes=codes, datasets=("kline_daily",))

    assert monday.klines() == rows
    assert [(t.dataset, t.status, t.done) for t in cut.tasks] == [
        (t.dataset, t.status, t.done) for t in whole.tasks
    ]
    packages = monday.rows("select count(*) from ops.landed_files where table_name = 'kline_daily'")
    assert packages[0][0] > 1
    cursor = monday.rows(
        "select cursor_payload from ops.ingestion_job_tasks where dataset = 'kline_daily'"
    )
    assert cursor == [({"key": codes[-1], "cursor": "2025-06-30", "package": packages[0][0]},)]


def test_the_modes_know_only_datasets_that_exist() -> None:
    from loaders.tdx import plan

    assert {name for names in plan.DEFAULTS.values() for name in names} <= set(plan.NAMES)


def test_a_check_says_that_a_service_has_ended(monday: Bench) -> None:
    now = monday.sandbox.clock.replace(tzinfo=SHANGHAI)
    for later, says in ((1, []), (10, [f"the service itself ends on {now.date()}"])):
        warnings = check(monday.settings, now + timedelta(days=later)).figures["warnings"]
        assert [text.partition(":")[0] for text in warnings if "itself" in text] == says
