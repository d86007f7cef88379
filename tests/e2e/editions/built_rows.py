"""What builds made, in a form that two warehouses can be compared by."""

from tests.bench import WarehouseQueries
from tests.e2e.editions.test_builds import Rows

SCHEMAS = ["market", "futures", "options", "qa", "quotemill_intermediate"]
UNLIKE = ["changes"]
# when, and by which run, a row came
TIMES = [
    "fetched_at",
    "last_success_at",
    "checked_at",
    "recorded_at",
    "source_route",
    "ingest_id",
    "dbt_scd_id",
    "dbt_updated_at",
    "dbt_valid_from",
    "dbt_valid_to",
]


def list_built_rows(made: WarehouseQueries) -> Rows:
    """The rows of every relation that a build makes, but for times of loads and builds."""
    columns = made.rows(
        """
        select table_schema || '.' || table_name, string_agg(column_name::text, ', '
            order by ordinal_position)
        from information_schema.columns
        where table_schema = any(%s) and not table_name = any(%s)
            and not (column_name = any(%s))
        group by 1 order by 1
        """,
        SCHEMAS,
        UNLIKE,
        TIMES,
    )
    return {
        name: [
            row for (row,) in made.rows(f"select row({listed})::text as r from {name} order by 1")
        ]
        for name, listed in columns
    }


def assert_same_rows(theirs: Rows, plain: Rows) -> None:
    """Relation by relation, so that a failure names the one that differs."""
    assert theirs.keys() == plain.keys()
    for name in plain:
        assert theirs[name] == plain[name], name
