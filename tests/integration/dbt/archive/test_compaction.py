"""Small files of a month become large ones: the same rows, whatever changes or is cut short."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg.types.json import Jsonb

from loaders.settings import Settings
from loaders.warehouse.postgres import Warehouse
from orchestration.archive import folder as folders
from orchestration.archive import ledger, parts, swap
from orchestration.archive.folder import Folder
from orchestration.archive.swap import New
from tests.integration.dbt.conftest import Outcome
from tests.integration.dbt.option_days import (
    AAPL,
    AFTER,
    TABLES,
    TUESDAY,
    VIEWS,
    archived,
    files,
    read,
    settings_in,
)
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_options import open_interest

PARTS = [f"view={view}/month=2026-11/part-0.parquet" for view in sorted(VIEWS)]


class Killed(BaseException):
    """Nothing of ours catches it."""


def rows(folder: Path) -> dict[str, list[str]]:
    """What a reader of the whole folder finds, by the columns that all files have."""
    found = {}
    for view in VIEWS:
        table = read(folder, view)
        names = sorted(set(table.column_names) - {"date", "underlying", "exchange"})
        found[view] = sorted(map(str, table.select(names).to_pylist()))
    return found


def test_a_month_of_small_files_becomes_one_that_gives_back_the_same(
    days: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
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
    recorded = days.execute(
        "select path, codec, is_below_target, row_count from ops.archive_files order by path"
    ).fetchall()
    assert recorded == [(p, "zstd", True, c) for p, c in zip(PARTS, (14, 196, 14), strict=True)]
    by_place = duckdb.sql(
        f"select date, underlying, exchange, count(*) from '{folder / PARTS[1]}' group by all order by all"
    ).fetchall()
    assert by_place == [
        (TUESDAY.day, "AAPL", "SMART", 84),
        (TUESDAY.day, "BRK B", "SMART", 28),
        (TUESDAY.day.replace(day=25), "AAPL", "SMART", 84),
    ]
    again = archived(settings, warehouse, compact=True, check=True)
    assert (again.compacted, again.damaged, again.files) == ([], [], 0)


def test_a_week_is_compacted_once_it_is_over_and_the_same_day_where_that_is_set(
    days: psycopg.Connection, warehouse: Warehouse, tmp_path: Path
) -> None:
    on_sunday = datetime(2026, 11, 29, 15, tzinfo=UTC)
    off = settings_in(tmp_path, weekly_compaction_enabled=False)
    assert archived(off, warehouse, on_sunday, compact=None).compacted == []
    weekly = settings_in(tmp_path)
    assert archived(weekly, warehouse, on_sunday, compact=None).compacted == []
    daily = settings_in(tmp_path, same_day_compaction_enabled=True)
    chosen: Any = {"views": ("open_interest",), "compact": None}
    assert len(archived(daily, warehouse, on_sunday, **chosen).compacted) == 1
    assert len(archived(weekly, warehouse, AFTER, compact=None).compacted) == 2


def test_what_changed_leaves_the_large_file_and_comes_back_with_the_next_compaction(
    days: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
    dbt: Callable[..., Outcome],
) -> None:
    archived(settings, warehouse, compact=True)
    before = rows(folder)
    land(days, "raw_ib.open_interest", [open_interest(AAPL[0], TUESDAY.day, 10)])
    assert dbt(*TABLES).success
    assert archived(settings, warehouse).files == 2
    changed = rows(folder)
    assert {view: len(found) for view, found in changed.items()} == {
        view: len(found) for view, found in before.items()
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


def test_files_are_of_the_size_that_is_set_and_full_ones_stand(
    days: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archived(settings, warehouse)
    before = rows(folder)
    # a row group is a partition, and two of them make a file
    monkeypatch.setattr(parts, "_GROUP", 1)
    monkeypatch.setattr("orchestration.archive.compaction._MB", 1)
    size = (folder / "view=chain_intraday" / "date=2026-11-24" / "underlying=AAPL").rglob(
        "*.parquet"
    )
    target = int(next(size).stat().st_size * 0.4)
    few = settings_in(settings.home, target_file_size_mb=4096).model_copy(
        update={"ib": settings.ib.model_copy(update={"target_file_size_mb": target})}
    )
    result = archived(few, warehouse, compact=True, views=("chain_intraday",))
    [compacted] = result.compacted
    assert compacted.files_after > 1
    assert rows(folder) == before
    small = days.execute(
        "select is_below_target from ops.archive_files where codec = 'zstd' order by path"
    ).fetchall()
    assert small[0] == (False,)
    standing = (folder / "view=chain_intraday/month=2026-11/part-0.parquet").stat().st_mtime_ns
    assert archived(few, warehouse, compact=True, views=("chain_intraday",)).compacted == []
    assert (folder / "view=chain_intraday/month=2026-11/part-0.parquet").stat().st_mtime_ns == standing  # fmt: skip


def test_a_damaged_small_file_keeps_its_month_as_it_is(
    days: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    before = files(folder)
    days.execute("truncate raw_ib.chain_snapshot")
    name = "view=chain_intraday/date=2026-11-24/underlying=AAPL/exchange=SMART/part-0.parquet"
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:500] + bytes(100) + whole[600:])
    result = archived(settings, warehouse, compact=True)
    assert result.exit_code == 5
    assert [str(folder / name) in line for line in result.damaged] == [True]
    kept = [one for one in before if one.startswith("view=chain_intraday")]
    assert files(folder) == sorted([*kept, PARTS[0], PARTS[2]])


STEPS = ("planned", "removed", "renamed", "recorded")


@pytest.mark.parametrize("step", STEPS)
def test_cut_short_at_any_step_no_row_is_found_twice_and_the_next_run_finishes(
    step: str,
    days: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archived(settings, warehouse)
    before = rows(folder)
    views = {"views": ("chain_intraday",), "compact": True}

    def struck(owner: Any, name: str, *, after: bool = False, nth: int = 1) -> None:
        work, count = getattr(owner, name), [0]

        def strike(*args: Any, **rest: Any) -> Any:
            count[0] += 1
            if count[0] == nth and not after:
                raise Killed
            result = work(*args, **rest)
            if count[0] == nth:
                raise Killed
            return result

        monkeypatch.setattr(owner, name, strike)

    if step == "planned":
        struck(swap, "_carry_out")
    elif step == "removed":
        struck(folders, "remove", after=True, nth=2)
    elif step == "renamed":
        struck(folders, "finish", after=True)
    else:
        struck(swap.ledger, "forget_files")
    with pytest.raises(Killed):
        archived(settings, warehouse, **views)
    monkeypatch.undo()
    found = rows(folder)["chain_intraday"]
    assert len(found) == len(set(found))
    assert set(found) <= set(before["chain_intraday"])
    result = archived(settings, warehouse, **views)
    assert (result.exit_code, result.finished) == (0, 1)
    assert rows(folder) == before
    assert [name for name in files(folder) if "chain_intraday" in name] == [PARTS[1]]
    assert archived(settings, warehouse, check=True).damaged == []


def test_rows_that_go_from_one_large_file_to_another_are_never_in_both(
    days: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a file for each partition
    monkeypatch.setattr(parts, "_GROUP", 1)
    monkeypatch.setattr("orchestration.archive.compaction._MB", 5)
    small = settings.ib.model_copy(update={"target_file_size_mb": 1})
    archived(settings.model_copy(update={"ib": small}), warehouse, compact=True)
    before = rows(folder)["chain_intraday"]
    with warehouse.connect() as conn:
        held = ledger.find(conn, "options", "chain_intraday")
        by_path = {
            file.path: file
            for file in ledger.files(conn, "options")
            if file.view_name == "chain_intraday"
        }
    one, other = sorted(by_path)[:2]
    new = []
    for name, old in ((one, other), (other, one)):
        folders.unfinished(folder / name).write_bytes((folder / old).read_bytes())
        contents = {p.place: p.content for p in held if p.path == old}
        new.append(New(replace(by_path[old], path=name), contents))
    finish = folders.finish

    def struck(path: Path) -> None:
        finish(path)
        raise Killed

    monkeypatch.setattr(folders, "finish", struck)
    with pytest.raises(Killed):
        swap.swap(warehouse, Folder(folder, "test"), "options", [one, other], new)
    monkeypatch.undo()
    found = rows(folder)["chain_intraday"]
    assert len(found) == len(set(found)) < len(before)
    done = archived(settings, warehouse, check=True)
    assert (done.exit_code, done.finished) == (0, 1)
    assert rows(folder)["chain_intraday"] == before


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_large_file_is_written_anew_while_the_warehouse_has_all_its_rows(
    damage: str, days: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse, compact=True)
    before, large = rows(folder), folder / PARTS[1]
    whole = large.read_bytes()
    if damage == "gone":
        large.unlink()
    else:
        large.write_bytes(whole[:3000] + bytes(500) + whole[3500:])
    [(row,)] = days.execute(
        "with gone as (delete from raw_ib.chain_snapshot where conid = 200 and slot_30m = 0 returning *) "
        "select to_jsonb(gone) from gone"
    ).fetchall()
    named = archived(settings, warehouse, check=True)
    assert (named.exit_code, named.files, len(named.damaged)) == (5, 0, 1)

    days.execute(
        "insert into raw_ib.chain_snapshot "
        "select * from jsonb_populate_record(null::raw_ib.chain_snapshot, %s)",
        (Jsonb(row),),
    )
    mended = archived(settings, warehouse, check=True)
    assert (mended.exit_code, mended.files, large.exists()) == (0, 3, False)
    assert rows(folder) == before
    archived(settings, warehouse, compact=True, check=True)
    assert files(folder) == PARTS
    assert rows(folder) == before
