"""Records of a warehouse that an older version made, in the tables of this one."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from loaders.engine import check_runs
from loaders.settings import load_settings
from loaders.warehouse import migration_files
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from orchestration.checks import reconcile
from orchestration.run import build_record, findings, history
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

FIRST = "0011"  # the first migration that moves records


@pytest.fixture
def old(
    new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Warehouse:
    """A warehouse with the tables of the version before."""
    before = [name for name in migration_files.shipped() if name < FIRST]
    url = new_database("old_records")
    warehouse = open_warehouse(load_settings({}, warehouse_url=url, home=tmp_path / "home"))
    with monkeypatch.context() as patch:
        patch.setattr(migration_files, "shipped", lambda: before)
        prepare(warehouse, [])
    return warehouse


def upgrade(warehouse: Warehouse, *, again: bool = False) -> None:
    prepare(warehouse, [])
    if again:
        with warehouse.connect() as conn:
            conn.execute("delete from ops.schema_migrations where name >= %s", (FIRST,))
        prepare(warehouse, [])


def test_a_view_of_a_user_on_an_older_table_is_named(old: Warehouse) -> None:
    with old.connect() as conn:
        conn.execute("create view public.mine as select build_id from ops.builds")
    with pytest.raises(SettingsError, match=r"view mine") as refused:
        upgrade(old)
    assert "quotemill warehouse psql" in refused.value.hint
    with old.connect() as conn:
        conn.execute("drop view public.mine")
    upgrade(old)


@pytest.mark.parametrize("again", [False, True])
def test_builds_keep_their_numbers_ends_and_figures(old: Warehouse, again: bool) -> None:
    with old.connect() as conn:
        conn.execute(
            """
            insert into ops.runs (run_id, command, host, pid, finished_at, exit_code)
            values ('r', 'run', 'here', 1, now(), 0);
            insert into ops.builds (
                status, command, fingerprint, started_at, finished_at, models_built, rows_written,
                tests_passed, tests_warned, tests_failed, error, nodes, nodes_done, node
            ) values
                ('succeeded', 'build', 'f1', '2026-01-01', '2026-01-02', 7, 8, 9, 10, 11, null,
                12, 12, null),
                ('failed', 'build a', 'part', '2026-01-03', '2026-01-04', null, null, null, null,
                null, 'no room', null, null, null),
                ('cancelled', 'build', 'f2', '2026-01-05', '2026-01-06', null, null, null, null,
                null, null, 5, 2, 'kline_daily'),
                ('interrupted', 'build', 'f2', '2026-01-07', '2026-01-08', null, null, null, null,
                null, null, null, null, null),
                ('running', 'build', 'f2', '2026-01-09', null, null, null, null, null, null, null,
                5, 1, 'kline_daily_qfq');
            """
        )
        columns = [
            column.name for column in conn.execute("select * from ops.builds").description or ()
        ]
        query = f"select {', '.join(columns)} from ops.builds order by build_id".encode()
        rows = conn.execute(query).fetchall()
    upgrade(old, again=again)
    with old.connect() as conn:
        assert conn.execute(query).fetchall() == rows
        assert [row["status"] for row in build_record.recent(conn, 9)] == [
            "interrupted",  # nobody holds its lock
            "interrupted",
            "cancelled",
            "failed",
            "succeeded",
        ]
        assert [run["run_id"] for run in history.recent(conn)] == ["r"]
    assert build_record.newest_build(old) == (5, "running")


@pytest.mark.parametrize("again", [False, True])
def test_findings_keep_their_states_and_acknowledgements(old: Warehouse, again: bool) -> None:
    with old.connect() as conn:
        conn.execute(
            """
            create table qa.findings (
                check_name text, severity text, subject text, trade_date date, evidence text,
                model text
            );
            insert into qa.findings
            select 'gap', 'error', subject, '2026-01-01', 'e', 'qa_gap'
            from unnest(array['first', 'second', 'third', 'accepted', 'unjudged']) as s (subject);
            insert into ops.judgements (qa_schema, found, found_new)
            values ('qa', 1, 1), ('qa', 2, 1), ('other_qa', 9, 9);
            insert into ops.seen_findings (
                qa_schema, check_name, severity, subject, trade_date, evidence_hash, first_run,
                acknowledged_at, acknowledged_by, reason
            )
            values
                ('qa', 'gap', 'error', 'first', '2026-01-01', md5('e'), 1, null, null, null),
                ('qa', 'gap', 'error', 'second', '2026-01-01', md5('e'), 2, null, null, null),
                ('qa', 'gap', 'error', 'unjudged', '2026-01-01', md5('e'), null, null, null, null),
                ('qa', 'gap', 'error', 'accepted', '2026-01-01', md5('e'), 1, now(), 'me', 'known');
            """
        )
    upgrade(old, again=again)
    with old.connect() as conn:
        listed = {row.subject: row for row in findings.list_findings(conn, "qa")}
        states = {subject: row.state for subject, row in listed.items()}
        assert states == {
            "first": "standing",
            "second": "new",
            "third": "new",
            "accepted": "acknowledged",
            "unjudged": "new",
        }
        assert (listed["accepted"].acknowledged_by, listed["accepted"].reason) == ("me", "known")
        judged = findings.judge(conn, "qa")
        assert judged.new == {"error": 2}
        states = {row.subject: row.state for row in findings.list_findings(conn, "qa")}
        assert {name for name, state in states.items() if state == "new"} == {"third", "unjudged"}


@pytest.mark.parametrize("again", [False, True])
def test_self_tests_keep_their_checks(old: Warehouse, again: bool) -> None:
    logs = "select * from ops.testing_logs order by run_id, no"
    with old.connect() as conn:
        conn.execute(
            """
            insert into ops.testing_runs (
                source, kind, started_at, status, total, passed, failed, skipped
            )
            select 'tdx', 'selftest', now(), 'failed', n, 0, n, 0 from generate_series(0, 2) as n;
            insert into ops.testing_logs
            values
                (2, 1, 'codes', 'failed', 12, 'no answer', '{"path": "/api/codes"}'),
                (3, 2, 'count', 'skipped', null, null, default),
                (3, 1, 'codes', 'passed', 7, null, '{"rows": 5}');
            """
        )
        rows = conn.execute(logs).fetchall()
    upgrade(old, again=again)
    with old.connect() as conn:
        assert conn.execute(logs).fetchall() == rows
        run, checks = check_runs.read_run(conn, 3) or ({}, [])
        assert (run["total"], "checks" in run) == (2, False)
        assert [(check["no"], check["status"]) for check in checks] == [
            (1, "passed"),
            (2, "skipped"),
        ]


@pytest.mark.parametrize("again", [False, True])
def test_the_newest_comparison_and_a_begun_swap_stay(old: Warehouse, again: bool) -> None:
    with old.connect() as conn:
        conn.execute(
            """
            insert into ops.reconciliation_runs (as_of, month, sample, seed)
            select now(), '2026-01-01', 2, 7 from generate_series(1, 3);
            insert into ops.reconciliation_sample
            select n, code, '2026-01-01', '2026-01-31'
            from generate_series(1, 3) as n, unnest(array['sh600000', 'sz000002']) as code;
            create view quotemill_staging.stg_ops__reconciliation_run as
            select run_id, month from ops.reconciliation_runs;
            create view quotemill_staging.stg_ops__reconciliation_sample as
            select run_id, code, first_date from ops.reconciliation_sample;
            create view public.mine as
            select * from quotemill_staging.stg_ops__reconciliation_sample;
            insert into ops.managed_relation
            values
                ('quotemill_staging', 'stg_ops__reconciliation_run'),
                ('quotemill_staging', 'stg_ops__reconciliation_sample');
            insert into ops.archive_swaps (schema_name, plan)
            values ('options', '{"remove": ["view=x/a.parquet"], "add": []}');
            """
        )
    upgrade(old, again=again)
    with old.connect() as conn:
        compared = conn.execute(
            "select value::jsonb from ops.settings where key = 'reconciliation:newest'"
        ).fetchall()
        assert compared == [
            (
                {
                    "run_id": 3,
                    "codes": ["sh600000", "sz000002"],
                    "first_date": "2026-01-01",
                    "last_date": "2026-01-31",
                },
            )
        ]
        assert conn.execute("select * from public.mine").fetchall() == []
        assert reconcile.record(conn, ["sh600001"], date(2026, 2, 1), date(2026, 2, 28)) == 4
        plan = conn.execute("select value::jsonb from ops.settings where key ~ 'archive_swap'")
        assert plan.fetchall() == [({"add": [], "remove": ["view=x/a.parquet"]},)]
