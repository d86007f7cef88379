"""An embedded server that lets a role read at an address of this machine."""

import os
import re
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from loaders.engine.progress import Silent
from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.embedded.access import READER
from loaders.warehouse.ownership import claim_schemas
from loaders.warehouse.reader import admit_reader
from orchestration.cli.warehouse import app
from quotemill.errors import SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.integration.warehouse.conftest import settings_for

OpenAt = Callable[..., Warehouse]
Url = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def listening(make_stopped_home: Callable[[], Path], port: int, open_at: OpenAt) -> Warehouse:
    """A warehouse with a table of each kind of schema, that listens at the port."""
    warehouse = open_at(make_stopped_home(), QUOTEMILL_SERVER__LISTEN=f"127.0.0.1:{port}")
    with warehouse.connect() as conn:
        claim_schemas(conn, ["market", "qa", "raw_tdx", "quotemill_staging"])
        for schema in ("market", "qa", "raw_tdx", "quotemill_staging", "ops"):
            conn.execute(f"create table {schema}.fact as select 1 as x".encode())
        conn.execute("create view market.seen as select x + 1 as x from raw_tdx.fact")
    admit_reader(warehouse)
    return warehouse


def read(warehouse: Warehouse, text: str, **other: Any) -> list[Any]:
    """The rows that the reader gets at the address."""
    assert warehouse.admits_reader
    server = embedded.running(warehouse.home)
    assert server is not None
    assert server.listens is not None
    password = (warehouse.home / "reader.password").read_text().strip()
    target = {"host": "127.0.0.1", "port": server.listens.port, "dbname": "postgres"}
    with psycopg.connect(**(target | {"user": READER, "password": password} | other)) as conn:
        return conn.execute(text.encode()).fetchall()


def test_the_reader_reads_what_is_for_readers(listening: Warehouse) -> None:
    assert read(listening, "select x from market.fact union all select x from qa.fact") == [
        (1,),
        (1,),
    ]
    assert read(listening, "select x from market.seen") == [(2,)]


@pytest.mark.parametrize("schema", ["ops", "raw_tdx", "quotemill_staging"])
def test_the_reader_reads_nothing_else(listening: Warehouse, schema: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read(listening, f"select x from {schema}.fact")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into market.fact values (2)",
        "update market.fact set x = 2",
        "delete from market.fact",
        "truncate market.fact",
        "drop table market.fact",
        "create table market.own (x int)",
        "create table public.own (x int)",
        "create schema own",
        "copy market.fact to program 'cat'",
        "select pg_read_file('postgresql.conf')",
        "select rolpassword from pg_authid",
        "alter role postgres login",
        "set role postgres",
        "create role other",
        "create temporary table own (x int)",
        "select lo_create(0)",
        "select lo_from_bytea(0, 'x')",
        "select pg_advisory_lock(1)",
    ],
)
def test_the_reader_changes_nothing(listening: Warehouse, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read(listening, statement)
    assert read(listening, "select x from market.fact") == [(1,)]


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"user": "postgres"}, "rejects connection"),
        ({"user": "postgres", "password": ""}, "rejects connection"),
        ({"user": "nobody_known"}, "rejects connection"),
        ({"dbname": "template1"}, "rejects connection"),
    ],
)
def test_nobody_else_gets_in(listening: Warehouse, login: dict[str, str], says: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=says):
        read(listening, "select 1", **login)


def test_tables_that_are_made_or_replaced_later_are_readable(listening: Warehouse) -> None:
    with listening.connect() as conn:  # as dbt replaces a table
        conn.execute("create table market.fact__dbt_tmp as select 7 as x")
        conn.execute("alter table market.fact rename to fact__dbt_backup")
        conn.execute("alter table market.fact__dbt_tmp rename to fact")
        conn.execute("create view market.later as select x from market.fact")
    assert read(listening, "select * from market.fact natural join market.later") == [(7,)]
    with listening.connect() as conn:
        conn.execute("drop view market.later")
        conn.execute("drop table market.fact")
        conn.execute("alter table market.fact__dbt_backup rename to fact")


def test_a_second_call_keeps_the_password_and_changes_no_grant(listening: Warehouse) -> None:
    rights = (
        "select array_agg(c.xmin::text order by c.oid) from pg_class as c "
        "where c.relnamespace in ('market'::regnamespace, 'qa'::regnamespace)"
    )
    with listening.connect() as conn:
        before = conn.execute(rights).fetchone()
    password = admit_reader(listening)
    assert password == (listening.home / "reader.password").read_text().strip()
    with listening.connect() as conn:
        assert conn.execute(rights).fetchone() == before


def test_the_password_is_in_a_private_file_alone(listening: Warehouse) -> None:
    path = listening.home / "reader.password"
    password = path.read_text().strip()
    assert len(password) == 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with listening.connect() as conn:
        conn.execute("set log_statement = 'all'")
        admit_reader(listening)
    with pytest.raises(psycopg.OperationalError) as refused:
        read(listening, "select 1", user="postgres", password=password)
    assert password not in str(refused.value)
    server = embedded.running(listening.home)
    assert server is not None
    assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()
    for file in listening.home.rglob("*"):
        if file != path and file.is_file():
            assert password.encode() not in file.read_bytes(), file


def test_a_damaged_password_is_replaced(listening: Warehouse) -> None:
    path = listening.home / "reader.password"
    first = path.read_text()
    path.write_text(first[:5])
    assert admit_reader(listening) != first.strip()
    assert read(listening, "select 1") == [(1,)]


def test_a_role_of_that_name_loses_what_it_could_do(listening: Warehouse) -> None:
    with listening.connect() as conn:
        conn.execute(f"alter role {READER} superuser createdb".encode())
    admit_reader(listening)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read(listening, "select x from ops.fact")


def test_a_killed_server_listens_again(listening: Warehouse) -> None:
    server = embedded.running(listening.home)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    with listening.connect() as conn:
        assert conn.execute("select 1").fetchone() == (1,)
    assert read(listening, "select 1") == [(1,)]


@pytest.fixture
def url(listening: Warehouse, port: int, monkeypatch: pytest.MonkeyPatch) -> Url:
    """`quotemill warehouse url` at the home, with the setting."""
    for name in list(os.environ):
        if name.startswith(("QUOTEMILL_", "DB_", "TDX_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QUOTEMILL_HOME", str(listening.home))
    monkeypatch.setenv("QUOTEMILL_SERVER__LISTEN", f"127.0.0.1:{port}")
    monkeypatch.chdir(listening.home)
    return lambda *args: CliRunner().invoke(app, ["url", *args])


def test_the_printed_url_reads(url: Url) -> None:
    printed = url("--reader").stdout.strip()
    with psycopg.connect(printed) as conn:
        assert conn.execute("select current_user, x from market.fact").fetchall() == [(READER, 1)]


def test_lines_for_other_programs_name_the_same(url: Url, listening: Warehouse, port: int) -> None:
    password = (listening.home / "reader.password").read_text().strip()
    assert url("--reader", "--form", "jdbc").stdout == (
        f"jdbc:postgresql://127.0.0.1:{port}/postgres?user={READER}&password={password}\n"
    )
    assert url("--reader", "--form", "odbc").stdout == (
        f"Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={port};Database=postgres;"
        f"Uid={READER};Pwd={password}\n"
    )
    assert f'port = {port}, dbname = "postgres", user = "{READER}", password = "{password}")' in (
        url("--reader", "--form", "r").stdout
    )
    assert isinstance(url("--form", "r").exception, UsageError)


def test_a_url_before_the_setting_or_its_start_says_what_to_do(
    url: Url, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setenv("QUOTEMILL_SERVER__LISTEN", "127.0.0.1:5499")
    waiting = url("--reader").exception
    assert isinstance(waiting, SettingsError)
    assert re.search(f"127.0.0.1:{port} until .* 127.0.0.1:5499", str(waiting))
    monkeypatch.delenv("QUOTEMILL_SERVER__LISTEN")
    unset = url("--reader").exception
    assert isinstance(unset, UsageError)
    assert "server.listen=127.0.0.1:5433" in unset.hint
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", "postgresql://u:s3cret@h/d")
    elsewhere = url("--reader").exception
    assert isinstance(elsewhere, UsageError)
    assert "reader_role" in elsewhere.hint
    assert "s3cret" not in str(elsewhere)


def test_without_the_setting_the_next_start_has_a_socket_only(
    stopped_home: Path, open_at: OpenAt
) -> None:
    port = free_port()
    there = open_at(stopped_home, QUOTEMILL_SERVER__LISTEN=f"127.0.0.1:{port}")
    assert embedded.status(stopped_home).readers_at == f"127.0.0.1:{port}"
    assert there.url.endswith("port=5432")  # as the profile of plain dbt has it
    embedded.stop(stopped_home)
    closed = open_at(stopped_home)
    assert closed.url == there.url
    assert embedded.status(stopped_home).readers_at is None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with closed.connect() as conn:
        assert conn.execute("show hba_file").fetchone() == (f"{stopped_home}/postgres/pg_hba.conf",)


def test_a_taken_port_is_named_with_its_setting(stopped_home: Path, open_at: OpenAt) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}: Address ") as no:
            open_at(stopped_home, QUOTEMILL_SERVER__LISTEN=f"127.0.0.1:{port}")
    assert "server.listen" in no.value.hint
    assert embedded.running(stopped_home) is None


def test_a_first_load_makes_the_role(stopped_home: Path) -> None:
    from loaders.loads import prepare_warehouse

    settings = settings_for(stopped_home, QUOTEMILL_SERVER__LISTEN=f"127.0.0.1:{free_port()}")
    warehouse = prepare_warehouse(settings, Silent())
    with warehouse.connect() as conn:
        conn.execute("create table options.chain as select 3 as x")
    assert read(warehouse, "select x from options.chain") == [(3,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read(warehouse, "select value from ops.settings")
