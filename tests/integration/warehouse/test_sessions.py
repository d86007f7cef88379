"""Sessions of every kind have our settings, whatever they inherit; what cannot have them."""

import multiprocessing
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import psycopg2
import pyarrow as pa
import pytest
import yaml
from dbt.adapters.postgres.connections import PostgresCredentials
from dbt.adapters.postgres.impl import PostgresAdapter
from psycopg import sql
from psycopg.conninfo import make_conninfo

import quotemill
from loaders.landing import load_job
from loaders.tdx.context import Security
from loaders.tdx.datasets.codes import build_records
from loaders.tdx.tables import SECURITY
from loaders.warehouse.content import content_id
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.profiles import write_profile
from loaders.warehouse.tables import Batch
from orchestration.run.build_record import build_lock
from orchestration.run.quick_dbt import quick_dbt
from quotemill.warehouse.connections import read_session
from quotemill.warehouse.postgres import Warehouse
from tests.bench import settings_at
from tests.conftest import ROOT
from tests.homes import new_home
from tests.requirements import require

# of settings that are neither a switch nor a choice; the last is of PostgreSQL 17
VALUES = {
    "DateStyle": "German, DMY",
    "TimeZone": "America/New_York",
    "backslash_quote": "off",
    "client_encoding": "LATIN1",
    "extra_float_digits": "-10",
    "search_path": "someone, pg_catalog",
    "statement_timeout": "20s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
    "idle_session_timeout": "5s",
    "transaction_timeout": "20s",
}
# the first forbids writes, and is named where it refuses them; the others are of one transaction
LEFT = [
    "default_transaction_read_only",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
]
VARIABLES = {"PGCLIENTENCODING": "client_encoding", "PGDATESTYLE": "DateStyle", "PGTZ": "TimeZone"}
Spoil = Callable[[str, pytest.MonkeyPatch], None]


def choose_values(conn: psycopg.Connection) -> dict[str, str]:
    """Another value than its own for each setting by which a user may change a result."""
    settings = conn.execute(
        "select name, setting, case vartype when 'bool' then '{on,off}' else enumvals end "
        "from pg_settings where context = 'user' and not name = any(%s) "
        "and category ~ '^(Client Connection Defaults|Version and Platform Compatibility) /'",
        (LEFT,),
    ).fetchall()
    others = {
        name: next((choice for choice in choices or () if choice != value), None)
        for name, value, choices in settings
    }
    values = {name: value for name, other in others.items() if (value := VALUES.get(name, other))}
    assert len(values) > 25
    return values


def spoil_database(dsn: str, _: pytest.MonkeyPatch) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "create schema someone; create function someone.round(numeric, integer) "
            "returns numeric language sql as 'select -1::numeric'"
        )
        alter = sql.SQL("alter database {} set {} = {}")
        for name, value in choose_values(conn).items():
            names = sql.Identifier(conn.info.dbname), sql.Identifier(name)
            conn.execute(alter.format(*names, sql.Literal(value)))


def spoil_environment(dsn: str, patch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        values = choose_values(conn)
    options = (f"-c{name}={value}".replace(" ", "\\ ") for name, value in values.items())
    patch.setenv("PGOPTIONS", " ".join(options))
    for variable, name in VARIABLES.items():
        patch.setenv(variable, values[name])


Ask = Callable[[str], list[Any]]


@contextmanager
def ask_by_psycopg(warehouse: Warehouse, _: Path) -> Iterator[Ask]:
    with warehouse.connect() as conn:
        yield lambda query: conn.execute(query.encode()).fetchall()


@contextmanager
def ask_by_dlt(warehouse: Warehouse, _: Path) -> Iterator[Ask]:
    pipeline, _ = load_job.open_pipeline(warehouse, content_id(warehouse), "tdx", "tdx")
    with pipeline.destination_client() as client:
        with pytest.raises(Exception, match="no_such_table"):
            client.sql_client.execute_sql("select * from no_such_table")
        yield lambda query: list(client.sql_client.execute_sql(query))


def ask_by_dbt(warehouse: Warehouse, folder: Path, session: dict[str, str] | None) -> Iterator[Ask]:
    profile = yaml.safe_load(write_profile(warehouse, folder, session).read_text("utf-8"))
    output = PostgresCredentials.translate_aliases(profile["quotemill"]["outputs"]["warehouse"])
    del output["type"], output["threads"]
    credentials: Any = SimpleNamespace(credentials=PostgresCredentials.from_dict(output))
    manager = PostgresAdapter.ConnectionManager(credentials, multiprocessing.get_context("spawn"))
    for node in ("first", "second"):
        manager.set_connection_name(node)
        manager.add_query("select 1")
        manager.get_thread_connection().handle.rollback()
        if node == "first":
            manager.release()
    yield lambda query: manager.add_query(query)[1].fetchall()
    manager.cleanup_all()


@contextmanager
def ask_by_our_dbt(warehouse: Warehouse, folder: Path) -> Iterator[Ask]:
    with quick_dbt():
        yield from ask_by_dbt(warehouse, folder, None)


@contextmanager
def ask_by_plain_dbt(warehouse: Warehouse, folder: Path) -> Iterator[Ask]:
    yield from ask_by_dbt(warehouse, folder, warehouse.ask(read_session))


@pytest.mark.parametrize("spoil", [spoil_database, spoil_environment])
@pytest.mark.parametrize("asking", [ask_by_psycopg, ask_by_dlt, ask_by_our_dbt, ask_by_plain_dbt])
def test_every_session_has_our_settings(
    asking: Callable[..., Any],
    spoil: Spoil,
    prepared_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warehouse = open_warehouse(settings_at(prepared_dsn, tmp_path))
    with warehouse.connect() as conn:
        names, wanted = set(choose_values(conn)), read_session(conn)
    spoil(prepared_dsn, monkeypatch)
    if asking is ask_by_plain_dbt:  # it obeys them, as docs/how-to/dbt.md says
        for variable in VARIABLES:
            monkeypatch.delenv(variable, raising=False)
    with asking(warehouse, tmp_path) as ask:
        assert ask("select '沪铜'")[0][0] == "沪铜"
        settings = dict(ask("select name, setting from pg_settings"))
    assert {name: settings[name] for name in wanted} == wanted
    assert names > wanted.keys() - {"jit", "client_connection_check_interval"}


@pytest.mark.parametrize("encoding", ["EUC_CN", "SQL_ASCII"])
def test_a_database_that_is_not_in_utf8_is_refused_with_the_statement_for_one(
    encoding: str, server_url: str, tmp_path: Path
) -> None:
    name = f"names_{encoding.lower()}"
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(
            f"create database {name} encoding {encoding} locale 'C' locale_provider libc "
            "template template0".encode()
        )
        url = make_conninfo(server_url, dbname=name)
        for open_it in (
            lambda: open_warehouse(settings_at(url, tmp_path)),
            partial(quotemill.open, url),
        ):
            with pytest.raises(quotemill.Error, match="UTF8") as caught:
                open_it()
            assert (caught.value.exit_code, encoding in str(caught.value)) == (3, True)
        conn.execute(caught.value.hint.partition(", then ")[0].encode())
    open_warehouse(settings_at(make_conninfo(server_url, dbname=f"{name}_utf8"), tmp_path))


@pytest.fixture
def start_pooler(foreign_server: Any) -> Iterator[Callable[[str], int]]:
    """Start PgBouncer with a mode in front of the server, which knows nobody; its port."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    require("pgbouncer", program is not None, "PgBouncer is not installed")
    with ExitStack() as started:

        def start(mode: str) -> int:
            folder = started.enter_context(new_home())
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            server = f"host=127.0.0.1 port={foreign_server.port} user=postgres"
            (folder / "pgbouncer.ini").write_text(
                f"[databases]\n* = {server} password={foreign_server.admin_password}\n"
                f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
                f"pool_mode = {mode}\nunix_socket_dir =\n"
            )
            account = ["-u", "nobody"] if os.geteuid() == 0 else []
            command = [str(program), "-q", *account, str(folder / "pgbouncer.ini")]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            started.callback(process.wait)
            started.callback(process.kill)
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    return port
                assert process.poll() is None

        yield start


def test_a_pooler_by_transaction_is_refused_with_what_to_do(
    start_pooler: Callable[[str], int], tmp_path: Path
) -> None:
    url = f"postgresql://postgres@127.0.0.1:{start_pooler('transaction')}/postgres"
    for open_it in (
        lambda: open_warehouse(settings_at(url, tmp_path)),
        partial(quotemill.open, url),
    ):
        with pytest.raises(quotemill.Error, match="keeps no sessions") as caught:
            open_it()
        assert caught.value.exit_code == 3
        assert "pool_mode=session" in caught.value.hint
        assert "ignore_startup_parameters=options" in caught.value.hint


def test_a_pooler_refuses_the_session_of_plain_dbt_as_its_page_says(
    start_pooler: Callable[[str], int],
) -> None:
    page = " ".join((ROOT / "docs" / "how-to" / "warehouse.md").read_text("utf-8").split())
    place = {"host": "127.0.0.1", "port": start_pooler("session"), "user": "postgres"}
    with pytest.raises(psycopg2.OperationalError) as refused:
        psycopg2.connect(dbname="postgres", options="-c search_path=public\t-cjit=off", **place)
    said = re.search(r"unsupported startup parameter(?: in options|: options)", str(refused.value))
    assert said is not None
    assert f"`{said[0]}`" in page


def test_a_pooler_by_session_takes_a_load(
    start_pooler: Callable[[str], int], foreign_server: Any, tmp_path: Path
) -> None:
    database, _ = foreign_server.fresh_database()
    url = f"postgresql://postgres@127.0.0.1:{start_pooler('session')}/{database}"
    warehouse = open_warehouse(settings_at(url, tmp_path))
    prepare(warehouse, [SECURITY])
    pipeline, _ = load_job.open_pipeline(warehouse, content_id(warehouse), "tdx", "tdx")
    bank = Security("sh600000", "浦发银行", "stock", "/api/codes")
    records = build_records([bank], datetime(2024, 6, 28, tzinfo=UTC))
    rows = pa.Table.from_pylist(records, SECURITY.schema)
    assert load_job.land(pipeline, warehouse, "tdx", SECURITY, [Batch(rows)]).new == 1
    with build_lock(warehouse), foreign_server.admin() as conn:
        holder = conn.execute(
            "select pid::text from pg_stat_activity where application_name = 'quotemill build lock'"
        )
        # by which our dbt passes its own lock
        assert holder.fetchall() == [(os.environ["QUOTEMILL_BUILD_LOCK_HELD"],)]


def test_functions_of_timescaledb_are_found_in_any_schema(
    apache_server: str, tmp_path: Path
) -> None:
    with psycopg.connect(apache_server, autocommit=True) as conn:
        conn.execute("create database elsewhere template template0")
    url = make_conninfo(apache_server, dbname="elsewhere")
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute('create schema "Other one"')
        conn.execute('create extension timescaledb schema "Other one"')
    warehouse = open_warehouse(settings_at(url, tmp_path))
    for asking in (ask_by_psycopg, ask_by_our_dbt, ask_by_plain_dbt):
        with asking(warehouse, tmp_path) as ask:
            assert ask("select time_bucket('1 day', date '2024-06-28')::text") == [("2024-06-28",)]
