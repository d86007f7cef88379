"""Small files of a month become large ones with the same rows, after any change."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest

from loaders.engine.progress import Silent
from loaders.settings import Settings
from loaders.warehouse.content import RestoredMeanwhile
from orchestration.archive import folder as folders
from orchestration.archive.retention import retain
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.option_days import (
    AAPL,
    AFTER,
    LATER,
    OPTION_DAYS,
    PARTS,
    TABLES,
    TUESDAY,
    VIEWS,
    archived,
    files,
    retained,
    rows,
)
from tests.integration.dbt.raw import land

pytestmark = OPTION_DAYS


def test_a_month_of_small_files_becomes_one_that_gives_back_the_same(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    before = rows(folder)
    result = archived(settings, warehouse, compact=True)
    assert (result.exit_code, result.files) == (0, 0)
    assert [(c.view, c.month, c.files_before, c.files_after) for c in result.compacted] == [
        (view, "2026-11", 3, 1) for view in VIEWS
    ]
    assert files(folder) == PARTS
    assert rows(folder) == before
    part = pq.ParquetFile(folder / PARTS[1])
    assert part.metadata.row_group(0).column(0).compression == "ZSTD"
    assert part.schema_arrow.field("bid").metadata[b"unit"] == b"USD per share"
    # too few rows for the size that is aimed at: that is recorded
    assert [c.below_target for c in result.compacted] == [1, 1, 1]
    recorded = conn.execute(
        "select path, codec, is_below_target, row_count from ops.archive_files order by path"
    ).fetchall()
    assert recorded == [(p, "zstd", True, c) for p, c in zip(PARTS, (14, 196, 14), strict=True)]
    by_place = duckdb.sql(
        f"select date, underlying, exchange, count(*) from '{folder / PARTS[1]}' group by all "
        f"order by all"
    ).fetchall()
    assert by_place == [
        (TUESDAY.day, "AAPL", "SMART", 84),
        (TUESDAY.day, "BRK B", "SMART", 28),
        (TUESDAY.day.replace(day=25), "AAPL", "SMART", 84),
    ]
    again = archived(settings, warehouse, compact=True, check=True)
    assert (again.compacted, again.damaged, again.files) == ([], [], 0)


def test_a_week_is_compacted_when_over_or_the_same_day_by_option(
    warehouse: Warehouse, settings: Settings
) -> None:
    on_sunday = datetime(2026, 11, 29, 15, tzinfo=UTC)
    assert archived(settings, warehouse, on_sunday, compact=None).compacted == []
    chosen: Any = {"views": ("open_interest",), "compact": True}
    assert len(archived(settings, warehouse, on_sunday, **chosen).compacted) == 1
    assert archived(settings, warehouse, AFTER, compact=False).compacted == []
    assert len(archived(settings, warehouse, AFTER, compact=None).compacted) == 2


def test_a_changed_day_leaves_the_large_file_until_the_next_compaction(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path, dbt: Dbt
) -> None:
    archived(settings, warehouse, compact=True)
    before = rows(folder)
    land(conn, "raw_ib.open_interest", [AAPL[0].open_interest(TUESDAY.day, 10)])
    dbt(*TABLES)
    assert archived(settings, warehouse).files == 2
    changed = rows(folder)
    assert {view: len(lines) for view, lines in changed.items()} == {
        view: len(lines) for view, lines in before.items()
    }
    assert changed["chain_intraday"] == before["chain_intraday"]
    assert len(set(changed["open_interest"]) - set(before["open_interest"])) == 1
    small = "date=2026-11-24/underlying=AAPL/exchange=SMART/part-0.parquet"
    assert files(folder) == sorted(
        [*PARTS, f"view=chain_daily_clean/{small}", f"view=open_interest/{small}"]
    )
    assert len(archived(settings, warehouse, compact=True).compacted) == 2
    assert files(folder) == PARTS
    assert rows(folder) == changed


def test_days_stay_where_a_restore_overtakes_the_check_of_their_file(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path, dbt: Dbt
) -> None:
    """The file is read once for both days, and the ledger may be another since."""
    archived(settings, warehouse, compact=True)
    dump(warehouse, settings.home / "dump")

    class Overtaken(Silent):
        def advance(self, what: str, count: int) -> None:
            conn.rollback()
            conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'quotemill archive lock'"
            )
            conn.rollback()
            restore(warehouse, settings.home / "dump", clean=True)
            super().advance(what, count)

    late = LATER + timedelta(days=1)  # both days are old
    with pytest.raises(RestoredMeanwhile):
        retain(settings, warehouse, Overtaken(), late, dry_run=False)
    assert conn.execute("select count(*) from raw_ib.chain_snapshot").fetchone() == (196,)
    dbt(*TABLES)
    assert len(retained(settings, warehouse, late).dropped) == 2


def test_files_have_the_size_of_the_setting_and_full_ones_stay(
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archived(settings, warehouse)
    before = rows(folder)
    # a row group is a partition, and two of them make a file
    monkeypatch.setattr(folders, "_WAITING", 1)
    size = (folder / "view=chain_intraday" / "date=2026-11-24" / "underlying=AAPL").rglob(
        "*.parquet"
    )
    target = int(next(size).stat().st_size * 0.4)
    few: Any = {"compact": True, "views": ("chain_intraday",), "target_bytes": target}
    result = archived(settings, warehouse, **few)
    [compacted] = result.compacted
    assert compacted.files_after > 1
    assert rows(folder) == before
    small = conn.execute(
        "select is_below_target from ops.archive_files where codec = 'zstd' order by path"
    ).fetchall()
    assert small[0] == (False,)
    standing = (folder / "view=chain_intraday/month=2026-11/part-0.parquet").stat().st_mtime_ns
    assert archived(settings, warehouse, **few).compacted == []
    assert (
        folder / "view=chain_intraday/month=2026-11/part-0.parquet"
    ).stat().st_mtime_ns == standing
