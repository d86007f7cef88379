"""Whole delivery years for a QuestDB of an earlier version (loaders.ticks.whole_years).

UPDATE ignores DEDUP: it may change a key, as the new ones are free. Ticks first, by the month, then
the index that says which of them are left.
"""

from collections import defaultdict

from loaders.ticks.frame import window
from loaders.ticks.questdb.http import QuestdbHttp
from loaders.ticks.questdb.partitions import find_parquet_partitions
from loaders.ticks.questdb.rows import iso, number_to_date
from loaders.ticks.store import StoreError
from loaders.ticks.tables import DAY_INDEX, MAIN_SCHEDULE, MAIN_TICKS, NO_DATA_DAYS
from loaders.ticks.whole_years import contract_columns, names_sql, short_ones, updates_sql

PATIENCE = 600.0  # seconds for a month of all series
_DAYS = (
    f"select distinct underlying_contract as contract, trading_day from {DAY_INDEX.name} "
    "where underlying_contract like 'CZCE.%'"
)


def add_whole_years(http: QuestdbHttp) -> None:
    """Rename contracts with one digit of their year in place; nothing is copied or downloaded.

    Raises StoreError where partitions are in Parquet: an UPDATE there suspends the table for good.
    """
    months: dict[int, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in http.rows(_DAYS):
        for contract in short_ones([row["contract"]]):
            months[row["trading_day"] // 100][row["trading_day"]].add(contract)
    if months and (problems := find_parquet_partitions(http)):
        problem, _, fix = problems[0].rpartition(": ")
        raise StoreError(f"contracts of Zhengzhou cannot be renamed: {problem}", hint=fix)
    for _, days in sorted(months.items()):
        first, last = window(number_to_date(min(days)))[0], window(number_to_date(max(days)))[1]
        names = set().union(*days.values())
        where = f"ts >= '{iso(first)}' and ts < '{iso(last)}'"
        _update(http, MAIN_TICKS.name, "underlying_contract", names, where)
    for table in (MAIN_SCHEDULE, NO_DATA_DAYS, DAY_INDEX):
        for column in contract_columns(table):
            names = {row["contract"] for row in http.rows(names_sql(table.name, column))}
            _update(http, table.name, column, set(short_ones(names)))


def _update(
    http: QuestdbHttp, table: str, column: str, names: set[str], where: str = "1 = 1"
) -> None:
    for statement in updates_sql(table, column, names, where):
        http.rows(statement)
    if names:
        http.wait_applied(table, PATIENCE)
