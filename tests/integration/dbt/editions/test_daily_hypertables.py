"""Day bars are hypertables while timescale.daily is on, and plain tables again without it."""

from pathlib import Path

import psycopg
import pytest

from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from orchestration.checks import gather
from orchestration.timescale.upgrade import Conversion, convert, declared
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import NO_TESTS
from tests.integration.dbt.editions.hypertables import build_day_bars, table_settings
from tests.integration.dbt.raw import touch
from tests.integration.dbt.two_codes import CODES, DAYS, closes
from tests.integration.warehouse.conftest import settings_for

LANDED, ADJUSTED = "raw_tdx.kline_daily", "market.kline_daily_qfq"
TABLES = sorted((LANDED, ADJUSTED))
BUILD = ("build", "-s", "+kline_daily_qfq", *NO_TESTS)


def set_daily(warehouse: Warehouse, is_on: bool) -> None:
    """As the next load or build does, by the setting."""
    prepare(warehouse, landed_tables(), {"timescale_daily": str(is_on).lower()})


def hypertables(conn: psycopg.Connection) -> list[str]:
    rows = conn.execute(
        "select hypertable_schema || '.' || hypertable_name "
        "from timescaledb_information.hypertables where hypertable_name like 'kline_daily%'"
    )
    return sorted(name for (name,) in rows)


def test_day_bars_start_as_hypertables_of_years(
    edition: str, warehouse: Warehouse, conn: psycopg.Connection, dbt: Dbt
) -> None:
    set_daily(warehouse, is_on=True)
    assert hypertables(conn) == [LANDED]

    build_day_bars(conn, dbt)

    assert hypertables(conn) == TABLES
    for table in TABLES:
        wanted = {"chunk": "360 days"}
        if edition == "tsl":
            wanted["columns"] = ("code", "trade_date DESC")
            wanted["policies"] = [("policy_compression", "30 days")]
        assert table_settings(conn, edition, table) == wanted


@pytest.mark.long
@pytest.mark.parametrize("edition", ["apache", "tsl"], indirect=True)
def test_tables_with_rows_follow_the_setting_when_they_are_upgraded(
    edition: str,
    warehouse: Warehouse,
    conn: psycopg.Connection,
    dbt: Dbt,
    quick_builds: None,
    tmp_path: Path,
) -> None:
    def upgrade(is_on: bool, *, dry_run: bool = False) -> Conversion:
        settings = settings_for(
            tmp_path,
            QUOTEMILL_WAREHOUSE_URL=warehouse.url,
            QUOTEMILL_TIMESCALE__DAILY=str(is_on).lower(),
        )
        named = [check for check in gather.examine(settings) if check.name == "hypertables"]
        assert [LANDED in check.sentence for check in named] == [True]
        tables = declared(settings, warehouse)
        return convert(settings, warehouse, tables, lambda text: None, dry_run=dry_run)

    build_day_bars(conn, dbt)
    set_daily(warehouse, is_on=True)
    dbt(*BUILD)
    assert hypertables(conn) == []

    plan = upgrade(True, dry_run=True)
    assert [table.name for table in plan.tables] == TABLES
    assert all(table.about.endswith("MB, becomes a hypertable") for table in plan.tables)
    assert upgrade(True).tables[0].rows == len(CODES) * len(DAYS)
    assert hypertables(conn) == TABLES
    dbt(*BUILD)
    assert table_settings(conn, edition, LANDED)["chunk"] == "360 days"

    # off again: they stay, and serve loads and builds, until the next upgrade
    set_daily(warehouse, is_on=False)
    conn.execute(f"update {LANDED} set close = 11000 where trade_date = %s", (DAYS[0],))
    touch(conn, "kline_daily")
    dbt(*BUILD)
    assert closes(conn, DAYS[0]) == [11, 11]
    assert hypertables(conn) == TABLES
    assert [table.becomes for table in upgrade(False).tables] == ["plain", "plain"]
    assert hypertables(conn) == []
    assert closes(conn, DAYS[0]) == [11, 11]
