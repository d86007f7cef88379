"""A landed column that somebody renamed is no column to add: its values would be gone unseen."""

from pathlib import Path

import psycopg
import pytest

from loaders.errors import SettingsError
from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from loaders.warehouse.tables import refuse_renamed_columns
from tests.bench import settings_at
from tests.integration.dbt.raw import land, security

TABLE = "raw_tdx.security"


def columns(conn: psycopg.Connection) -> set[str]:
    query = "select attname from pg_attribute where attrelid = %s::regclass and not attisdropped"
    return {name for (name,) in conn.execute(query, (TABLE,))}


def test_a_renamed_column_is_refused_with_both_ways_out(prepared_dsn: str, tmp_path: Path) -> None:
    warehouse = open_warehouse(settings_at(prepared_dsn, tmp_path))
    tables = landed_tables()
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        land(conn, "security", [security("sh600000")])
        before = columns(conn)
        conn.execute(f"alter table {TABLE} rename column name to title".encode())
        prepare(warehouse, tables)
        assert "name" not in columns(conn)
        with pytest.raises(SettingsError) as refused:
            refuse_renamed_columns(conn, tables)
        assert str(refused.value) == (
            f"{TABLE} has no column name, but title, which quotemill does not know"
        )
        back, own = refused.value.hint.removeprefix("if that is the same: ").split("; if it is ")
        with conn.transaction(force_rollback=True):
            conn.execute(own.removeprefix("yours: ").encode())
            refuse_renamed_columns(conn, tables)
        conn.execute(back.encode())
        refuse_renamed_columns(conn, tables)
        assert columns(conn) == before

        # without a value it is no other name: as a version that declares a column finds it
        conn.execute(f"alter table {TABLE} drop column name, add column note text".encode())
        prepare(warehouse, tables)
        assert columns(conn) == before | {"note"}
