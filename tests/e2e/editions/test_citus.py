"""A warehouse on a cluster with Citus has the rows of plain PostgreSQL."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.engine.progress import Silent
from loaders.sandbox.world.market import SyntheticMarket
from loaders.sources import landed_tables
from loaders.warehouse.distribution import add_codes, distribute_sql, is_distributed
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from orchestration.distribute import MODELS, distribute
from orchestration.run.build import build
from quotemill.errors import SettingsError
from tests.bench import settings_at
from tests.conftest import DBT_DATABASE
from tests.dbt_parse import Parsed
from tests.e2e.editions.built_rows import assert_same_rows, list_built_rows
from tests.e2e.editions.test_builds import (
    CODES as BUILT_CODES,
)
from tests.e2e.editions.test_builds import (
    DAYS as BUILT_DAYS,
)
from tests.e2e.editions.test_builds import (
    SELECTED,
    Rows,
    contents,
    first_days,
    gone_and_new,
    late_and_corrected,
)
from tests.e2e.editions.test_loads import CODES, COUNTED, DATASETS, DAYS, FEED, MINUTES, TICKS
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_intraday import ticks
from tests.integration.tdx_load.bench import bench, days_until

LOADED = (*DATASETS, "corporate_actions")
MOVES = ("pull to coordinator", "repartition", "Distributed Subplan", "MapMerge")
# rows of the feed with the number of another server's transaction; savepoints come after their own
OTHER_NUMBERS = """
    select * from ops.changes
    where xmin::text::bigint - xid::text::bigint not between 0 and 20
"""
DISTRIBUTED = "select logicalrelid::text from pg_dist_partition order by 1"
TABLES = [
    "market.kline_15m",
    "market.kline_30m",
    "market.kline_5m",
    "ops.distributed_code",
    "raw_tdx.kline_minute",
    "raw_tdx.tick_trade",
]


def test_two_days_of_loads_and_builds_make_the_rows_of_one_server(
    new_database: Callable[..., str],
    new_citus_database: Callable[..., str],
    parsed: Parsed,
    monkeypatch: pytest.MonkeyPatch,
    small_market: SyntheticMarket,
    tmp_path: Path,
) -> None:
    evenings = days_until(small_market)[-2:]

    def loaded(url: str, name: str) -> tuple[list[Any], list[Rows]]:
        home = tmp_path / name
        home.mkdir()
        with bench(small_market, url, home, clock=evenings[0]) as made:
            warehouse = open_warehouse(made.settings)
            prepare(warehouse, landed_tables())
            dbt, built = parsed.commands(warehouse, monkeypatch), []
            for evening in evenings:
                made.sandbox.set_clock(evening)
                assert made.load(codes=CODES, datasets=LOADED).exit_code == 0
                outcome = dbt("build", "--exclude", "resource_type:unit_test")
                assert outcome.success, outcome.error
                built.append(list_built_rows(made))
            # every row is read again, and none lands twice
            assert made.load(codes=CODES, datasets=LOADED, mode="init").exit_code == 0
            assert made.rows(OTHER_NUMBERS) == []
            if name == "citus":
                assert [row for (row,) in made.rows(DISTRIBUTED)] == TABLES
            landed = [made.rows(query) for query in (DAYS, MINUTES, TICKS, FEED, COUNTED)]
            return landed, built

    theirs, built = loaded(new_citus_database(DBT_DATABASE), "citus")
    plain, built_plain = loaded(new_database(DBT_DATABASE), "plain")

    assert all(plain)
    assert theirs == plain
    for mine, ours in zip(built, built_plain, strict=True):
        assert_same_rows(mine, ours)
    for name in ("market.kline_5m", "market.kline_60m_qfq", "market.tick_daily_summary"):
        assert built_plain[1][name]


def test_builds_make_the_rows_of_one_server(
    new_database: Callable[..., str],
    new_citus_database: Callable[..., str],
    parsed: Parsed,
    monkeypatch: pytest.MonkeyPatch,
    quick_builds: None,
    tmp_path: Path,
) -> None:
    def built(url: str) -> list[Any]:
        made = Parsed.prepared(url, tmp_path)
        after = []
        with made.connect(autocommit=True) as conn:
            if is_distributed(conn, "raw_tdx.kline_minute"):
                add_codes(conn, BUILT_CODES)  # as loads do
            for step in (first_days, late_and_corrected, gone_and_new):
                step(conn)
                outcome = parsed.commands(made, monkeypatch)("build", *SELECTED)
                assert outcome.success, outcome.error
                after.append(contents(conn))
            if is_distributed(conn, "market.kline_5m"):
                for model in MODELS:
                    assert _rows_moved(conn, model) == []
        return after

    theirs, plain = built(new_citus_database(DBT_DATABASE)), built(new_database(DBT_DATABASE))

    for step, (mine, ours) in enumerate(zip(theirs, plain, strict=True)):
        assert mine.keys() == ours.keys()
        for name in ours:
            assert mine[name] == ours[name], (step, name)
    assert [len(rows["kline_5m"]) for rows in plain] == [264, 288, 383]


def _rows_moved(conn: psycopg.Connection, model: str) -> list[str]:
    """The statements of an incremental build that move rows to another node, as it sent them."""
    folder = Path(os.environ["DBT_TARGET_PATH"]) / "run/quotemill/models/marts/market"
    statements = (folder / f"{model}.sql").read_text("utf-8").split(";")
    writes = [text for text in statements if "differing_" in text and "recorded" not in text]
    assert len(writes) == 5  # three for what differs, the deletion, the upsert
    moved = []
    with conn.transaction(force_rollback=True):
        for name, columns in (
            (f"taken_{model}", "code text, first_date date, last_date date"),
            (f"differing_{model}", f"like market.{model}, is_gone boolean"),
        ):
            table = f"quotemill_intermediate.{name}"
            conn.execute(f"create table {table} ({columns})".encode())
            conn.execute(distribute_sql(table))
        for statement in writes:
            plan = "\n".join(row[0] for row in conn.execute(f"explain {statement}".encode()))
            if "Custom Scan (Citus" not in plan or any(text in plan for text in MOVES):
                moved.append(plan)
    return moved


def test_existing_tables_are_distributed_with_their_rows(
    new_citus_database: Callable[..., str],
    quick_builds: None,
    models_alone: None,
    tmp_path: Path,
) -> None:
    url = new_citus_database(DBT_DATABASE)
    made = Parsed.prepared(url, tmp_path)
    settings = settings_at(url, tmp_path)
    lines: list[str] = []
    with made.connect(autocommit=True) as conn:
        for table in ("raw_tdx.kline_minute", "raw_tdx.tick_trade"):
            conn.execute("select undistribute_table(%s::regclass)", (table,))
        first_days(conn)
        land(conn, "tick_trade", ticks(BUILT_CODES[0], BUILT_DAYS[3], [("09:31", "10", 1, 0)]))
        built = build(settings, made, Silent, arguments=SELECTED)
        assert built is not None
        assert built.succeeded, built.failures
        conn.execute("analyze")
        for table in MODELS:
            conn.execute("select undistribute_table(%s::regclass)", (f"market.{table}",))
        before = contents(conn)

        planned = distribute(made, lines.append, dry_run=True)
        result = distribute(made, lines.append)

        names = [name for name in TABLES if name != "ops.distributed_code"]
        assert sorted(table.name for table in planned.tables) == names
        assert [table.name for table in result.tables] == [t.name for t in planned.tables]
        assert len(result.nodes) == 2
        assert [name for (name,) in conn.execute(DISTRIBUTED)] == TABLES
        assert contents(conn) == before
        late_and_corrected(conn)
        assert distribute(made, lines.append).tables == ()
        built = build(settings, made, Silent, arguments=SELECTED)
        assert built is not None
        assert built.succeeded, built.failures
        assert len(contents(conn)["kline_5m"]) == 288


def test_old_versions_of_distributed_tables_are_refused(
    new_citus_database: Callable[..., str], tmp_path: Path
) -> None:
    made = replace(Parsed.prepared(new_citus_database(), tmp_path), history=frozenset({TABLES[-1]}))

    with pytest.raises(SettingsError, match=r"tick_trade .*Citus"):
        prepare(made, landed_tables())
