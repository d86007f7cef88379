"""Partitions in Parquet, into which QuestDB 9.3.4 must not write.

We make none. An INSERT into one leaves a replaced tick beside the new one where equal stamps lie in
two row groups, and an UPDATE suspends the table for good.
"""

from loaders.ticks.tables import QUESTDB_TABLES
from quotemill.ticks.questdb_http import QuestdbHttp


def find_parquet_partitions(http: QuestdbHttp) -> list[str]:
    """Our tables with such partitions as problems, each with its fix."""
    names = {row["table_name"] for row in http.rows("select table_name from tables()")}
    problems = []
    for name in (table.name for table in QUESTDB_TABLES if table.name in names):
        (answer,) = http.rows(
            f"select count() as n from table_partitions('{name}') where isParquet"
        )
        if answer["n"]:
            problems.append(
                f"the table {name} has partitions in Parquet ({answer['n']:,}), where QuestDB "
                "stores revised ticks twice: run in QuestDB "
                f"`ALTER TABLE {name} CONVERT PARTITION TO NATIVE WHERE ts >= 0`"
            )
    return problems
