"""The blocks of the page about the archive, over closed days of two underlyings."""

import duckdb
import psycopg
import pytest

from loaders.settings import load_settings
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Parsed
from tests.e2e.pages import ARCHIVE, find, join
from tests.e2e.terminal import checkout, environment, run
from tests.integration.dbt.option_days import AFTER, LATER, OPTION_DAYS

pytestmark = OPTION_DAYS


@pytest.mark.long
def test_the_archives_page_runs_as_written(
    conn: psycopg.Connection, warehouse: Warehouse, parsed: Parsed
) -> None:
    words = {
        # the days are those of the page, and only one market is there
        "quotemill build": "quotemill dbt run -s chain_daily_clean",
        "quotemill archive": f"quotemill archive --as-of {AFTER:%Y-%m-%dT%H:%MZ}",
        "2026-10-01 --until 2026-10-31": "2026-11-01 --until 2026-11-30",
        "quotemill retention": f"quotemill retention --yes --as-of {LATER:%Y-%m-%dT%H:%MZ}",
    }
    script = join(ARCHIVE[0], ARCHIVE[2])
    for word, own in words.items():
        assert word in script
        script = script.replace(word, own)
    with checkout() as folder:
        home = folder / "home"
        url = {"QUOTEMILL_WAREHOUSE_URL": warehouse.url, "QUOTEMILL_HOME": str(home)}
        parsed.give(load_settings(environment(folder) | url, folder))
        printed = run(folder, script, **url)
        sql = find(*ARCHIVE[1]).body.replace("'archive/", f"'{home}/archive/")
        assert [rows for _, rows in duckdb.sql(sql).fetchall()] == [84, 84]
    assert "28 rows restored" in printed
    [(count,)] = conn.execute("select count(*) from raw_ib.chain_snapshot").fetchall()
    assert count == 14 * 14
