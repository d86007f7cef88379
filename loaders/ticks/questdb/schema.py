"""Creation of the tables in QuestDB, and comparison with their declaration."""

from typing import Any

from loaders.ticks.tables import QUESTDB_TABLES, StoreTable
from quotemill.errors import SettingsError
from quotemill.ticks.questdb_http import QuestdbHttp


def prepare_tables(http: QuestdbHttp) -> None:
    """Create or compare every table.

    Raises SettingsError that names a table of another shape and what differs; StoreError.
    """
    for table in QUESTDB_TABLES:
        http.rows(table.questdb_ddl())
        # IF NOT EXISTS accepts a table of another shape
        _compare(http, table, _columns(http, table))


def _columns(http: QuestdbHttp, table: StoreTable) -> dict[str, dict[str, Any]]:
    rows = http.rows(
        f"select \"column\", type, designated, upsertKey from table_columns('{table.name}')"
    )
    return {row["column"]: row for row in rows}


def _compare(http: QuestdbHttp, table: StoreTable, columns: dict[str, dict[str, Any]]) -> None:
    for name in table.names:
        kind = columns[name]["type"] if name in columns else None
        if kind is None:
            _refuse(table, f"lacks the column {name}")
        if kind != table.questdb_type(name):
            _refuse(table, f"has {kind} as its column {name}, not {table.questdb_type(name)}")
        if columns[name]["upsertKey"] != (name in table.key):
            _refuse(table, f"its column {name} {'is no' if name in table.key else 'is a'} key")
    if not columns["ts"]["designated"]:
        _refuse(table, "does not have ts as its designated timestamp")
    (table_row,) = http.rows(
        f"select partitionBy, walEnabled from tables() where table_name = '{table.name}'"
    )
    if table_row["partitionBy"] != table.partition or not table_row["walEnabled"]:
        _refuse(table, f"is not partitioned by {table.partition} with WAL")


def _refuse(table: StoreTable, why: str) -> None:
    raise SettingsError(
        f"the QuestDB table {table.name} was not made by quotemill: {why}",
        hint=f"move it away: RENAME TABLE {table.name} TO another_name",
    )
