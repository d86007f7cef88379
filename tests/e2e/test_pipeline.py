"""Load and build together: what is built, when nothing is, what the exit code says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loaders import loads
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.landing import change_feed
from loaders.sandbox.tdx.replay import ReplayMarket
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.tables import KLINE_DAILY
from loaders.warehouse.postgres import open_warehouse
from orchestration.checks import gather, status
from orchestration.cli.touch import touch_command
from orchestration.run import build, stages
from orchestration.run.dbt_commands import run_dbt
from orchestration.run.stages import RunResult
from quotemill.errors import UsageError
from tests.conftest import DBT_DATABASE
from tests.integration.tdx_load.bench import Bench, bench

pytestmark = pytest.mark.usefixtures("models_alone")
MARKET = SyntheticMarket(codes=12, days=40, seed=5)
DAYS = [day for day in MARKET.days if day <= MARKET.end.date()]
ADJUSTED = "select * from market.kline_daily_qfq order by code, trade_date"
MARTS = (
    "symbol_dim",
    "trading_calendar",
    "corporate_actions",
    "adjustment_segments",
    "kline_daily",
    "kline_daily_hfq",
    "kline_daily_qfq",
    "kline_weekly_qfq",
    "kline_monthly_qfq",
    "index_kline_daily",
)


@contextmanager
def opened(dsn: str, home: Path, **options: Any) -> Iterator[Bench]:
    home.mkdir(exist_ok=True)
    with bench(MARKET, dsn, home, **options) as made:
        yield made


def run(bench_: Bench, **options: Any) -> RunResult:
    """The stages of a run; its load is the bench's, at the bench's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loads, "try_load", lambda *_, **__: bench_.load(**options))
        display = partial(nullcontext, bench_.heard)
        return stages.run(bench_.settings, [LoadRequest("tdx")], display, bench_.heard.line)


@pytest.fixture
def warehouse_dsn(new_database: Callable[..., str]) -> str:
    """An empty database of the name for which the project is parsed."""
    return new_database(DBT_DATABASE)


@pytest.fixture(scope="session")
def first_run() -> list[RunResult]:
    """What the run said that made the warehouse of `market_bench`."""
    return []


@pytest.fixture
def market_bench(
    filled_database: Callable[..., str], first_run: list[RunResult], tmp_path: Path
) -> Iterator[Bench]:
    """The market after its first run, on the day before its last."""

    def fill(dsn: str) -> None:
        with (
            opened(dsn, tmp_path / "first", clock=DAYS[-2]) as made,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.delenv("DBT_EXCLUDE_RESOURCE_TYPES")  # dbt's tests, too
            first_run.append(run(made))

    dsn = filled_database("pipeline", fill, DBT_DATABASE)
    with opened(dsn, tmp_path, clock=DAYS[-2]) as made:
        yield made


@pytest.fixture
def loaded_bench(filled_database: Callable[..., str], tmp_path: Path) -> Iterator[Bench]:
    """The market after its first load, not built."""

    def fill(dsn: str) -> None:
        with opened(dsn, tmp_path / "first", clock=DAYS[-2]) as made:
            made.load()

    dsn = filled_database("pipeline, not built", fill, DBT_DATABASE)
    with opened(dsn, tmp_path, clock=DAYS[-2]) as made:
        yield made


def test_a_new_day_is_built_and_a_run_without_one_builds_no_row(
    market_bench: Bench, first_run: list[RunResult]
) -> None:
    [first] = first_run
    assert first.exit_code == 0
    assert first.build is not None
    assert first.build.tests_passed > 0
    assert first.build.tests_failed == 0

    market_bench.sandbox.set_clock(DAYS[-1])
    second = run(market_bench)

    newest = market_bench.rows("select max(trade_date), count(*) from market.kline_daily_qfq")
    assert newest[0][0] == DAYS[-1]
    assert second.build is not None
    assert "source:raw_tdx.kline_daily+" in second.build.command
    # unit tests prove SQL and read no row; findings are judged after the build
    left_out = "--exclude resource_type:unit_test tag:whole_tables test_name:no_rows"
    views = "config.materialized:replaced_view,group:warehouse --indirect-selection empty"
    assert first.build.command == f"build {left_out}"
    assert second.build.command.endswith(f"+ {left_out} {views}")
    assert 0 < second.build.rows_written < first.build.rows_written

    third = run(market_bench)
    assert third.loads[0].total("rows_new") + third.loads[0].total("rows_changed") == 0
    assert third.build is None


def test_a_loaded_market_passes_the_tests_of_whole_tables(market_bench: Bench) -> None:
    assert run_dbt(market_bench.settings, ["test", "--select", "tag:whole_tables"]) == 0


def test_new_errors_end_a_run_with_5_and_open_ones_do_not(
    market_bench: Bench,
) -> None:
    spoil = (
        "update raw_tdx.kline_daily set high = low - 10 "
        "where (code, trade_date) = (select code, min(trade_date) from raw_tdx.kline_daily "
        "where high >= low group by code order by code limit 1)"
    )
    tell = "insert into ops.changes (table_name) values ('raw_tdx.kline_daily')"
    market_bench.execute(spoil)
    market_bench.execute(tell)
    market_bench.sandbox.set_clock(DAYS[-1])

    result = run(market_bench)

    assert result.judgement is not None
    assert result.judgement.counts["error"] == 1
    assert result.exit_code == 5
    assert result.build is not None
    assert result.build.succeeded
    standing = run(market_bench)
    assert standing.judgement is not None
    assert (standing.exit_code, standing.judgement.counts["error"]) == (0, 1)
    listed = status.read_status(
        market_bench.settings, open_warehouse(market_bench.settings)
    ).findings
    assert [f.state for f in listed if f.severity == "error"] == ["standing"]

    market_bench.execute(spoil)
    market_bench.execute(tell)
    build.build(market_bench.settings, open_warehouse(market_bench.settings), Silent)
    market_bench.settings = market_bench.settings.model_copy(update={"finding_limit": 1})
    within = run(market_bench)
    assert within.judgement is not None
    assert within.judgement.new["error"] == 1
    assert within.exit_code == 0


@pytest.mark.soak
def test_a_run_on_a_real_index_with_holes_has_no_findings_on_those_days(
    warehouse_dsn: str, real_tdx_data: Path, tmp_path: Path
) -> None:
    world = ReplayMarket(real_tdx_data)
    served = {date.fromisoformat(stamp[:10]) for stamp in world.day_bars("sh000001").stamps}
    world.days[:] = [day for day in world.days if day in served]  # as the service has its calendar
    with bench(world, warehouse_dsn, tmp_path) as made:
        result = run(made, codes=("sz000002",))

        assert result.judgement is not None
        assert (result.exit_code, result.judgement.counts.get("error")) == (0, None)
        holes = made.rows(
            "select min(k.trade_date), max(k.trade_date), count(*) from market.kline_daily as k "
            "join market.trading_calendar as c using (trade_date) where not c.is_served"
        )
        assert holes == [(date(1991, 5, 9), date(1995, 4, 20), 15)]  # one more is no traded day
        about_days = made.rows(
            "select distinct check_name from qa.findings where trade_date < '1996-01-01'"
        )
        assert ("non_trading_day",) not in about_days


@pytest.mark.soak
def test_another_name_of_the_schema_is_built_though_nothing_was_written(
    market_bench: Bench,
) -> None:
    market_bench.settings = market_bench.settings.model_copy(update={"market_schema": "cn_market"})

    assert run(market_bench).exit_code == 0

    query = "select max(trade_date) from cn_market.kline_daily_qfq"
    assert market_bench.rows(query) == [(DAYS[-2],)]

    def left_over() -> dict[str, str]:
        checks = gather.examine(market_bench.settings)
        return {check.name: check.fix.split("'")[1] for check in checks if check.name == "schemas"}

    # the earlier name's tables stay until somebody drops them
    drop = (
        "drop schema futures, market, options, qa, quotemill_intermediate, quotemill_staging "
        "cascade"
    )
    assert left_over() == {"schemas": drop}
    market_bench.execute(drop)
    assert run(market_bench).exit_code == 0
    assert left_over() == {}
    forgotten = market_bench.rows(
        "select schema_name from ops.owned_schema where schema_name in ('market', 'qa') union all "
        "select reader from ops.change_cursors where reader like 'market.%' union all "
        "select relation_name from ops.managed_relation where schema_name = 'market'"
    )
    assert forgotten == []


def test_plain_and_own_builds_make_the_same_objects(
    market_bench: Bench, request: pytest.FixtureRequest
) -> None:
    objects = (
        "select n.nspname, c.relname, c.relkind::text from pg_class as c "
        "join pg_namespace as n on n.oid = c.relnamespace "
        "where n.nspname in ('market', 'qa') and c.relkind in ('r', 'v', 'm') order by 1, 2"
    )
    ours = market_bench.rows(objects), market_bench.rows(ADJUSTED)
    plain: Bench = request.getfixturevalue("loaded_bench")  # its database takes the other's place
    warehouse = open_warehouse(plain.settings)
    assert plain.rows("select to_regclass('market.kline_daily_qfq')") == [(None,)]
    assert build.invoke(plain.settings, warehouse, ["build"], quiet=True).success

    assert (plain.rows(objects), plain.rows(ADJUSTED)) == ours


@pytest.mark.parametrize(
    "zone", ["America/New_York", pytest.param("Asia/Shanghai", marks=pytest.mark.soak)]
)
def test_the_time_zone_of_the_role_changes_no_table(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    warehouse = open_warehouse(market_bench.settings)

    def tables() -> list[list[tuple[Any, ...]]]:
        query = "select t::text from market.{} as t order by 1"
        with warehouse.connect() as conn:
            return [conn.execute(query.format(mart).encode()).fetchall() for mart in MARTS]

    in_utc = tables()
    assert all(in_utc)
    with warehouse.connect(autocommit=True) as conn:
        role, database = conn.info.user, conn.info.dbname
        conn.execute(f"alter role {role} in database {database} set timezone to '{zone}'".encode())
    # dbt's tests of the data, too
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "unit_test")
    outcome = build.invoke(
        market_bench.settings, warehouse, ["build", "--full-refresh"], quiet=True
    )
    assert outcome.success
    assert tables() == in_utc


def test_a_touch_builds_rows_that_were_edited_by_hand(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse = open_warehouse(market_bench.settings)
    monkeypatch.setattr("orchestration.cli.touch.load_settings", lambda: market_bench.settings)
    [(code,)] = market_bench.rows("select min(code) from raw_tdx.kline_daily")
    adjusted = (
        "select distinct code from market.adjustment_segments where valid_from > '1900-01-01'"
    )
    codes_with_actions = sorted(c for (c,) in market_bench.rows(adjusted))
    last, added = str(DAYS[-2]), "2099-01-01"

    assert len(codes_with_actions) > 1
    market_bench.execute(f"delete from raw_tdx.kline_daily where code = '{code}'")
    market_bench.execute(f"delete from raw_tdx.trading_day where trade_date = '{last}'")
    market_bench.execute(
        "insert into raw_tdx.trading_day select * from jsonb_populate_record("
        "(select t from raw_tdx.trading_day as t limit 1), "
        f"jsonb_build_object('trade_date', '{added}'))"
    )
    market_bench.execute("truncate raw_tdx.corporate_action")
    assert build.build(market_bench.settings, warehouse, Silent, only_touched=True) is None

    touch_command("kline_daily", codes=f"{code},sh1", since=None)
    for table in ("raw_tdx.trading_day", "raw_tdx.corporate_action"):
        touch_command(table, codes=None, since=None)

    said = capsys.readouterr().err
    assert "sh1: no rows in raw_tdx.kline_daily" in said
    assert f"touched raw_tdx.kline_daily: {code}, sh1" in said
    built = build.build(market_bench.settings, warehouse, Silent, only_touched=True)
    assert built is not None
    assert "--select source:raw_tdx.kline_daily+" in built.command
    # bars of the other codes still show the day that was deleted
    days = (
        "select trade_date::text, source = 'bars' from market.trading_calendar "
        f"where trade_date in ('{last}', '{added}') order by 1"
    )
    assert market_bench.rows(days) == [(last, True), (added, False)]
    assert market_bench.rows(f"select 1 from market.kline_weekly_qfq where code = '{code}'") == []
    assert market_bench.rows(adjusted) == []
    for wrong in ({"codes": " "}, {"since": "long ago"}):
        with pytest.raises(UsageError):
            touch_command("kline_daily", **({"codes": None, "since": None} | wrong))


def test_changed_tables_build_no_view_but_test_them(
    market_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "info")
    monkeypatch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "unit_test")
    warehouse = open_warehouse(market_bench.settings)
    market_bench.execute("insert into ops.changes (table_name) values ('raw_tdx.kline_daily')")
    partial = build.build(market_bench.settings, warehouse, Silent, only_touched=True)
    said = (market_bench.settings.home / "logs" / "dbt.log").read_text("utf-8")
    market_bench.execute("insert into ops.changes (table_name) values ('raw_tdx.kline_daily')")
    market_bench.execute("drop view market.suspensions")

    whole = build.build(market_bench.settings, warehouse, Silent, only_touched=True)

    assert partial is not None
    assert whole is not None
    assert partial.succeeded
    assert whole.succeeded
    assert "kline_daily_qfq" in partial.built
    assert not {"kline_daily", "suspensions", "freshness_tdx"} & {*partial.built}
    assert "PASS unique_freshness_tdx_dataset" in said
    assert {"kline_daily", "suspensions"} <= {*whole.built}  # as one view was gone


def test_a_touched_table_that_no_model_reads_builds_nothing(market_bench: Bench) -> None:
    warehouse = open_warehouse(market_bench.settings)
    market_bench.execute("insert into ops.changes (table_name) values ('raw_toy.price')")

    built = build.build(market_bench.settings, warehouse, Silent, only_touched=True)

    assert built is not None
    assert (built.succeeded, built.models_built) == (True, 0)
    assert build.build(market_bench.settings, warehouse, Silent, only_touched=True) is None


@pytest.mark.soak
def test_a_second_market_schema_is_built_and_judged_by_tables_of_its_own(
    market_bench: Bench,
) -> None:
    settings = market_bench.settings.model_copy(update={"market_schema": "research"})
    warehouse = loads.prepare_warehouse(settings, market_bench.heard)

    built = build.build(settings, warehouse, Silent)

    assert built is not None
    assert built.succeeded
    assert market_bench.rows("table research.kline_daily_qfq order by 1, 2") == market_bench.rows(
        "table market.kline_daily_qfq order by 1, 2"
    )
    market_bench.execute("drop schema qa cascade")
    assert len(status.read_status(market_bench.settings, warehouse).freshness) > 1
    assert build.build(settings, warehouse, Silent, only_touched=True) is None
    ours = open_warehouse(market_bench.settings)
    remade = build.build(market_bench.settings, ours, Silent, only_touched=True)
    assert remade is not None  # what was dropped
    assert remade.succeeded
    assert build.build(market_bench.settings, ours, Silent, only_touched=True) is None
    # each sees a change
    with ours.connect() as conn:
        conn.execute("update raw_tdx.kline_daily set high = 2 * high")
        change_feed.touch(conn, KLINE_DAILY)
    highs = "select max(high) from {}.kline_daily_qfq"
    for of, schema in ((settings, warehouse), (market_bench.settings, ours)):
        before = market_bench.rows(highs.format(schema.market_schema))
        changed = build.build(of, schema, Silent, only_touched=True)
        assert changed is not None
        assert changed.succeeded
        assert market_bench.rows(highs.format(schema.market_schema)) != before


def test_without_a_source_of_actions_status_and_findings_say_so(
    warehouse_dsn: str, tmp_path: Path
) -> None:
    with opened(warehouse_dsn, tmp_path, corporate_actions=None) as made:
        result = run(made)
        shown = status.read_status(
            made.settings,
            open_warehouse(made.settings),
            as_of=datetime.fromisoformat(f"{DAYS[-1]}T20:00:00+08:00"),
        )

        assert result.exit_code == 0
        [why] = made.rows(
            "select evidence from qa.findings where check_name = 'no_corporate_action_source'"
        )
        assert result.unadjusted == why[0]
        first = shown.problems[0]
        assert f"{first.sentence}; fix: {first.fix}" == f"corporate_actions: {why[0]}"
