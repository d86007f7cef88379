"""Old slots leave the warehouse once their files can restore them.

Restoring brings them back; what was built from them stays.
"""

import re
from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pyarrow as pa
import pytest

from loaders.settings import Settings
from orchestration.archive import restore as restoring
from orchestration.archive.store import archive_lock
from orchestration.archive.views import find_view
from orchestration.checks import selfcheck
from quotemill.errors import LockHeldError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.option_days import (
    AAPL,
    AFTER,
    BUILT,
    LANDED,
    LATER,
    OPTION_DAYS,
    TABLES,
    TUESDAY,
    WEDNESDAY,
    archived,
    read,
    restored,
    retained,
    tables,
)
from tests.integration.dbt.raw import land

pytestmark = OPTION_DAYS

WHOLE = (
    "select symbol, trade_date, count(*)::int from raw_ib.chain_snapshot "
    "group by 1, 2 order by 2, 1"
)


@pytest.mark.parametrize("compact", [False, True])
def test_old_slots_go_their_days_stay_built_and_come_back_as_they_were(
    compact: bool, conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, dbt: Dbt
) -> None:
    # of one contract the close view alone is good, captured when the stock had traded on
    conn.execute(
        "update raw_ib.chain_snapshot set snapshot_error = true, error_type = 'timeout' "
        "where trade_date = %s and conid = %s",
        (TUESDAY.day, AAPL[0].conid),
    )
    dbt(*TABLES, "--full-refresh")
    archived(settings, warehouse, compact=compact)
    landed, built = tables(conn, LANDED), tables(conn, BUILT)
    planned = retained(settings, warehouse, dry_run=True)
    assert tables(conn, LANDED) == landed
    done = retained(settings, warehouse)
    assert (planned.dropped, planned.rows) == (done.dropped, 112)
    assert (done.exit_code, [d.day for d in done.dropped]) == (0, [TUESDAY.day])
    assert conn.execute(WHOLE.encode()).fetchall() == [("AAPL", WEDNESDAY.day, 84)]
    assert retained(settings, warehouse).dropped == []

    # builds of both kinds, and the next archive, leave what was made of them
    for arguments in (TABLES, (*TABLES, "--full-refresh")):
        dbt(*arguments)
        assert tables(conn, BUILT) == built
    again = archived(settings, warehouse, LATER, compact=compact, check=True)
    assert (again.files, again.exit_code) == (0, 0)
    assert read(settings.home / "archive", "chain_intraday").num_rows == 14 * 14

    back = restored(settings, warehouse)
    assert (back.exit_code, back.partitions, back.rows, back.standing) == (0, 2, 112, 1)
    assert tables(conn, LANDED) == landed
    dbt(*TABLES)
    assert tables(conn, BUILT) == built
    back = restored(settings, warehouse)
    assert (back.partitions, back.rows, back.standing) == (0, 0, 3)
    # restored days are not dropped by the next night
    stays = retained(settings, warehouse, LATER + timedelta(days=59))
    assert (stays.restored, [d.day for d in stays.dropped]) == (2, [WEDNESDAY.day])
    week = retained(settings, warehouse, LATER + timedelta(days=7), older_than=7, dry_run=True)
    assert [d.day for d in week.dropped] == [TUESDAY.day]
    gone = retained(settings, warehouse, LATER + timedelta(days=60))
    assert [(d.day, d.rows) for d in gone.dropped] == [(TUESDAY.day, 112)]


def test_the_daily_list_misses_no_slot_that_was_archived(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    conn.execute("delete from raw_ib.chain_close")

    def failed(day: date) -> set[str]:
        checks = selfcheck.run(warehouse, day, LATER).checks
        return {c.name for c in checks if c.subject == "AAPL" and c.verdict == "fail"}

    assert failed(TUESDAY.day) == set()
    archived(settings, warehouse)
    assert retained(settings, warehouse).exit_code == 0
    assert failed(TUESDAY.day) == set()
    conn.execute("delete from raw_ib.chain_snapshot where conid = 100")
    assert failed(WEDNESDAY.day) == {"rows"}


def test_nothing_goes_that_is_not_archived_as_it_is(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, dbt: Dbt
) -> None:
    before = tables(conn, LANDED)
    result = retained(settings, warehouse)
    assert (result.exit_code, result.dropped) == (6, [])
    assert result.remaining == [
        f"2026-11-24 {symbol}: not archived; fix: quotemill archive" for symbol in ("AAPL", "BRK B")
    ]
    assert tables(conn, LANDED) == before

    archived(settings, warehouse)
    land(conn, "raw_ib.chain_snapshot", [AAPL[0].quote(TUESDAY, 3, 100.5)])
    changed = retained(settings, warehouse)
    assert (changed.exit_code, changed.rows) == (6, 28)
    assert changed.remaining == [
        "2026-11-24 AAPL: changed since it was archived; fix: quotemill archive"
    ]
    # where the feed does not report it, retention does
    conn.execute("delete from ops.changes")
    dbt(*TABLES)
    assert archived(settings, warehouse, LATER).files == 1
    assert retained(settings, warehouse).exit_code == 0


def test_slots_that_no_build_has_counted_stay(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    archived(settings, warehouse)
    conn.execute(
        "update quotemill_intermediate.int_option_days__counted set row_count = 83 "
        "where symbol = 'AAPL'"
    )
    result = retained(settings, warehouse)
    assert (result.exit_code, result.rows) == (6, 28)
    assert result.remaining == [
        "2026-11-24 AAPL: not built from all its slots, or without verdict; fix: quotemill build"
    ]


def test_slots_that_a_model_has_not_read_stay(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, dbt: Dbt
) -> None:
    archived(settings, warehouse)
    # as where its builds have failed since
    smiles = "quotemill_intermediate.int_option_smiles__interpolated"
    conn.execute("update ops.change_cursors set seen = '1:1:' where reader = %s", (smiles,))
    result = retained(settings, warehouse)
    assert (result.exit_code, result.rows) == (6, 0)
    assert result.remaining == [
        f"2026-11-24 {symbol}: {smiles} was not built from them; fix: quotemill build"
        for symbol in ("AAPL", "BRK B")
    ]
    dbt(*TABLES)
    assert retained(settings, warehouse).exit_code == 0


def test_a_file_that_is_older_than_a_column_gives_its_rows_back(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archived(settings, warehouse)
    landed = tables(conn, LANDED)
    assert retained(settings, warehouse).rows == 112
    # as after an upgrade that lands one more
    conn.execute("alter table raw_ib.chain_snapshot add column rho double precision")
    view = find_view("chain_intraday")
    assert view.landed is not None
    wider = view.landed.schema.append(pa.field("rho", pa.float64()))
    younger = replace(view, landed=replace(view.landed, schema=wider))
    monkeypatch.setattr(restoring, "find_view", lambda _: younger)
    back = restored(settings, warehouse)
    assert (back.exit_code, back.rows) == (0, 112)
    conn.execute("alter table raw_ib.chain_snapshot drop column rho")
    assert tables(conn, LANDED) == landed


def test_rows_that_are_others_than_archived_are_left_and_the_rest_comes_back(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    archived(settings, warehouse)
    conn.execute("delete from raw_ib.chain_snapshot where slot_30m > 2")
    conn.execute("update raw_ib.chain_snapshot set bid = 1 where symbol = 'BRK B' and slot_30m = 0")
    planned = restored(settings, warehouse, dry_run=True)
    assert conn.execute("select count(*) from raw_ib.chain_snapshot").fetchone() == (42,)
    back = restored(settings, warehouse)
    assert (back.rows, back.partitions) == (planned.rows, planned.partitions) == (132, 2)
    assert back.exit_code == 5
    [other] = back.other
    assert re.match("chain_intraday 2026-11-24 BRK B: .* 6 .* 28$", other)
    assert conn.execute(WHOLE.encode()).fetchall() == [
        ("AAPL", TUESDAY.day, 84),
        ("BRK B", TUESDAY.day, 6),
        ("AAPL", WEDNESDAY.day, 84),
    ]


def test_open_interest_comes_back_and_what_dbt_makes_is_refused(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    archived(settings, warehouse)
    before = tables(conn, LANDED)
    conn.execute("truncate raw_ib.open_interest")
    assert restored(settings, warehouse, view="open_interest").rows == 14
    assert tables(conn, LANDED) == before
    with pytest.raises(UsageError, match=r"chain_daily_clean .* slots"):
        restored(settings, warehouse, view="chain_daily_clean")
    with pytest.raises(UsageError, match=r"MSFT .* 2026-11-24"):
        restored(settings, warehouse, symbols=("MSFT",))


def test_a_table_that_would_be_dropped_with_days_of_archived_slots_stays_and_says_so(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, dbt: Dbt
) -> None:
    archived(settings, warehouse)
    built = tables(conn, BUILT)
    assert retained(settings, warehouse).exit_code == 0
    # as after an upgrade to a model of other types
    conn.execute("drop view options.chain_daily_adjusted cascade")
    conn.execute("alter table options.chain_daily_clean alter column dte type bigint")
    for arguments in ((), ("--full-refresh",)):
        refused = dbt.fails("run", "-s", "chain_daily_clean", *arguments)
        assert re.search(" 8 of its rows .* archive", refused.error)
        assert "quotemill restore chain_intraday --since 2026-11-24" in refused.error
    assert tables(conn, BUILT) == built

    # where somebody dropped it all the same, the days are missed
    conn.execute("drop table options.chain_daily_clean cascade")
    dbt("run", "-s", "chain_daily_clean+")
    lost = (
        "select subject, trade_date from qa.findings "
        "where check_name = 'archived_day_lost' order by 1"
    )
    assert conn.execute(lost.encode()).fetchall() == [
        (symbol, TUESDAY.day) for symbol in ("AAPL", "BRK B")
    ]
    assert restored(settings, warehouse).rows == 112
    dbt("run", "-s", "chain_daily_clean+")
    assert conn.execute(lost.encode()).fetchall() == []
    assert tables(conn, BUILT) == built


def log_lines(conn: psycopg.Connection, source: str, *at: str) -> int:
    """The number of a job that logged a line at each of these times (UTC)."""
    [(job,)] = conn.execute(
        "insert into ops.ingestion_jobs (source, mode, status, requested_by, parameters, as_of, "
        "lane) values (%s, 'incremental', 'succeeded', 'test', '{}', %s, 'lane') returning job_id",
        (source, at[0]),
    ).fetchall()
    for logged_at in at:
        conn.execute(
            "insert into ops.ingestion_logs (job_id, logged_at, level, event) "
            "values (%s, %s::timestamp at time zone 'UTC', 'error', 'refused')",
            (job, logged_at),
        )
    conn.commit()
    return int(job)


def count_lines(conn: psycopg.Connection, job: int) -> int:
    query = "select from ops.ingestion_logs where job_id = %s"
    return conn.execute(query, (job,)).rowcount


def test_logs_go_after_their_days_and_other_files_stay(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    logs = settings.home / "logs"
    logs.mkdir()
    for name in (
        "error-20261224T101500Z.log",
        "error-20261225T101500Z.log",
        "run-2026-12-24.jsonl",
        "run-2026-12-25.jsonl",
        "error-of-mine.log",
        "notes.txt",
    ):
        (logs / name).write_text("12345")
    jobs = {
        source: log_lines(conn, source, "2026-12-24 23:59", "2026-12-25") for source in ("ib", "tq")
    }
    archived(settings, warehouse)
    planned = retained(settings, warehouse, dry_run=True)
    assert len(list(logs.iterdir())) == 6
    assert count_lines(conn, jobs["ib"]) == 2
    done = retained(settings, warehouse)
    assert (planned.log_lines, done.log_lines) == (1, 1)
    assert [count_lines(conn, job) for job in jobs.values()] == [1, 2]
    assert planned.logs == done.logs == ["error-20261224T101500Z.log", "run-2026-12-24.jsonl"]
    assert done.logs_bytes == 10
    assert len(list(logs.iterdir())) == 4
    # one that cannot be removed keeps nothing else
    (logs / "run-2026-12-23.jsonl").mkdir()
    (logs / "run-2026-12-24.jsonl").touch()
    result = retained(settings, warehouse)
    assert (result.exit_code, result.logs) == (6, ["run-2026-12-24.jsonl"])
    assert [str(logs / "run-2026-12-23.jsonl") in line for line in result.remaining] == [True]


def test_one_at_a_time(conn: psycopg.Connection, warehouse: Warehouse, settings: Settings) -> None:
    with archive_lock(warehouse):
        for work in (archived, retained, restored):
            with pytest.raises(LockHeldError):
                work(settings, warehouse, AFTER)
