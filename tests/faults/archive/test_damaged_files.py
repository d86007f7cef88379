"""Archive files that are missing, damaged or foreign, and folders that cannot be used."""

import shutil
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg.types.json import Jsonb

from loaders.settings import Settings
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.option_days import (
    OPTION_DAYS,
    OTHER_FILE,
    PARTS,
    archived,
    files,
    restored,
    retained,
    rows,
)

pytestmark = OPTION_DAYS


def test_a_damaged_file_is_named_and_rewritten_from_the_warehouse(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    gone, other = (
        folder / "view=open_interest" / OTHER_FILE,
        folder / "view=chain_intraday" / OTHER_FILE,
    )
    gone.unlink()
    whole = other.read_bytes()
    # as long as it was
    other.write_bytes(whole[:500] + bytes(200) + whole[700:])
    again = archived(settings, warehouse)
    assert (again.exit_code, again.files, gone.exists()) == (0, 1, True)
    assert other.read_bytes() != whole
    again = archived(settings, warehouse, check=True)
    assert (again.exit_code, again.files) == (0, 1)
    assert pq.ParquetFile(other).read().num_rows == 28

    conn.execute("delete from raw_ib.chain_snapshot where symbol = 'BRK B'")
    other.write_bytes(b"")
    named = archived(settings, warehouse)
    assert named.exit_code == 5
    [damaged] = named.damaged
    assert damaged.startswith(f"{other}: 0 bytes instead of {len(whole):,}")


def test_where_no_file_is_there_nothing_is_written(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    # its disk is not mounted
    away = folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(SettingsError, match=f" 9 archive files .* {folder}"):
        archived(settings, warehouse)
    assert not folder.exists()
    away.rename(folder)
    assert archived(settings, warehouse).files == 0
    # it is lost
    shutil.rmtree(folder)
    later = archived(settings, warehouse, check=True)
    assert (later.exit_code, later.files, len(files(folder))) == (0, 9, 9)


def test_a_file_without_a_record_is_reported(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    [part] = (folder / "view=open_interest").glob("date=2026-11-25/*/*/*.parquet")
    # of a compaction after the dump that was restored
    stray = folder / "view=open_interest/month=2026-11/part-0.parquet"
    stray.parent.mkdir()
    stray.write_bytes(part.read_bytes())
    result = archived(settings, warehouse, check=True)
    assert (result.exit_code, result.unknown) == (5, [str(stray.relative_to(folder))])


def test_the_archive_of_another_warehouse_is_left_alone(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    conn.execute("update ops.settings set value = 'other' where key = 'warehouse_id'")
    conn.execute("delete from ops.archive_partitions")
    conn.execute("delete from ops.archive_files")

    for dry_run in (True, False):
        with pytest.raises(SettingsError, match="another warehouse") as refused:
            archived(settings, warehouse, dry_run=dry_run)
    assert str(folder / ".owner.json") in refused.value.hint
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before

    (folder / ".owner.json").unlink()
    assert archived(settings, warehouse).files == 9


def test_a_damaged_small_file_keeps_its_month_as_it_is(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    before = files(folder)
    conn.execute("truncate raw_ib.chain_snapshot")
    name = "view=chain_intraday/date=2026-11-24/underlying=AAPL/exchange=SMART/part-0.parquet"
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:500] + bytes(100) + whole[600:])
    result = archived(settings, warehouse, compact=True)
    assert result.exit_code == 5
    assert [str(folder / name) in line for line in result.damaged] == [True]
    intraday = [name for name in before if name.startswith("view=chain_intraday")]
    assert files(folder) == sorted([*intraday, PARTS[0], PARTS[2]])


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_large_file_is_rewritten_from_the_warehouse(
    damage: str, conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse, compact=True)
    before, large = rows(folder), folder / PARTS[1]
    whole = large.read_bytes()
    if damage == "gone":
        large.unlink()
    else:
        large.write_bytes(whole[:3000] + bytes(500) + whole[3500:])
    [(row,)] = conn.execute(
        "with gone as (delete from raw_ib.chain_snapshot where conid = 200 and slot_30m = 0 "
        "returning *) "
        "select to_jsonb(gone) from gone"
    ).fetchall()
    named = archived(settings, warehouse, check=True)
    assert (named.exit_code, named.files, len(named.damaged)) == (5, 0, 1)

    conn.execute(
        "insert into raw_ib.chain_snapshot "
        "select * from jsonb_populate_record(null::raw_ib.chain_snapshot, %s)",
        (Jsonb(row),),
    )
    again = archived(settings, warehouse, check=True)
    assert (again.exit_code, again.files, large.exists()) == (0, 3, False)
    assert rows(folder) == before
    archived(settings, warehouse, compact=True, check=True)
    assert files(folder) == PARTS
    assert rows(folder) == before


def test_a_folder_that_cannot_be_reached_is_named(
    conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    archived(settings, warehouse)
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()
    result = retained(settings, warehouse)
    assert (result.exit_code, result.rows, len(result.damaged)) == (6, 0, 2)
    assert all("cannot be read" in line for line in result.damaged)


@pytest.mark.parametrize("damage", ["gone", "short", "changed", "compacted"])
def test_a_damaged_file_is_named_and_its_slots_stay(
    damage: str,
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
) -> None:
    archived(settings, warehouse, compact=damage == "compacted")
    file = folder / (PARTS[1] if damage == "compacted" else f"view=chain_intraday/{OTHER_FILE}")
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "short":
        file.write_bytes(whole[:-1])
    else:
        file.write_bytes(whole[:3000] + bytes(500) + whole[3500:])
    result = retained(settings, warehouse)
    rows, symbols = (0, ["AAPL", "BRK B"]) if damage == "compacted" else (84, ["BRK B"])
    assert (result.exit_code, result.rows) == (6, rows)
    assert result.remaining == [f"2026-11-24 {symbol}: its file is damaged" for symbol in symbols]
    assert [str(file) in line for line in result.damaged] == [True]
    # nothing comes of it either
    conn.execute("delete from raw_ib.chain_snapshot where symbol = 'BRK B'")
    back = restored(settings, warehouse, symbols=("BRK B",))
    assert (back.exit_code, back.rows) == (5, 0)
    assert [str(file) in line for line in back.damaged] == [True]
