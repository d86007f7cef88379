"""Exports and schedules of a warehouse that an older version made, in this one."""

import contextlib
import shlex
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loaders.settings import load_settings
from loaders.warehouse import migration_files
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from orchestration.run import history
from orchestration.schedule import ledger
from quotemill.warehouse.postgres import Warehouse
from tests.integration.schedule.conftest import DAILY
from tests.integration.schedule.test_ledger import DAY, FRIDAY, HOUR, MINUTE, Book

NOW = FRIDAY + 2 * HOUR  # when the new version checks for the first time


@pytest.fixture
def old(
    new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Warehouse:
    """A warehouse with the migrations before this one."""
    before = [name for name in migration_files.shipped() if name < "0009"]
    url = new_database("old_schedules")
    warehouse = open_warehouse(load_settings({}, warehouse_url=url, home=tmp_path / "home"))
    with monkeypatch.context() as patch:
        patch.setattr(migration_files, "shipped", lambda: before)
        prepare(warehouse, [])
    return warehouse


def test_exports_that_followed_leave_their_commands(old: Warehouse) -> None:
    with old.connect() as conn:
        conn.execute(
            """
            insert into ops.exports
                (name, market_schema, what, form, codes, since, adjust, folder, is_exact)
            values
                ('bars', 'market', 'kline_daily', 'parquet', '{}', null, 'qfq', '/data/b', true),
                ('own', 'market', 'select ''a'' from b', 'csv', '{600000,600004}', '2024-06-03',
                'none', '/data/it''s mine', false),
                ('off', 'market', 'symbol_dim', 'csv', '{}', null, 'none', '/data/off', true);
            insert into ops.schedules (name, kind, timing, is_enabled) values
                ('export_bars', 'export', 'daily 21:30 Asia/Shanghai', true),
                ('export_own', 'export', null, true),
                ('export_off', 'export', null, false),
                ('tdx_daily', 'run', 'daily 17:30 Asia/Shanghai XSHG', true);
            """
        )
    prepare(old, [])
    with old.connect() as conn:
        rows = {row.name: row for row in ledger.read_rows(conn)}
    assert rows.keys() == {"export_bars", "export_own", "tdx_daily"}
    said = {name: shlex.split(rows[name].timing or "") for name in ("export_bars", "export_own")}
    bars = ["export", "rows", "kline_daily", "/data/b", "--to", "parquet", "--adjust", "qfq"]
    assert said["export_bars"] == bars
    own = ["export", "rows", "select 'a' from b", "/data/it's mine", "--to", "csv"]
    own += ["--codes", "600000,600004", "--since", "2024-06-03", "--no-exact"]
    assert said["export_own"] == own
    assert {rows[name].kind for name in said} == {"followed export"}
    assert (rows["tdx_daily"].kind, rows["tdx_daily"].is_enabled) == ("run", True)


# name: due_through, queued_at, last_run_at, last_finished_at, last_exit_code, attempts, next_run_at
MONDAY = FRIDAY + 3 * DAY
AS_THEY_WERE = {
    "waits_for_its_start": (FRIDAY, None, FRIDAY, FRIDAY + HOUR, 0, 1, MONDAY),
    "is_due": (FRIDAY - DAY, None, FRIDAY - DAY, FRIDAY - 23 * HOUR, 0, 1, FRIDAY),
    "queued": (FRIDAY, FRIDAY, FRIDAY - HOUR, None, None, 1, MONDAY),
    "queued_then_off": (FRIDAY, None, FRIDAY - HOUR, NOW, 0, 2, None),
    "waits_for_a_retry": (FRIDAY, None, FRIDAY, FRIDAY + HOUR, 4, 1, NOW),
    "was_cut_off": (FRIDAY, None, FRIDAY, None, None, 1, MONDAY),
    "was_cut_off_twice": (FRIDAY, None, FRIDAY + HOUR, None, None, 2, MONDAY),
    "was_cut_off_then_off_and_on": (FRIDAY, None, FRIDAY, None, None, 2, MONDAY),
    "was_taken_and_not_recorded": (FRIDAY, None, FRIDAY, None, None, 1, MONDAY),
    "runs": (FRIDAY, None, FRIDAY, None, None, 1, MONDAY),
    "runs_again": (FRIDAY, None, FRIDAY, None, None, 2, MONDAY),
    "never_scheduled": (None, None, FRIDAY - DAY, FRIDAY - DAY, 0, 1, None),
}


def fill(old: Warehouse) -> None:
    with old.connect() as conn:
        for name, values in AS_THEY_WERE.items():
            conn.execute(
                "insert into ops.schedules (name, source, timing, is_enabled, last_host, "
                "due_through, queued_at, last_run_at, last_finished_at, last_exit_code, attempts, "
                "next_run_at) values (%s, 'tdx', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (name, DAILY.rule, name != "queued_then_off", socket.gethostname(), *values),
            )
            _, _, last, finished, code, *_ = values
            starts = [FRIDAY, last] if name == "was_cut_off_twice" else [last]
            for start in starts if name != "was_taken_and_not_recorded" else ():
                history.begin(conn, f"{name} {start}", name, "x", start)
                conn.execute(
                    "update ops.runs set finished_at = %s, exit_code = %s where run_id = %s",
                    (finished, code, f"{name} {start}"),
                )


def test_jobs_of_the_former_table_keep_their_next_starts(old: Warehouse) -> None:
    fill(old)
    book = Book(old)
    jobs = [replace(DAILY, name=name, on_overlap="queue", retry=60) for name in AS_THEY_WERE]
    with contextlib.ExitStack() as alive:
        for name in ("runs", "runs_again"):
            run = history.recorded(old, "x", run_id=f"{name} {FRIDAY}", schedule=name)
            alive.enter_context(run)
        prepare(old, [])
        assert all(book.row(job).is_running == job.name.startswith("runs") for job in jobs)
        taken = {job.name: book.take(job, NOW) for job in jobs}
    made = {
        "is_due": (FRIDAY, ""),
        "queued": (FRIDAY, ""),
        "waits_for_a_retry": (NOW, "its source was unreachable"),
        "was_cut_off": (FRIDAY, "its last run was interrupted"),
        "was_taken_and_not_recorded": (FRIDAY, ""),
    }
    assert {name: (claim.start, claim.why) for name, claim in taken.items() if claim.start} == made
    for job in jobs:
        if job.name in made:
            book.end(job, 0, NOW)
        assert book.take(job, NOW + MINUTE).start is None
        off = job.name == "queued_then_off"
        assert book.row(job).next_run_at == (None if off else MONDAY), job.name
        assert book.take(job, MONDAY).start == (None if off else MONDAY)


def test_the_migration_of_schedules_changes_nothing_the_second_time(old: Warehouse) -> None:
    fill(old)
    prepare(old, [])
    before = old.ask(ledger.read_rows)
    with old.connect() as conn:
        conn.execute("delete from ops.schema_migrations where name >= '0010'")
    prepare(old, [])
    assert old.ask(ledger.read_rows) == before
    with old.connect() as conn:
        columns = conn.execute("select * from ops.schedules limit 0").description
        views = conn.execute("select * from ops.testing_schedules").fetchall()
    assert columns is not None
    names = " ".join(column.name for column in columns)
    assert names == "name source kind is_enabled timing missed_at next_run_at"
    assert views == []
