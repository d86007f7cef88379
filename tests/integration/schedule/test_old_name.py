"""ops.testing_schedules, the name that ops.schedules had."""

import psycopg
import pytest

from loaders.warehouse.postgres import Warehouse
from orchestration.schedule import ledger


def test_the_old_name_can_be_read_and_written(warehouse: Warehouse) -> None:
    with warehouse.connect() as conn:
        conn.execute(
            "update ops.testing_schedules set cron = '0 8 * * 1-5', "
            "options = '{\"bulk_timeout\": 60}', is_enabled = false where name = 'tdx_selftest'"
        )
        conn.execute(
            "insert into ops.testing_schedules (name, source, kind, cron) "
            "values ('nightly', 'tdx', 'verify', '0 20 * * *')"
        )
        rows = conn.execute(
            "select name, kind, cron, is_enabled from ops.testing_schedules order by name"
        ).fetchall()
    assert rows == [
        ("nightly", "verify", "0 20 * * *", True),
        ("tdx_selftest", "selftest", "0 8 * * 1-5", False),
    ]
    jobs_by_name = {row.name: row for row in warehouse.ask(ledger.read_rows)}
    assert jobs_by_name["tdx_selftest"].options == {"bulk_timeout": 60}
    with warehouse.connect() as conn, pytest.raises(psycopg.errors.WithCheckOptionViolation):
        conn.execute("update ops.testing_schedules set kind = 'run'")
