"""Landed tables follow what is declared of them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from loaders.errors import SettingsError
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import Warehouse
from loaders.warehouse.tables import LandedTable, create_tables, landed_table


def actions(digits: int, decimals: int) -> LandedTable:
    cash = ("cash", pa.decimal128(digits, decimals))
    return landed_table("raw_tdx", "some_action", [("code", pa.string()), cash], key=("code",))


@pytest.fixture
def conn(warehouse_dsn: str, tmp_path: Path) -> Iterator[psycopg.Connection]:
    """A warehouse with an action of four decimals, and a view of ours on it."""
    warehouse = Warehouse(
        url=warehouse_dsn,
        origin="test",
        embedded=False,
        market_schema="market",
        reader_role=None,
        label="test",
        home=tmp_path,
    )
    prepare(warehouse, [actions(18, 4)])
    conn = warehouse.connect(autocommit=True)
    conn.execute(
        "insert into raw_tdx.some_action values ('sh600000', 1.2345, 'x', now(), true, 'y')"
    )
    conn.execute(
        "create view quotemill_staging.our_view as select code, cash from raw_tdx.some_action"
    )
    conn.execute("insert into ops.managed_relation values ('quotemill_staging', 'our_view')")
    yield conn
    conn.close()


def test_a_numeric_column_gets_the_digits_declared_since(conn: psycopg.Connection) -> None:
    create_tables(conn, [actions(24, 9)])
    conn.execute("update raw_tdx.some_action set cash = cash + 0.000006789")

    assert conn.execute("select cash from raw_tdx.some_action").fetchone() == (
        Decimal("1.234506789"),
    )
    # dbt makes its view again
    assert conn.execute("select to_regclass('quotemill_staging.our_view')").fetchone() == (None,)
    create_tables(conn, [actions(24, 9)])


def test_a_view_of_somebody_else_is_not_dropped_for_it(conn: psycopg.Connection) -> None:
    conn.execute("create view public.theirs as select cash from quotemill_staging.our_view")

    with pytest.raises(SettingsError, match=r"public\.theirs reads it"):
        create_tables(conn, [actions(24, 9)])

    assert conn.execute("select cash from public.theirs").fetchone() == (Decimal("1.2345"),)
