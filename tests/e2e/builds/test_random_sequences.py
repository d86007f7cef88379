"""Any sequence of changes, built as they come, gives what a build from nothing gives."""

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.e2e.builds.random_changes import Changes, land_futures, land_market
from tests.integration.dbt.conftest import REBUILD, UPDATE
from tests.integration.dbt.option_days import OPTION_DAYS

pytestmark = OPTION_DAYS

# it lists every change of the feed: what was built is no part of it
FEED = "market.changes"
SOME_OF_ALL = {
    "futures.main_daily",
    "market.kline_weekly_qfq",
    "market.stock_limits",
    "options.chain_daily_clean",
}


def contents(conn: psycopg.Connection) -> dict[str, list[str]]:
    """The rows of every table that dbt made, and of every view that users read."""
    relations = conn.execute(
        "select format('%I.%I', m.schema_name, m.relation_name) from ops.managed_relation as m "
        "join pg_class as c on c.oid = to_regclass(format('%I.%I', schema_name, relation_name)) "
        "where c.relkind = 'r' or m.schema_name in ('market', 'options', 'futures', 'qa') "
        "order by 1"
    ).fetchall()
    assert len(relations) > 100
    return {
        name: [row for (row,) in conn.execute(f"select t::text from {name} as t order by 1")]
        for (name,) in relations
        if name != FEED
    }


def check_sequence(conn: psycopg.Connection, dbt: Dbt, seed: int) -> set[str]:
    """Three builds after one to four changes each, then one that reads everything.

    Returns the relations that have rows in the end.
    """
    changes = Changes(conn, seed)
    made = []
    for _ in range(3):
        made.append([changes.make() for _ in range(changes.random.randrange(1, 5))])
        outcome = dbt(*UPDATE)
        assert outcome.success, (seed, made, outcome.error)
    as_they_came = contents(conn)
    dbt(*REBUILD)
    from_nothing = contents(conn)
    differing = [name for name, rows in from_nothing.items() if rows != as_they_came[name]]
    assert differing == [], (seed, made)
    return {name for name, rows in from_nothing.items() if rows}


@pytest.fixture
def market(conn: psycopg.Connection) -> psycopg.Connection:
    """A small market and some futures beside the days of options."""
    land_market(conn)
    land_futures(conn)
    return conn


@pytest.mark.soak
def test_sequences_of_changes_give_what_a_build_from_nothing_gives(
    market: psycopg.Connection, dbt: Dbt
) -> None:
    filled: set[str] = set()
    for seed in range(3):
        filled |= check_sequence(market, dbt, seed)

    assert filled >= SOME_OF_ALL


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 300))
def test_any_sequence_of_changes_gives_what_a_build_from_nothing_gives(
    market: psycopg.Connection, dbt: Dbt, seed: int
) -> None:
    check_sequence(market, dbt, seed)
