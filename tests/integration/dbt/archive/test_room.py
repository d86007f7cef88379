"""Space in the self-check: the disk, and whether archive and retention keep up."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from orchestration.checks import selfcheck
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.option_days import (
    AAPL,
    AFTER,
    MONDAY,
    OPTION_DAYS,
    TUESDAY,
    WEDNESDAY,
    archived,
    settings_in,
)
from tests.integration.dbt.raw import land

pytestmark = OPTION_DAYS


class Usage(NamedTuple):
    total: int
    used: int
    free: int


GIB = 2**30


def test_archive_and_retention_are_checked_once_days_are_archived(
    conn: psycopg.Connection, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = Usage(1000 * GIB, 0, 1000 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: roomy)
    settings = settings_in(tmp_path)

    def room(as_of: datetime) -> tuple[str, dict[str, str]]:
        result = selfcheck.run(warehouse, WEDNESDAY.day, as_of, settings)
        own = {c.name: selfcheck.WORDS[c.verdict] for c in result.checks if not c.subject}
        assert own.pop("exceptions") == "PASS"
        return result.status, own

    passed = {"disk": "PASS", "archive": "PASS", "retention": "PASS"}
    assert room(AFTER)[1] == {"disk": "PASS"}
    archived(settings, warehouse, until=TUESDAY.day)
    assert room(AFTER)[1] == passed
    # Wednesday is closed, and waits for more than a week
    assert room(datetime(2026, 12, 2, 23, tzinfo=UTC))[1] == passed
    status, judged = room(datetime(2026, 12, 3, 23, tzinfo=UTC))
    assert (status, judged) == ("FAIL", passed | {"archive": "FAIL"})
    archived(settings, warehouse)
    # Monday has slots that no build has seen
    slot = next(iter(MONDAY.quotes(AAPL, 101)))
    land(conn, "raw_ib.chain_snapshot", slot)
    assert room(datetime(2026, 12, 7, 23, tzinfo=UTC))[1] == passed
    assert room(datetime(2026, 12, 8, 23, tzinfo=UTC))[1] == passed | {"archive": "FAIL"}
    conn.execute("delete from raw_ib.chain_snapshot where trade_date = %s", (MONDAY.day,))
    # the slots of Tuesday are to go after 60 days, and a week more
    assert room(datetime(2027, 1, 30, 23, tzinfo=UTC))[1] == passed
    assert room(datetime(2027, 1, 31, 23, tzinfo=UTC))[1] == passed | {"retention": "FAIL"}
    # brought back, they stay
    conn.execute("update ops.archive_partitions set restored_at = now()")
    assert room(datetime(2027, 1, 31, 23, tzinfo=UTC))[1] == passed

    full = Usage(100 * GIB, 90 * GIB, 10 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert room(AFTER) == ("FAIL", passed | {"disk": "FAIL"})


def test_delayed_rows_without_their_flag_fail_requested_or_not(
    conn: psycopg.Connection, warehouse: Warehouse
) -> None:
    def unflagged() -> tuple[str, int]:
        result = selfcheck.run(warehouse, TUESDAY.day, AFTER)
        [check] = [c for c in result.checks if (c.name, c.subject) == ("types", "AAPL")]
        return check.verdict, check.figures["unflagged_count"]

    assert unflagged() == ("ok", 0)
    for table, which in (("chain_snapshot", "slot_30m = 3"), ("chain_close", "true")):
        for flag, expected in (("", ("fail", 1)), ("delayed_fallback", ("ok", 0))):
            conn.execute(
                f"update raw_ib.{table} set market_data_type = 3, requested_data_type = 3, "
                "data_quality_flag = %s "
                f"where conid = %s and trade_date = %s and {which}".encode(),
                (flag, AAPL[1].conid, TUESDAY.day),
            )
            assert unflagged() == expected, table
