"""Plain tables become hypertables and plain again: the same rows, keys, grants and readers."""

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from loaders.settings import Settings
from loaders.warehouse.ownership import claim_schemas
from loaders.warehouse.postgres import open_warehouse
from orchestration.backup.dump_restore import restore
from orchestration.cli.upgrade_timescale import app
from orchestration.timescale import conversion
from orchestration.timescale import upgrade as upgrade_timescale
from orchestration.timescale.table_content import Content, content
from orchestration.timescale.upgrade import Conversion, Declared, convert
from quotemill.errors import LockHeldError, QuotemillError, SettingsError, UpstreamError, UsageError
from quotemill.warehouse.postgres import Warehouse, WarehouseAway
from tests.integration.warehouse.conftest import settings_for

DatabaseOf = Callable[..., str]
MINUTES = Declared("raw_tdx", "kline_minute", "bar_end", "interval '1 month'", ())
DAYS = Declared("market", "kline_daily", "trade_date", "interval '1 year'", ("code", "trade_date"))
ROLLED_UP = Declared("market", "kline_5m", None, "", ("code", "bar_end"))
TABLES = [DAYS, ROLLED_UP, MINUTES]
READERS = ("market.kline_minute_raw", "mine.report", "mine.of_view")


@pytest.fixture
def edition() -> str:
    return "apache"


@pytest.fixture
def settings(edition: str, database_of: DatabaseOf, tmp_path: Path) -> Settings:
    return settings_for(tmp_path, QUOTEMILL_WAREHOUSE_URL=database_of(edition))


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    """Two plain tables of ours, with readers of ours and of somebody else."""
    made = open_warehouse(settings)
    with made.connect(autocommit=True) as conn:
        claim_schemas(conn, ["raw_tdx", "market"])
        for statement in (
            "create table raw_tdx.kline_minute (code text, bar_end timestamptz, close bigint "
            "not null, primary key (code, bar_end))",
            "create index kline_minute_bar_end_idx on raw_tdx.kline_minute (bar_end)",
            "comment on table raw_tdx.kline_minute is 'it''s raw'",
            "insert into raw_tdx.kline_minute select 'sh' || k, timestamptz '2024-01-01' + "
            "i * interval '5 hours', i "
            "from generate_series(1, 5) as k, generate_series(1, 400) as i",
            "create table market.kline_daily (code text, trade_date date, close numeric(18, 3), "
            "primary key (code, trade_date))",
            "insert into market.kline_daily select 'sh1', date '2020-01-01' + i, i / 7.0 "
            "from generate_series(1, 900) as i",
            "create view market.kline_minute_raw as select * from raw_tdx.kline_minute",
            "create schema mine",
            "create view mine.report with (security_barrier = true) as "
            "select code, max(close) as high from raw_tdx.kline_minute group by code",
            "create view mine.of_view as select count(*) from market.kline_minute_raw",
        ):
            conn.execute(statement.encode())
    return made


def silent(text: str) -> None: ...


def contents(conn: psycopg.Connection) -> dict[str, Content]:
    tables = [MINUTES.qualified, DAYS.qualified, *READERS]
    return {name: content(conn, sql.Identifier(*name.split("."))) for name in tables}


def readers(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Views by name, number and options: who reads them notices nothing."""
    return conn.execute(
        "select oid::regclass::text, oid, reloptions from pg_class where oid = any(%s::regclass[])",
        (list(READERS),),
    ).fetchall()


def shape(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select indexdef from pg_indexes where tablename in ('kline_minute', 'kline_daily') "
        "union all select unnest(reloptions) from pg_class "
        "where oid = 'raw_tdx.kline_minute'::regclass "
        "union all select format('%s: %s', attname, attacl) from pg_attribute "
        "where attrelid = 'raw_tdx.kline_minute'::regclass and attacl is not null "
        "union all select obj_description('raw_tdx.kline_minute'::regclass) "
        "union all select pg_get_constraintdef(oid) from pg_constraint where contype = 'f' "
        "and conparentid = 0 and 'raw_tdx.kline_minute'::regclass in (conrelid, confrelid) "
        "union all select format('%s %s', pg_get_statisticsobjdef(oid), stxstattarget) "
        "from pg_statistic_ext where stxrelid = 'raw_tdx.kline_minute'::regclass "
        "union all select format('owner: %s', pg_get_userbyid(relowner)) from pg_class "
        "where oid = 'raw_tdx.kline_minute'::regclass "
        "union all select format('%s %s %s', grantee, privilege_type, is_grantable) "
        "from information_schema.table_privileges where table_name = 'kline_minute' order by 1"
    ).fetchall()


def hypertables(conn: psycopg.Connection) -> list[str]:
    rows = conn.execute(
        "select hypertable_schema || '.' || hypertable_name "
        "from timescaledb_information.hypertables order by 1"
    )
    return [name for (name,) in rows]


def test_an_upgrade_changes_no_row_and_no_reader(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    before, seen, made = contents(conn), readers(conn), shape(conn)
    planned = convert(settings, warehouse, TABLES, silent, dry_run=True)
    assert hypertables(conn) == []
    done = convert(settings, warehouse, TABLES, silent)

    assert hypertables(conn) == [DAYS.qualified, MINUTES.qualified]
    assert [table.name for table in done.tables] == [table.name for table in planned.tables]
    assert [Content(t.rows, t.hash or 0) for t in done.tables] == [
        before[DAYS.qualified],
        before[MINUTES.qualified],
    ]
    assert (contents(conn), readers(conn), shape(conn)) == (before, seen, made)
    again = convert(settings, warehouse, TABLES, silent)
    assert (again.tables, again.backup) == ((), None)
    assert again.left == (DAYS.qualified, MINUTES.qualified)


def test_the_backup_holds_the_rows_from_before(
    settings: Settings, warehouse: Warehouse, conn: psycopg.Connection, warehouse_dsn: str
) -> None:
    before = contents(conn)
    done = convert(settings, warehouse, TABLES, silent)
    assert done.backup is not None
    assert done.backup.parent == settings.home / "backups"
    plain = Warehouse(warehouse_dsn, "test", False, "market", None, "test", settings.home)
    restore(plain, done.backup, clean=False)
    with plain.connect() as restored:
        assert content(restored, MINUTES.identifier) == before[MINUTES.qualified]


@pytest.mark.parametrize("edition", ["apache", "tsl"])
def test_a_rollback_keeps_newer_rows(
    edition: str, settings: Settings, warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    role = sql.Identifier(f"reader_{secrets.token_hex(4)}")
    owner = sql.Identifier(f"owner_{secrets.token_hex(4)}")
    for name in (role, owner):
        conn.execute(sql.SQL("create role {}").format(name))
    conn.execute(sql.SQL("grant select on raw_tdx.kline_minute to {}").format(role))
    conn.execute(
        sql.SQL("grant update (close) on raw_tdx.kline_minute to {} with grant option").format(role)
    )
    conn.execute(
        "alter table raw_tdx.kline_minute set (fillfactor = 70, autovacuum_enabled = false)"
    )
    conn.execute("create statistics mine.related on code, close from raw_tdx.kline_minute")
    conn.execute("alter statistics mine.related set statistics 50")
    conn.execute(
        "create table mine.code as select 'sh' || k as code from generate_series(1, 5) as k"
    )
    conn.execute("insert into mine.code values ('sz1')")
    conn.execute("alter table mine.code add primary key (code)")
    conn.execute("alter table raw_tdx.kline_minute add foreign key (code) references mine.code")
    conn.execute(sql.SQL("alter table raw_tdx.kline_minute owner to {}").format(owner))
    conn.execute(sql.SQL("grant usage on schema raw_tdx to {}").format(owner))
    seen, made = readers(conn), shape(conn)
    convert(settings, warehouse, TABLES, silent)
    conn.execute("insert into raw_tdx.kline_minute values ('sz1', '2025-01-01', 1)")
    if edition == "apache":  # chunks that others' keys point at cannot be compressed
        conn.execute(
            "create table mine.remark (code text, bar_end timestamptz, "
            "foreign key (code, bar_end) references raw_tdx.kline_minute on delete cascade)"
        )
        conn.execute("insert into mine.remark values ('sz1', '2025-01-01')")
        made = shape(conn)
    if edition == "tsl":
        conn.execute(
            "create materialized view market.kline_5m with (timescaledb.continuous) as "
            "select code, time_bucket('1 day', bar_end) as bar_end, max(close) as high "
            "from raw_tdx.kline_minute group by 1, 2 with no data"
        )
        conn.execute("call refresh_continuous_aggregate('market.kline_5m', null, '2024-02-01')")
        conn.execute("create view mine.of_aggregate as select * from market.kline_5m")
        conn.execute(
            "alter table raw_tdx.kline_minute set (timescaledb.compress, "
            "timescaledb.compress_segmentby = 'code')"
        )
        conn.execute("select compress_chunk(c) from show_chunks('raw_tdx.kline_minute') as c")
        rolled_up = content(conn, ROLLED_UP.identifier)
    before = contents(conn)

    done = convert(settings, warehouse, TABLES, silent, to_plain=True)
    assert hypertables(conn) == []
    assert (contents(conn), readers(conn), shape(conn)) == (before, seen, made)
    if edition == "tsl":
        assert done.tables[0].name == ROLLED_UP.qualified
        assert content(conn, ROLLED_UP.identifier) == rolled_up
        assert content(conn, sql.Identifier("mine", "of_aggregate")) == rolled_up
        conn.execute(
            "insert into market.kline_5m select * from market.kline_5m on conflict do nothing"
        )
    for name in (role, owner):
        conn.execute(sql.SQL("drop owned by {} cascade").format(name))
        conn.execute(sql.SQL("drop role {}").format(name))


def test_an_interrupted_upgrade_changes_nothing_and_can_be_repeated(
    settings: Settings,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, original = contents(conn), conversion.to_hypertable

    def cut_short(session: psycopg.Connection, table: sql.Identifier, *rest: str) -> Content:
        if table == MINUTES.identifier:  # the connection is lost right before its end
            compared = conversion.content

            def lost(own: psycopg.Connection, table_name: sql.Identifier) -> Content:
                if hypertables(own) == [DAYS.qualified, MINUTES.qualified]:
                    pid = own.info.backend_pid
                    conn.execute("select pg_terminate_backend(%s, 10000)", (pid,))
                return compared(own, table_name)

            monkeypatch.setattr(conversion, "content", lost)
        return original(session, table, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "to_hypertable", cut_short)
        with pytest.raises(WarehouseAway):
            convert(settings, warehouse, TABLES, silent)
    monkeypatch.undo()
    assert hypertables(conn) == [DAYS.qualified]
    assert contents(conn) == before

    done = convert(settings, warehouse, TABLES, silent)
    assert [table.name for table in done.tables] == [MINUTES.qualified]
    assert contents(conn) == before


def test_a_difference_is_never_committed(
    warehouse: Warehouse, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([Content(2, 7), Content(2, 8)])
    monkeypatch.setattr(conversion, "content", lambda *_: next(readings))
    with pytest.raises(QuotemillError, match="was not changed"):
        conversion.to_hypertable(conn, MINUTES.identifier, "bar_end", "interval '1 month'")
    assert hypertables(conn) == []


def test_a_table_in_use_is_left_alone(
    warehouse: Warehouse, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "_PATIENCE", "10ms")
    with warehouse.connect() as reader:
        reader.execute("select 1 from raw_tdx.kline_minute limit 1")
        with pytest.raises(LockHeldError, match="in use"):
            conversion.to_hypertable(conn, MINUTES.identifier, "bar_end", "interval '1 month'")
    assert hypertables(conn) == []


def test_a_key_without_time_or_a_materialized_view_stops_it(
    warehouse: Warehouse, conn: psycopg.Connection
) -> None:
    conn.execute("create table raw_tdx.odd (code text primary key, bar_end timestamptz not null)")
    with pytest.raises(SettingsError, match="bar_end"):
        conversion.to_hypertable(
            conn, sql.Identifier("raw_tdx", "odd"), "bar_end", "interval '1 d'"
        )
    conversion.to_hypertable(conn, MINUTES.identifier, "bar_end", "interval '1 month'")
    conn.execute("create materialized view mine.kept as select * from raw_tdx.kline_minute")
    with pytest.raises(SettingsError, match=r"mine\.kept"):
        conversion.to_plain(conn, MINUTES.identifier, ())
    assert hypertables(conn) == [MINUTES.qualified]


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("alter table raw_tdx.kline_minute enable row level security", "row-level security"),
        ("create policy theirs on raw_tdx.kline_minute using (true)", "policy theirs"),
        (
            "create trigger theirs before update on raw_tdx.kline_minute "
            "for each row execute function suppress_redundant_updates_trigger()",
            "trigger theirs",
        ),
        ("create publication theirs for table raw_tdx.kline_minute", "publication theirs"),
    ],
)
def test_a_rollback_stops_where_the_new_table_would_lack_something(
    warehouse: Warehouse, conn: psycopg.Connection, made: str, named: str
) -> None:
    conversion.to_hypertable(conn, MINUTES.identifier, "bar_end", "interval '1 month'")
    conn.execute(made.encode())
    with pytest.raises(SettingsError, match=named):
        conversion.to_plain(conn, MINUTES.identifier, ())
    assert hypertables(conn) == [MINUTES.qualified]


@pytest.mark.parametrize(
    ("code", "kind", "fix"),
    [
        ("53200", SettingsError, "max_locks_per_transaction"),
        ("53100", UpstreamError, "Run the command again"),
        ("40P01", UpstreamError, "Run the command again"),
    ],
)
def test_a_server_error_is_quoted_with_the_converted_tables(
    settings: Settings,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    kind: type[QuotemillError],
    fix: str,
) -> None:
    make, lines = conversion.make_hypertable, list[str]()

    def short(session: psycopg.Connection, table: sql.Identifier, *rest: str) -> sql.Composed:
        if table != MINUTES.identifier:
            return make(session, table, *rest)
        raised = "do $$ begin raise exception 'no more of it' using errcode = {}; end $$"
        return sql.SQL(raised).format(sql.Literal(code))

    monkeypatch.setattr(conversion, "make_hypertable", short)
    with pytest.raises(kind, match="was not changed: no more of it") as caught:
        convert(settings, warehouse, TABLES, lines.append)
    assert fix in caught.value.hint
    assert hypertables(conn) == [DAYS.qualified]
    assert any(line.startswith(f"{DAYS.qualified}: 900 rows, the same") for line in lines)


def test_plain_postgresql_has_nothing_to_upgrade(warehouse_dsn: str, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, QUOTEMILL_WAREHOUSE_URL=warehouse_dsn)
    with pytest.raises(SettingsError, match="no TimescaleDB") as caught:
        convert(settings, open_warehouse(settings), TABLES, silent)
    assert caught.value.exit_code == 3


def test_the_command_has_a_plan_a_question_and_json(
    warehouse: Warehouse,
    settings: Settings,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setattr(upgrade_timescale, "declared", lambda *_: [DAYS])
    runner = CliRunner()

    misplaced = runner.invoke(app, ["--dry-run", "rollback", "--yes"])
    assert isinstance(misplaced.exception, UsageError)
    assert " rollback" in str(misplaced.exception)
    plan = runner.invoke(app, ["--dry-run"])
    assert DAYS.qualified in plan.stdout
    assert isinstance(runner.invoke(app, []).exception, UsageError)
    assert DAYS.qualified not in hypertables(conn)
    answer = json.loads(runner.invoke(app, ["--yes", "--json"]).stdout)
    assert answer["tables"][0]["rows"] == 900
    assert Path(answer["backup"]).is_file()
    assert DAYS.qualified in hypertables(conn)
    back = runner.invoke(app, ["rollback", "--yes", "--file", str(tmp_path / "b.dump")])
    assert back.exit_code == 0, back.output
    assert "quotemill build" not in back.stdout
    assert "nothing to do: " in runner.invoke(app, ["rollback"]).stdout
    assert DAYS.qualified not in hypertables(conn)
    assert isinstance(convert(settings, warehouse, [DAYS], silent, to_plain=True), Conversion)
    monkeypatch.setattr(upgrade_timescale, "declared", lambda *_: [ROLLED_UP])
    assert "none of the tables" in runner.invoke(app, []).stdout
