"""Whatever the service does, rows are right or absent, the load says what happened, and the next
load, once the service is well, leaves what an undisturbed one leaves."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.result import LoadResult
from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from tests.bench import warehouse_url
from tests.faults.scene import assert_same, facts
from tests.integration.tdx_load.bench import Bench, Heard, bench

OpenBench = Callable[..., AbstractContextManager[Bench]]
Facts = dict[str, list[tuple[Any, ...]]]
CODE = "sh600000"
# small packages: part of a dataset has landed when the service fails in the middle of it
SLICED = {"slice_size": 3, "batch_size": 6}
# two loads, a day apart, bring the three days of minutes that the undisturbed one brings
MINUTE_DAYS = 2


@pytest.fixture
def open_bench(
    new_database: Callable[[], str], market: SyntheticMarket, tmp_path: Path, actions_file: Path
) -> OpenBench:
    common = SLICED | {"corporate_actions": str(actions_file)}

    def open_(**options: Any) -> AbstractContextManager[Bench]:
        return bench(market, new_database(), tmp_path, **(common | options))

    return open_


@pytest.fixture(scope="module")
def undisturbed_dsn(
    new_database: Callable[[], str],
    market: SyntheticMarket,
    actions_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """A warehouse that was loaded once, with nothing in the way."""
    home, dsn = tmp_path_factory.mktemp("undisturbed"), new_database()
    with bench(market, dsn, home, corporate_actions=str(actions_file), **SLICED) as made:
        assert made.load().exit_code == 0
    return dsn


@pytest.fixture(scope="module")
def undisturbed(undisturbed_dsn: str) -> Facts:
    return facts(undisturbed_dsn)


def facts_of(loads: Bench, *, times: bool = True) -> Facts:
    return facts(warehouse_url(loads.settings), times=times)


def said(result: LoadResult) -> str:
    """The text of all failures of a load."""
    failures = [why for task in result.tasks for why in task.failures.values()]
    return "\n".join([*result.warnings, *failures, result.error or "", result.hint])


def assert_kept(loads: Bench, undisturbed: Facts) -> None:
    """Every row is a row of the undisturbed load."""
    for table, rows in facts_of(loads).items():
        if table not in ("ingestion_state", "cursors"):
            surplus = set(rows) - set(undisturbed[table])
            assert not surplus, f"{table}: {sorted(surplus, key=str)[:3]}"


def assert_complete(again: LoadResult, loads: Bench, undisturbed: Facts) -> None:
    """The later load succeeded and left what an undisturbed one leaves."""
    assert again.exit_code == 0, said(again)
    assert_same(facts_of(loads), undisturbed)


def asked(loads: Bench) -> list[str]:
    return [entry.params["code"] for entry in loads.sandbox.log if entry.route == "kline-all"]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing-field:codes:field=name", "field codes.name: is missing"),
        ("empty:codes", "code list is empty"),
        ("calendar-empty", "trading calendar is empty"),
        ("timeout:kline-all", "no response in time for 10 different codes in a row"),
        ("outage:after=7", "TDX service outage"),
    ],
)
def test_what_no_code_can_load_without_ends_the_load_until_a_retry(
    open_bench: OpenBench, undisturbed: Facts, fault: str, words: str
) -> None:
    with open_bench(faults=[fault], retries=0) as loads:
        result = loads.load()

        assert words in said(result)
        assert result.exit_code == 4
        assert_kept(loads, undisturbed)
        loads.sandbox.faults.clear()
        again = loads.load(retry=True)
        assert_complete(again, loads, undisturbed)


def test_a_field_that_nobody_knows_is_not_landed_and_reported_once(
    open_bench: OpenBench, undisturbed: Facts
) -> None:
    with open_bench(faults=["extra-field:kline-all:field=Turnover"]) as loads:
        result = loads.load()

        reports = [w for w in result.warnings if "Turnover" in w]
        assert len(reports) == 1
        bars = loads.rows("select count(*) from raw_tdx.kline_daily")[0][0]
        assert f"({bars:,} times)" in reports[0]
        assert result.exit_code == 0
        assert_same(facts_of(loads), undisturbed)


def test_a_service_that_is_down_is_named_and_the_load_after_it_is_complete(
    open_bench: OpenBench, undisturbed: Facts
) -> None:
    with open_bench(retries=0) as loads:
        port = int(loads.sandbox.url.rpartition(":")[2])
        loads.sandbox.stop()
        result = loads.load()

        assert result.exit_code == 4
        assert result.status == "failed"
        assert f" 127.0.0.1:{port}" in said(result)
        assert "loaders check tdx" in result.hint
        assert loads.rows("select count(*) from raw_tdx.security") == [(0,)]
        with TdxSandbox(loads.sandbox.world, port=port):
            again = loads.load(retry=True)
        assert_complete(again, loads, undisturbed)


def test_a_retry_after_an_outage_asks_only_for_what_is_left(
    open_bench: OpenBench, undisturbed: Facts
) -> None:
    class Cutting(Heard):
        """Takes the service away once two packages of bars have landed."""

        codes = 0

        def advance(self, dataset: str, keys: int) -> None:
            self.codes += dataset == "kline_daily"
            if self.codes == 7:
                loads.sandbox.stop()

    with open_bench(retries=0) as loads:
        loads.heard = Cutting()
        port = int(loads.sandbox.url.rpartition(":")[2])
        result = loads.load()

        assert result.exit_code == 4
        assert "TDX service outage" in said(result)
        assert_kept(loads, undisturbed)
        landed = {row[0] for row in loads.klines()}
        assert len(landed) >= 6
        loads.heard = Heard()
        with TdxSandbox(
            loads.sandbox.world, port=port, options=Options(timeout_delay=0.0)
        ) as loads.sandbox:
            again = loads.load(retry=True)
            left = set(asked(loads))
        assert_complete(again, loads, undisturbed)
        # but those whose last bar is older than the last day: suspended, or no longer traded
        stale = {
            row[0]
            for row in loads.rows(
                "select code from raw_tdx.kline_daily group by code "
                "having max(trade_date) < (select max(trade_date) from raw_tdx.kline_daily)"
            )
        }
        assert left & landed <= stale


def test_a_half_bar_after_the_close_is_replaced_by_the_next_day(
    open_bench: OpenBench, undisturbed_dsn: str, days: list[date]
) -> None:
    faults = [f"unfinished:kline-all:code={CODE}", "unfinished:index/all"]
    with open_bench(clock=days[-2], faults=faults, minute_days=MINUTE_DAYS) as loads:
        loads.load()
        loads.sandbox.faults.clear()
        loads.sandbox.set_clock(days[-1], restart=True)
        loads.load()

        assert_same(facts_of(loads, times=False), facts(undisturbed_dsn, times=False))
