"""Exports by who cannot write: a role that only reads, a session of a standby."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from orchestration.cli import app
from tests.bench import prepared_warehouse

ROLE = "only_reads"
EXPORT = ["export", "rows", "raw_tdx.trading_day", "--to", "csv"]


@pytest.fixture
def address(warehouse_dsn: str, tmp_path: Path) -> Iterator[str]:
    """A warehouse with two days, for a role that may read only their table."""
    warehouse = prepared_warehouse(warehouse_dsn, tmp_path, [])
    with warehouse.connect() as conn:
        conn.execute("create schema raw_tdx")
        conn.execute(
            "create table raw_tdx.trading_day as "
            "select day::date as trade_date from generate_series('2024-01-02'::timestamp, "
            "'2024-01-03', '1 day') as day"
        )
        conn.execute(f"drop role if exists {ROLE}".encode())
        conn.execute(f"create role {ROLE} login".encode())
        conn.execute(f"grant usage on schema raw_tdx to {ROLE}".encode())
        conn.execute(f"grant select on raw_tdx.trading_day to {ROLE}".encode())
    yield warehouse.url
    with warehouse.connect() as conn:
        conn.execute(f"drop owned by {ROLE}".encode())
        conn.execute(f"drop role {ROLE}".encode())


@pytest.mark.parametrize("reads_only", ["role", "session"])
def test_an_export_needs_no_write(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads_only: str
) -> None:
    other = {"user": ROLE} if reads_only == "role" else {}
    options = "" if other else "-c default_transaction_read_only=on"
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", make_conninfo(address, options=options, **other))
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    written = []
    for _ in range(2):
        done = CliRunner().invoke(app, [*EXPORT, str(tmp_path / "days")])
        assert (done.exit_code, done.exception) == (0, None)
        written += [path.read_bytes() for path in (tmp_path / "days").rglob("*.csv")]
    assert written[0] == written[1]
    assert written[0].count(b"2024-01-0") == 2
    with psycopg.connect(address) as conn:
        assert conn.execute("select count(*) from ops.change_cursors").fetchone() == (0,)


def test_a_query_reads_no_file_of_the_server(
    warehouse_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = prepared_warehouse(warehouse_dsn, tmp_path, [])
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path))
    query = "select pg_read_file('PG_VERSION') as text"
    done = CliRunner().invoke(app, ["export", query, str(tmp_path / "out"), "--to", "csv"])
    assert done.exit_code != 0
    assert "pg_read_file" in str(done.exception)
    assert not [*(tmp_path / "out").rglob("*.csv")]
