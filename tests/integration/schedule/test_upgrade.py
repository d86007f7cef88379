"""Exports and schedules of a warehouse that an older version made, in this one."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from loaders.settings import load_settings
from loaders.warehouse import migration_files
from loaders.warehouse.migrate import prepare
from loaders.warehouse.postgres import open_warehouse
from orchestration.schedule import ledger
from quotemill.warehouse.postgres import Warehouse


@pytest.fixture
def old(
    new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Warehouse:
    """A warehouse with the migrations before this one."""
    before = [name for name in migration_files.shipped() if name < "0009"]
    url = new_database("old_schedules")
    warehouse = open_warehouse(load_settings({}, warehouse_url=url, home=tmp_path / "home"))
    with monkeypatch.context() as patch:
        patch.setattr(migration_files, "shipped", lambda: before)
        prepare(warehouse, [])
    return warehouse


def test_exports_that_followed_leave_their_commands(old: Warehouse) -> None:
    with old.connect() as conn:
        conn.execute(
            """
            insert into ops.exports
                (name, market_schema, what, form, codes, since, adjust, folder, is_exact)
            values
                ('bars', 'market', 'kline_daily', 'parquet', '{}', null, 'qfq', '/data/b', true),
                ('own', 'market', 'select ''a'' from b', 'csv', '{600000,600004}', '2024-06-03',
                'none', '/data/it''s mine', false),
                ('off', 'market', 'symbol_dim', 'csv', '{}', null, 'none', '/data/off', true);
            insert into ops.schedules (name, kind, timing, is_enabled) values
                ('export_bars', 'export', 'daily 21:30 Asia/Shanghai', true),
                ('export_own', 'export', null, true),
                ('export_off', 'export', null, false),
                ('tdx_daily', 'run', 'daily 17:30 Asia/Shanghai XSHG', true);
            """
        )
    prepare(old, [])
    with old.connect() as conn:
        rows = {row.name: row for row in ledger.read_rows(conn)}
    assert rows.keys() == {"export_bars", "export_own", "tdx_daily"}
    said = {name: shlex.split(rows[name].timing or "") for name in ("export_bars", "export_own")}
    bars = ["export", "rows", "kline_daily", "/data/b", "--to", "parquet", "--adjust", "qfq"]
    assert said["export_bars"] == bars
    own = ["export", "rows", "select 'a' from b", "/data/it's mine", "--to", "csv"]
    own += ["--codes", "600000,600004", "--since", "2024-06-03", "--no-exact"]
    assert said["export_own"] == own
    assert {rows[name].kind for name in said} == {"followed export"}
    assert (rows["tdx_daily"].kind, rows["tdx_daily"].is_enabled) == ("run", True)
