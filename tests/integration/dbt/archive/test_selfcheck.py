"""The self-check of groups, open interest, the day's log, and the files of the last compaction."""

import json
from pathlib import Path
from typing import Any

import psycopg

from loaders.check import Check
from loaders.settings import Settings
from orchestration.checks import selfcheck
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.option_days import AFTER, OPTION_DAYS, TUESDAY, settings_in

pytestmark = OPTION_DAYS

UNIVERSE = """symbol,weight,group,enabled
AAPL,2,tech,true
BRK B,1,money,true
MSFT,1,tech,true
"""


def find_checks(warehouse: Warehouse, settings: Settings, name: str) -> dict[str, Check]:
    """The checks of a name of Tuesday, by subject."""
    checks = selfcheck.run(warehouse, TUESDAY.day, AFTER, settings).checks
    return {check.subject: check for check in checks if check.name == name}


def test_groups_are_judged_by_their_slowest_symbol_and_all_their_rows(
    conn: psycopg.Connection, warehouse: Warehouse, tmp_path: Path
) -> None:
    universe = tmp_path / "universe.csv"
    universe.write_text(UNIVERSE)
    settings = settings_in(tmp_path, stage=3, universe=universe)
    first, second = (find_checks(warehouse, settings, f"group {n}")[""] for n in (1, 2))
    assert (first.verdict, first.figures["symbols"]) == ("ok", "BRK B")
    assert (second.verdict, second.figures["symbols"]) == ("ok", "AAPL,MSFT")
    assert second.figures["delayed_share"] == 0
    slower = settings_in(tmp_path, stage=3, universe=universe, max_capture_lag_seconds=1)
    assert find_checks(warehouse, slower, "group 1")[""].verdict == "fail"
    # one group has no other to wait for
    assert find_checks(warehouse, settings_in(tmp_path), "group 1") == {}


def test_open_interest_gained_is_what_missing_oi_lost(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    def judged() -> tuple[str, Any, Any, Any]:
        check = find_checks(warehouse, settings, "open_interest")["AAPL"]
        names = ("gained_count", "lost_count", "filled_count")
        return (check.verdict, *(check.figures[name] for name in names))

    assert judged() == ("ok", 6, 6, 6)
    # a figure that came, and which the last build has not put on its row
    conn.execute(
        "update options.chain_daily_clean set open_interest = null, "
        "data_quality_flag = '{missing_oi}' where (conid, trade_date) = (100, %s)",
        (TUESDAY.day,),
    )
    assert judged() == ("fail", 6, 5, 5)
    # it came after the build
    conn.execute(
        "insert into ops.changes (table_name, key, dates) "
        "values ('raw_ib.open_interest', 'AAPL', datemultirange(daterange(%s, %s, '[]')))",
        (TUESDAY.day, TUESDAY.day),
    )
    assert judged() == ("unknown", 6, 5, 5)


def test_an_exception_in_the_log_of_the_day_in_new_york_fails(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings
) -> None:
    def write(at: str, **fields: object) -> tuple[str, int]:
        line = {"at": at, "level": "critical", "event": "internal error", "traceback": "File x"}
        path = settings.home / "logs" / f"run-{at[:10]}.jsonl"
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(line | fields) + "\n")
        check = find_checks(warehouse, settings, "exceptions")[""]
        return check.verdict, check.figures["exception_count"]

    assert write("2026-11-24T04:59:00Z", source="ib") == ("ok", 0)  # Monday in New York
    assert write("2026-11-24T15:00:00Z", source="tdx") == ("ok", 0)
    assert write("2026-11-24T15:00:00Z", source="ib", traceback=None) == ("ok", 0)
    assert write("2026-11-25T04:59:00Z", source="ib") == ("fail", 1)
    assert write("2026-11-24T15:00:00Z", source=None) == ("fail", 2)
