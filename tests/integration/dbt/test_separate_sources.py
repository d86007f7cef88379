"""A source that cannot be read costs no other source its findings or freshness."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestration.report import gather
from orchestration.report.gather import Report
from orchestration.run import findings
from quotemill.warehouse.postgres import Warehouse
from tests.bench import settings_at
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.option_days import WEDNESDAY, build_days
from tests.integration.dbt.raw import bar, land, security, trading_day, weekdays
from tests.integration.dbt.raw_futures import Harvest, evening_before, land_days, land_harvests
from tests.integration.dbt.raw_options import (
    slot_run,
)

DAYS = weekdays(date(2025, 9, 22), 8)
AS_OF = "2026-12-20 23:00+08"
UNREAD = "check_failed"


@pytest.fixture
def manifest(parsed: Parsed) -> Any:
    """The parsed project."""
    return parsed.manifest


def build_sources(conn: psycopg.Connection, dbt: Dbt) -> None:
    """A warehouse with rows of all sources, judged late enough that each has findings."""
    land(conn, "security", [security("sh600000")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    land(conn, "kline_daily", [bar("sh600000", day, "10", volume=7) for day in DAYS])
    land_days(conn, DAYS)
    event = (DAYS[0], evening_before(DAYS[0]), "SHFE.cu2510")
    land_harvests(conn, [Harvest("SHFE.cu", DAYS[0], DAYS[2], [event])])
    conn.execute(
        "insert into ops.ingestion_state (source, dataset, key) values ('ib', 'session', 'NYSE')"
    )
    tables = "config.materialized:followed"
    dbt("run", "-s", f"+qa_bars,{tables}", f"+main_schedule,{tables}")


# days of options, and of the other sources
pytestmark = pytest.mark.warehouse(Parsed.build_models, build_days, build_sources)


@pytest.fixture
def three_sources(conn: psycopg.Connection) -> psycopg.Connection:
    conn.execute(f"set quotemill.as_of = '{AS_OF}'".encode())
    return conn


def list_sources(manifest: Any, name: str) -> set[str]:
    """The sources of landed rows that a node reads, also through others."""
    names = {name}
    waiting = [name]
    while waiting:
        node = manifest.nodes.get(waiting.pop())
        below = set(getattr(node and node.depends_on, "nodes", ())) - names
        names |= below
        waiting += below
    schemas = {manifest.sources[name].schema for name in names if name in manifest.sources}
    return {name.removeprefix("raw_") for name in schemas if name.startswith("raw_")}


def read_parts(conn: psycopg.Connection) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """The rows of findings and freshness."""
    return (
        set(conn.execute("select * from qa.findings").fetchall()),
        set(conn.execute("select * from qa.freshness").fetchall()),
    )


def staging_views(conn: psycopg.Connection, source: str) -> Iterator[str]:
    for (name,) in conn.execute(
        "select viewname from pg_views where schemaname = 'quotemill_staging' "
        "and viewname like %s order by 1",
        (f"stg\\_{source}\\_\\_%",),
    ).fetchall():
        yield f"quotemill_staging.{name}"


def break_view(conn: psycopg.Connection, view: str) -> None:
    """Make each read of a view fail, as a value does that it cannot cast."""
    [(query,)] = conn.execute("select rtrim(pg_get_viewdef(%s::regclass), ';')", (view,))
    condition = "1 / length(left(current_user, 0)) = 1"
    text = f"create or replace view {view} as select * from ({query}) as q where {condition}"
    conn.execute(text.encode())


def test_each_part_of_findings_and_freshness_reads_one_source(manifest: Any) -> None:
    for union in ("findings", "freshness"):
        parts = manifest.nodes[f"model.quotemill.{union}"].depends_on.nodes
        assert len(parts) > 2
        assert {name: list_sources(manifest, name) for name in parts} == {
            name: sources for name in parts if len(sources := list_sources(manifest, name)) <= 1
        }


@pytest.mark.parametrize("source", ["tdx", "tq", "ib"])
def test_a_broken_staging_view_costs_only_the_rows_of_its_source(
    three_sources: psycopg.Connection, manifest: Any, source: str
) -> None:
    conn = three_sources
    before, fresh = read_parts(conn)
    assert {row[1] for row in fresh} == {"tdx", "tq", "ib"}
    parts = manifest.nodes["model.quotemill.findings"].depends_on.nodes
    own = {name.rpartition(".")[2] for name in parts if source in list_sources(manifest, name)}
    assert {row[5] for row in before} <= {name.rpartition(".")[2] for name in parts}
    costs = set[str]()
    for view in staging_views(conn, source):
        with conn.transaction(force_rollback=True):
            break_view(conn, view)
            left, dated = read_parts(conn)
            failed = {row[2] for row in left if row[0] == UNREAD}
            assert failed <= own, view
            assert failed == {row[5] for row in left if row[0] == UNREAD}
            assert all("division by zero; fix: " in row[4] for row in left if row[0] == UNREAD)
            # what else is gone are findings of the checks that failed
            assert {row for row in left if row[0] != UNREAD} <= before, view
            assert {row for row in fresh if row[1] != source} <= dated, view
            if not failed:
                assert left == before, view
            costs |= failed
    assert f"qa_stale_{source}" in costs
    assert read_parts(conn) == (before, fresh)


def test_a_check_that_cannot_be_read_rings_once_and_hides_no_other(
    three_sources: psycopg.Connection,
) -> None:
    conn = three_sources

    def judge() -> set[str]:
        """The findings of one night that are new errors."""
        with conn.transaction():
            findings.judge(conn, "qa", report=True)
        errors = findings.list_findings(conn, "qa", severity="error", states=["new"])
        return {f.subject for f in errors if f.check_name == UNREAD}

    stored = "select count(*) from ops.seen_findings where check_name <> %s"
    assert judge() == set()
    before = conn.execute(stored, (UNREAD,)).fetchall()
    options = "quotemill_staging.stg_ib__gateway_event"
    [(query,)] = conn.execute("select pg_get_viewdef(%s::regclass)", (options,))
    break_view(conn, options)
    assert judge() == {"qa_options"}
    assert judge() == set()
    break_view(conn, "quotemill_staging.stg_tq__rejected_row")
    assert judge() == {"qa_futures_loads"}
    assert conn.execute(stored, (UNREAD,)).fetchall() == before
    conn.execute(f"create or replace view {options} as {query}".encode())
    assert judge() == set()
    break_view(conn, options)
    assert judge() == {"qa_options"}


def test_the_report_has_the_other_sources_and_names_what_it_lacks(
    three_sources: psycopg.Connection, warehouse: Warehouse, tmp_path: Path
) -> None:
    conn, settings = three_sources, settings_at(warehouse.url, tmp_path)

    def read() -> Report:
        return gather.gather(settings, warehouse, None, datetime.fromisoformat(AS_OF))

    conn.execute(
        "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
        "as_of) values ('tdx', 'tdx', 'incremental', 'succeeded', 'test', '{}', now())"
    )
    captured = {"planned": 6, "captured": 6, "status": "complete"}
    land(conn, "raw_ib.slot_run", [slot_run("AAPL", WEDNESDAY) | captured])
    whole = read()
    assert [grid.key for grid in whole.grids] == ["symbols"]
    break_view(conn, "qa.qa_option_day")
    left = read()
    assert not left.grids
    assert {row["source"] for row in left.status.freshness} >= {"tdx", "tq"}
    lacking = {c.sentence.partition(" cannot be read: ")[0] for c in left.status.problems}
    assert "coverage of ib" in lacking
