"""Comparison of the tables in QuestDB with their declaration, and their creation."""

from collections.abc import Iterator
from typing import Any

from loaders.ticks.tables import QUESTDB_TABLES, StoreTable
from quotemill.errors import SettingsError
from quotemill.ticks.questdb_http import QuestdbHttp, literal


def prepare_tables(http: QuestdbHttp) -> None:
    """Compare every table, then create those that are not there.

    Raises SettingsError for the first of find_problems; StoreError.
    """
    for problem, fix in find_problems(http):
        raise SettingsError(problem, hint=fix)
    for table in QUESTDB_TABLES:
        http.rows(table.questdb_ddl())


def find_problems(http: QuestdbHttp) -> Iterator[tuple[str, str]]:
    """Why the server takes no writes, and tables that lose or double rows, each with its fix."""
    for name, value in http.parameters("readonly", "http.security.readonly").items():
        if value == "true":
            yield (
                f"QuestDB at {http.address.url} accepts no writes: its setting {name} is true",
                f"Write {name}=false into its server.conf, then restart it.",
            )
    rows = http.rows(
        "select table_name, partitionBy, walEnabled, ttlValue, ttlUnit from tables() "
        f"where table_name in ({', '.join(literal(table.name) for table in QUESTDB_TABLES)})"
    )
    stored = {row["table_name"]: row for row in rows}
    for table in QUESTDB_TABLES:
        if table.name in stored:
            yield from _compare(table, stored[table.name], _columns(http, table))


def _columns(http: QuestdbHttp, table: StoreTable) -> dict[str, dict[str, Any]]:
    rows = http.rows(
        f"select \"column\", type, designated, upsertKey from table_columns('{table.name}')"
    )
    return {row["column"]: row for row in rows}


def _compare(
    table: StoreTable, stored: dict[str, Any], columns: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    named = f"the QuestDB table {table.name}"
    if why := _find_foreign(table, stored, columns):
        fix = f"Move it away with: RENAME TABLE {table.name} TO another_name"
        yield f"{named} was not created by quotemill: {why}", fix
        return
    if not stored["walEnabled"]:
        fix = f"Run in QuestDB `ALTER TABLE {table.name} SET TYPE WAL`, then restart it."
        yield f"{named} is no longer written by WAL", fix
    if {name for name, row in columns.items() if row["upsertKey"]} != set(table.key):
        keys = ", ".join(table.key)
        fix = f"Run in QuestDB `ALTER TABLE {table.name} DEDUP ENABLE UPSERT KEYS({keys})`."
        yield f"{named} does not have the keys {keys}, and would store rows twice", fix
    if stored["ttlValue"]:
        fix = (
            f"Run in QuestDB `ALTER TABLE {table.name} SET TTL 0h`, then "
            "`loaders verify tq --repair`, which downloads the dropped rows."
        )
        ttl = f"{stored['ttlValue']} {stored['ttlUnit']}"
        yield f"{named} has a TTL of {ttl}, so QuestDB drops older rows", fix


def _find_foreign(
    table: StoreTable, stored: dict[str, Any], columns: dict[str, dict[str, Any]]
) -> str | None:
    """What no statement changes."""
    for name in table.names:
        kind = columns[name]["type"] if name in columns else None
        if kind is None:
            return f"is missing the column {name}"
        if kind != table.questdb_type(name):
            return f"has {kind} as its column {name}, not {table.questdb_type(name)}"
    if not columns["ts"]["designated"]:
        return "does not have ts as its designated timestamp"
    if stored["partitionBy"] != table.partition:
        return f"is not partitioned by {table.partition}"
    return None
