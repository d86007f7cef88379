"""Contracts of Zhengzhou (CZCE) in stores that have one digit of their delivery year.

Earlier versions kept the exchange's code (CZCE.SR601); now they have two, CZCE.SR2601. Those stores
hold deliveries from October 2020 to September 2030, so that a code alone names its contract. No
contract had the new name before: a table can be renamed row by row, and again after a stop.
"""

import re
from collections.abc import Callable, Collection, Iterable

import psycopg

from loaders.ticks.tables import DAY_INDEX, MAIN_TICKS, TABLES, StoreTable

_SHORT = re.compile(r"(CZCE\.[A-Za-z_]+)(\d{3})")
_COLUMNS = ("underlying_contract", "prev_contract")
AT_ONCE = 50  # contracts in one statement, which may be part of an address


def whole_year(contract: str) -> str:
    """The contract with two digits of its year; any other name as it is."""
    match = _SHORT.fullmatch(contract)
    if match is None:
        return contract
    product, digits = match.groups()
    return f"{product}{3 if digits < '010' else 2}{digits}"


def short_ones(contracts: Iterable[str | None]) -> list[str]:
    """Those with one digit of their year, in order."""
    return sorted({c for c in contracts if c is not None and whole_year(c) != c})


def contract_columns(table: StoreTable) -> list[str]:
    return [name for name in _COLUMNS if name in table.names]


def names_sql(table: str, column: str) -> str:
    """The query of the contracts of Zhengzhou in a column, by the name `contract`."""
    return f"select distinct {column} as contract from {table} where {column} like 'CZCE.%'"


def updates_sql(
    table: str, column: str, contracts: Collection[str], where: str = "1 = 1"
) -> list[str]:
    """The UPDATEs that give contracts their new names."""
    names = sorted(contracts)
    statements = []
    for start in range(0, len(names), AT_ONCE):
        part = names[start : start + AT_ONCE]
        cases = " ".join(f"when '{name}' then '{whole_year(name)}'" for name in part)
        texts = ", ".join(f"'{name}'" for name in part)
        statements.append(
            f"update {table} set {column} = case {column} {cases} end "
            f"where {column} in ({texts}) and {where}"
        )
    return statements


def add_whole_years(conn: psycopg.Connection, name_of: Callable[[StoreTable], str]) -> None:
    """Rename the contracts in a store in PostgreSQL; the index tells which have ticks."""

    def find(table: StoreTable, column: str) -> list[str]:
        rows = conn.execute(names_sql(name_of(table), column).encode())
        return short_ones(contract for (contract,) in rows)

    with_ticks = find(DAY_INDEX, "underlying_contract")
    for table in TABLES:
        for column in contract_columns(table):
            names = with_ticks if table is MAIN_TICKS else find(table, column)
            for statement in updates_sql(name_of(table), column, names):
                conn.execute(statement.encode())
