"""A column that nothing fills is null: no number stands for what a source does not know."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.conftest import shared_folder
from tests.e2e.test_unusual_days import built

FEWEST = 30  # fewer rows may well agree
# columns that rightly have one number in every row, and why
CONSTANT = {
    "market.corporate_actions.seq": "a number among actions of one kind and day, which are rare",
    "raw_tdx.capital_event.seq": "the same of records",
}
NUMERIC = """
    select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum)
    from pg_attribute as a
    inner join pg_class as c on a.attrelid = c.oid
    inner join pg_namespace as n on c.relnamespace = n.oid
    where
        n.nspname in ('raw_tdx', 'raw_tq', 'raw_ib', 'market', 'futures', 'options')
        and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped
        and a.atttypid::regtype::text in ('numeric', 'integer', 'bigint', 'smallint', 'real',
            'double precision')
        and a.attname not in ('file_no', 'route_no', 'change_no')
    group by 1, 2 order by 1, 2
"""
COUNTS = """
    select up_count, down_count from market.{} where code = %s and {} = %s
"""


def constant_columns(conn: psycopg.Connection) -> dict[str, object]:
    """The columns with one number in every row of tables with more than a few."""
    constant = dict[str, object]()
    for schema, table, names in conn.execute(NUMERIC).fetchall():
        columns = sql.SQL(", ").join(
            sql.SQL("count({0}), min({0}), max({0})").format(sql.Identifier(n)) for n in names
        )
        query = sql.SQL("select count(*), {} from {}").format(
            columns, sql.Identifier(schema, table)
        )
        rows, *figures = conn.execute(query).fetchone() or (0,)
        for name, place in zip(names, range(0, len(figures), 3), strict=True):
            known, least, most = figures[place : place + 3]
            if rows >= FEWEST and known == rows and least == most:
                constant[f"{schema}.{table}.{name}"] = least
    return constant


@pytest.mark.parametrize("folder", ["client", "cases/tdx/29-index-advances"])
def test_no_number_stands_for_what_a_folder_lacks(folder: str, tmp_path: Path) -> None:
    with built(shared_folder(folder), tmp_path) as market:
        constant = constant_columns(market)
    assert {name: value for name, value in constant.items() if name not in CONSTANT} == {}


def test_indices_have_the_advances_and_declines_of_their_files(tmp_path: Path) -> None:
    with built(shared_folder("cases") / "tdx/29-index-advances", tmp_path) as market:
        for code, day, counts in (
            ("sh000001", "2021-05-14", (1413, 428)),
            ("sh000001", "2021-05-13", (606, 1257)),
            ("sh000001", "2021-05-07", (None, None)),
            ("sh881478", "2022-11-10", (7, 7)),
        ):
            query = COUNTS.format("index_kline_daily", "trade_date")
            assert market.execute(query.encode(), (code, day)).fetchone() == counts, day
        week = COUNTS.format("index_kline_weekly", "trade_date")
        assert market.execute(week.encode(), ("sh000001", "2021-05-14")).fetchone() == (1413, 428)
