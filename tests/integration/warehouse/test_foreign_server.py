"""A server that is not ours: passwords, errors, what a writer without superuser rights needs."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege

from loaders.landing import load_job
from loaders.tdx.context import Security
from loaders.tdx.datasets.codes import build_records
from loaders.tdx.tables import SECURITY
from loaders.warehouse import migrate
from loaders.warehouse.content import content_id
from loaders.warehouse.ownership import claim_schemas, owned_schemas, privileges
from loaders.warehouse.tables import Batch
from quotemill.errors import SettingsError, UpstreamError
from quotemill.warehouse.postgres import Warehouse

OpenAt = Callable[..., Warehouse]
SCHEMAS = ["raw_tdx", "qa", "market"]


def claimed(server: Any) -> tuple[str, str, Warehouse]:
    """A new database whose schemas are claimed: its name, its writer, its warehouse."""
    database, writer = server.fresh_database()
    warehouse = server.warehouse(writer, server.writer_password, database)
    with warehouse.connect() as conn:
        claim_schemas(conn, SCHEMAS)
    return database, writer, warehouse


def test_a_password_with_special_signs_connects_and_is_not_shown(
    foreign_server: Any,
) -> None:
    database, writer = foreign_server.fresh_database()
    secret = foreign_server.writer_password
    warehouse = foreign_server.warehouse(writer, secret, database)
    with warehouse.connect() as conn:
        assert conn.execute("select current_user").fetchone() == (writer,)
        assert conn.execute("show jit").fetchone() == ("off",)
    for shown in (repr(warehouse), warehouse.label, warehouse.without_password()[0]):
        assert secret not in shown
        assert "%40ss" not in shown
    address, completed = warehouse.without_password()
    assert "password" not in conninfo_to_dict(address)
    assert completed == {"PGPASSWORD": secret}
    assert warehouse.label == f"postgresql://{writer}@127.0.0.1:{foreign_server.port}/{database}"
    with psycopg.connect(warehouse.dlt_url()) as conn:
        assert conn.info.dbname == database


def test_special_passwords_and_options_with_spaces_reach_landing(
    foreign_server: Any, open_at: OpenAt, tmp_path: Path
) -> None:
    database, writer = foreign_server.fresh_database()
    url = foreign_server.url(writer, foreign_server.writer_password, database)
    url += "?options=-c%20statement_timeout%3D600000"
    warehouse = open_at(foreign_server.home, QUOTEMILL_WAREHOUSE_URL=url)
    migrate.prepare(warehouse, [SECURITY])
    pipeline, _ = load_job.open_pipeline(warehouse, content_id(warehouse), "tdx", "tdx")
    bank = Security("sh600000", "PF Bank", "stock", "/api/codes")
    records = build_records([bank], datetime(2024, 6, 28, tzinfo=UTC))
    rows = pa.Table.from_pylist(records, SECURITY.schema)
    assert load_job.land(pipeline, warehouse, "tdx", SECURITY, [Batch(rows)]).new == 1


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_every_connection_notices_a_silent_server_in_a_minute(
    foreign_server: Any, open_at: OpenAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, writer = foreign_server.fresh_database()
    warehouse = foreign_server.warehouse(writer, foreign_server.writer_password, database)

    def watched(file_number: int) -> tuple[int, ...]:
        with socket.fromfd(file_number, socket.AF_INET, socket.SOCK_STREAM) as seen:
            options = (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPCNT)
            keepalive = seen.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            return (keepalive, *(seen.getsockopt(socket.IPPROTO_TCP, option) for option in options))

    with warehouse.connect() as conn:
        assert watched(conn.fileno()) == (1, 30_000, 30, 3)
    migrate.prepare(warehouse, [SECURITY])
    pipeline, _ = load_job.open_pipeline(warehouse, content_id(warehouse), "tdx", "tdx")
    with pipeline.sql_client() as client:
        assert watched(client.native_connection.fileno()) == (1, 30_000, 30, 3)
    with psycopg.connect(warehouse.dlt_url()) as conn:  # what lands the rows
        assert watched(conn.fileno()) == (1, 30_000, 30, 3)

    url = foreign_server.url(writer, foreign_server.writer_password, database)
    own = open_at(foreign_server.home, QUOTEMILL_WAREHOUSE_URL=f"{url}?keepalives_idle=7")
    with own.connect() as conn:
        assert watched(conn.fileno()) == (1, 30_000, 7, 3)


def test_a_key_value_string_works_like_a_url(foreign_server: Any, open_at: OpenAt) -> None:
    text = (
        f"host=127.0.0.1 port={foreign_server.port} user=postgres dbname=postgres "
        f"password={foreign_server.admin_password}"
    )
    warehouse = open_at(foreign_server.home, QUOTEMILL_WAREHOUSE_URL=text)
    assert warehouse.url.startswith("postgresql://postgres:")
    warehouse.connect().close()


def test_a_password_from_the_environment_reaches_dlt_too(
    foreign_server: Any, open_at: OpenAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", foreign_server.admin_password)
    url = f"postgresql://postgres@127.0.0.1:{foreign_server.port}/postgres"
    warehouse = open_at(foreign_server.home, QUOTEMILL_WAREHOUSE_URL=url)
    monkeypatch.delenv("PGPASSWORD")
    warehouse.connect().close()
    assert foreign_server.admin_password in warehouse.dlt_url()


def test_a_wrong_password_is_an_unavailable_warehouse_with_its_fix(foreign_server: Any) -> None:
    with pytest.raises(UpstreamError, match="password authentication failed") as caught:
        foreign_server.warehouse("postgres", "not-the-password", "postgres")
    assert "not-the-password" not in str(caught.value) + caught.value.hint
    assert "QUOTEMILL_WAREHOUSE_URL" in caught.value.hint
    assert caught.value.__cause__ is None


def test_a_missing_database_and_a_closed_port_say_what_to_check(
    foreign_server: Any, open_at: OpenAt
) -> None:
    with pytest.raises(UpstreamError) as missing:
        foreign_server.warehouse("postgres", foreign_server.admin_password, "no_such_database")
    assert "createdb" in missing.value.hint
    url = "postgresql://postgres:s3cret@127.0.0.1:1/postgres"
    with pytest.raises(UpstreamError) as closed:
        open_at(foreign_server.home, QUOTEMILL_WAREHOUSE_URL=url)
    assert "running" in closed.value.hint
    assert "s3cret" not in str(closed.value)


@pytest.mark.parametrize("url", ["postgresql://u:pa:ss@w@h:port/d", "mysql://u:s3cret@h/d", "x"])
def test_an_invalid_address_is_a_settings_error_without_its_text(
    foreign_server: Any, open_at: OpenAt, url: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        open_at(foreign_server.home, QUOTEMILL_WAREHOUSE_URL=url)
    assert "s3cret" not in str(caught.value)
    assert "pa:ss" not in str(caught.value)


def test_a_server_that_is_too_old_is_refused(
    foreign_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loaders.warehouse.postgres.OLDEST", 99)
    with pytest.raises(SettingsError, match="quotemill needs 99 or newer"):
        foreign_server.warehouse("postgres", foreign_server.admin_password, "postgres")


@pytest.mark.parametrize("name", ["ops", "qa", "pg_mine", "raw_tdx"])
def test_market_cannot_take_the_name_of_another_schema_of_ours(
    foreign_server: Any, open_at: OpenAt, name: str
) -> None:
    with pytest.raises(SettingsError, match="market_schema"):
        open_at(foreign_server.home, QUOTEMILL_MARKET_SCHEMA=name)
    assert not (Path(foreign_server.home) / "postgres").exists()  # refused before it starts one


def test_schemas_are_claimed_once_and_user_tables_left_alone(
    foreign_server: Any,
) -> None:
    database, _, warehouse = claimed(foreign_server)
    with foreign_server.admin(database) as admin:
        admin.execute("create table market.my_notes (x int)")
    with warehouse.connect() as conn:
        claim_schemas(conn, SCHEMAS)
        assert owned_schemas(conn) == {"ops", *SCHEMAS}
        assert all(privilege.held for privilege in privileges(conn)[:3])
    with foreign_server.admin(database) as admin:
        assert admin.execute("select count(*) from market.my_notes").fetchone() == (0,)


@pytest.mark.parametrize(
    "relation",
    [
        "create table {}.theirs (x int)",
        "create view {}.theirs as select 1 as x",
        "create materialized view {}.theirs as select 1 as x",
        "create sequence {}.theirs",
    ],
)
@pytest.mark.parametrize(
    ("schema", "fix"),
    [("market", "QUOTEMILL_MARKET_SCHEMA"), ("qa", "QUOTEMILL_WAREHOUSE_URL"), ("ops", "URL")],
)
def test_a_schema_with_user_relations_is_refused_and_unchanged(
    foreign_server: Any, schema: str, fix: str, relation: str
) -> None:
    database, writer = foreign_server.fresh_database()
    with foreign_server.admin(database) as admin:
        admin.execute(f"create schema {schema}".encode())
        admin.execute(relation.format(schema).encode())
    warehouse = foreign_server.warehouse(writer, foreign_server.writer_password, database)
    with warehouse.connect() as conn, pytest.raises(SettingsError, match="theirs") as caught:
        claim_schemas(conn, SCHEMAS)
    assert fix in caught.value.hint
    with foreign_server.admin(database) as admin:
        names = {n for (n,) in admin.execute("select nspname from pg_namespace")}
        assert names & {"ops", *SCHEMAS} == {schema}


def test_a_schema_with_an_extension_alone_is_free(foreign_server: Any) -> None:
    database, writer = foreign_server.fresh_database()
    with foreign_server.admin(database) as admin:
        admin.execute("create schema market")
        try:
            admin.execute("create extension pg_stat_statements schema market")
        except psycopg.errors.UndefinedFile:
            pytest.skip("the server has no contrib extensions")
        admin.execute(f"grant usage, create on schema market to {writer}".encode())
    warehouse = foreign_server.warehouse(writer, foreign_server.writer_password, database)
    with warehouse.connect() as conn:
        claim_schemas(conn, SCHEMAS)


def test_the_doctor_names_the_grant_for_who_may_not_create_schemas(foreign_server: Any) -> None:
    database, writer = foreign_server.fresh_database(owner_may_create=False)
    warehouse = foreign_server.warehouse(writer, foreign_server.writer_password, database)
    with warehouse.connect() as conn:
        with pytest.raises(InsufficientPrivilege):
            claim_schemas(conn, SCHEMAS)
        conn.rollback()
        lacking = [privilege for privilege in privileges(conn) if not privilege.held]
    assert [item.fix for item in lacking] == [f"grant create on database {database} to {writer}"]


def test_existing_empty_schemas_need_no_right_on_the_database(foreign_server: Any) -> None:
    database, writer = foreign_server.fresh_database(owner_may_create=False)
    with foreign_server.admin(database) as admin:
        for schema in ("ops", *SCHEMAS):
            admin.execute(f"create schema {schema}".encode())
            if schema != "qa":
                admin.execute(f"grant usage, create on schema {schema} to {writer}".encode())
    warehouse = foreign_server.warehouse(writer, foreign_server.writer_password, database)
    with warehouse.connect() as conn:
        claim_schemas(conn, SCHEMAS)
        lacking = [privilege.fix for privilege in privileges(conn) if not privilege.held]
        assert lacking == [f"grant usage, create on schema qa to {writer}"]
        conn.commit()
        with foreign_server.admin(database) as admin:
            admin.execute(f"grant usage, create on schema qa to {writer}".encode())
        assert all(privilege.held for privilege in privileges(conn))


def test_relations_of_another_owner_and_a_missing_reader_are_named(foreign_server: Any) -> None:
    database, writer, warehouse = claimed(foreign_server)
    with foreign_server.admin(database) as admin:
        admin.execute("create table market.kline_daily (x int)")
    with warehouse.connect() as conn:
        fixes = [item.fix for item in privileges(conn, "nobody_yet") if not item.held]
    assert fixes == [f"grant postgres to {writer}", "create role nobody_yet"]


def test_two_concurrent_first_claims_agree(foreign_server: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    database, writer = foreign_server.fresh_database()
    warehouse = foreign_server.warehouse(writer, foreign_server.writer_password, database)

    def claim(_: int) -> set[str]:
        with warehouse.connect() as conn:
            claim_schemas(conn, SCHEMAS)
            return owned_schemas(conn)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(claim, range(4))) == [{"ops", *SCHEMAS}] * 4


def test_the_home_of_a_foreign_warehouse_gets_no_server(foreign_server: Any) -> None:
    foreign_server.warehouse("postgres", foreign_server.admin_password, "postgres")
    assert not (Path(foreign_server.home) / "postgres").exists()
