"""The folder of archived ticks: its disk away, full or read-only, files cut short or exchanged."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loaders.tq.tick_archive import archive as archiving
from loaders.tq.tick_archive import files
from loaders.tq.tick_days.repair import accept_loss
from loaders.tq.tick_days.schedule import key_text
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import DataQualityError, QuotemillError, SettingsError
from quotemill.ticks.questdb_http import StoreError
from tests.faults.points import Point, after, in_stores
from tests.faults.tq.tick_archive import (
    DAMAGES,
    archive,
    damage_file,
    file_of,
    is_whole,
    killed,
    opened,
    read_ticks,
    restore,
    verified,
    visible_days,
)
from tests.integration.tq.bench import Bench
from tests.integration.tq.worlds import DAYS, TRADED
from tests.small_disk import file_system, fill


def at(bench: Bench, folder: Path) -> Bench:
    """With the archive in a folder."""
    tq = bench.settings.tq.model_copy(update={"archive_folder": folder})
    return replace(bench, settings=bench.settings.model_copy(update={"tq": tq}))


def test_an_empty_mount_point_is_no_archive(made: Bench, tmp_path: Path) -> None:
    before, folder = read_ticks(made), tmp_path / "disk"
    bench = at(made, folder)
    archive(bench, before=TRADED[4])
    away = folder.rename(tmp_path / "away")
    with opened(bench) as store:
        keys = [key_text(row.key) for row in store.index() if row.is_archived]
    for mount_point in (False, True):
        if mount_point:
            folder.mkdir()
        for work in (
            lambda: archive(bench),
            lambda: archive(bench, dry_run=True),
            lambda: restore(bench),
            lambda: verified(bench),
            lambda: accept_loss(bench.settings, open_warehouse(bench.settings), keys[:1]),
        ):
            with pytest.raises(SettingsError, match="none of the 4 files") as refused:
                work()
            assert str(folder) in str(refused.value)
            assert "mount its disk" in refused.value.hint
        warnings = bench.load("ticks").warnings
        assert any("4 files of the tick archive" in text for text in warnings)
    assert list(folder.iterdir()) == []
    assert visible_days(bench) == set(TRADED[4:])

    folder.rmdir()
    away.rename(folder)
    assert archive(bench).days == DAYS - 4
    is_whole(bench, archived=DAYS)
    restore(bench)
    assert read_ticks(bench) == before


def test_a_folder_that_is_lost_for_good_is_said_to_be_so(made: Bench, tmp_path: Path) -> None:
    bench = at(made, tmp_path / "disk")
    archive(bench)
    lost = (tmp_path / "disk").rename(tmp_path / "lost")
    with pytest.raises(SettingsError) as refused:
        verified(bench)
    subprocess.run(refused.value.hint.split("`")[1], shell=True, check=True)
    assert len(verified(bench).differences) == DAYS
    damaged = archive(bench)
    assert (damaged.exit_code, len(damaged.damaged)) == (5, DAYS)
    owner = json.loads((tmp_path / "disk" / ".owner.json").read_text())
    assert owner == json.loads((lost / ".owner.json").read_text())


@pytest.mark.parametrize("step", ["write_file", "_remove"])
def test_a_disk_that_goes_away_during_an_archiving_takes_no_tick(
    stored: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    stored.load("ticks")
    before, folder = read_ticks(stored), tmp_path / "disk"
    bench = at(stored, folder)
    place: Any = files if step == "write_file" else archiving._Archiving
    inner, calls = getattr(place, step), []

    def struck(*args: Any) -> Any:
        calls.append(step)
        if len(calls) == (3 if step == "write_file" else 1):
            folder.rename(tmp_path / "away")
            folder.mkdir()
        return inner(*args)

    with monkeypatch.context() as patch:
        patch.setattr(place, step, struck)
        with pytest.raises(QuotemillError) as ended:
            archive(bench)
    assert "mount its disk" in ended.value.hint
    assert ended.value.exit_code in (SettingsError.exit_code, DataQualityError.exit_code)
    assert read_ticks(bench) == before
    assert visible_days(bench) == set(TRADED)
    assert list(folder.rglob("*")) == []

    folder.rmdir()
    (tmp_path / "away").rename(folder)
    archive(bench)
    assert visible_days(bench) == set()
    is_whole(bench, archived=DAYS)
    restore(bench)
    assert read_ticks(bench) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_ticks_beside_a_damaged_file_stay_until_it_is_replaced(stored: Bench, damage: str) -> None:
    stored.load("ticks")
    before = read_ticks(stored)
    assert killed(stored, lambda: archive(stored), after(*in_stores("put_index"), nth=3))
    damage_file(file_of(stored, TRADED[1]), damage, file_of(stored, TRADED[0]))
    done = archive(stored)
    assert (done.days, done.damaged, visible_days(stored)) == (DAYS - 2, {}, set())
    is_whole(stored, archived=DAYS)
    restore(stored)
    assert read_ticks(stored) == before


def test_a_restored_day_whose_index_lags_is_not_removed_beside_a_damaged_file(
    stored: Bench,
) -> None:
    stored.load("ticks")
    before = read_ticks(stored)
    archive(stored)
    # the days come back, and their index rows do not
    assert killed(stored, lambda: restore(stored), Point(in_stores("put_index")))
    file_of(stored, TRADED[0]).write_bytes(b"PAR1 of something else PAR1")
    archive(stored)
    is_whole(stored, archived=DAYS)
    restore(stored)
    assert read_ticks(stored) == before


def test_a_disk_that_stores_other_bytes_gets_no_day(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, inner = read_ticks(made), files._write

    def altered(part: Path, days: Any) -> None:
        inner(part, days)
        data = bytearray(part.read_bytes())
        data[len(data) // 3] ^= 1
        part.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", altered)
        with pytest.raises(DataQualityError, match="its day stays in the store") as refused:
            archive(made)
    assert "check the disk" in refused.value.hint
    assert read_ticks(made) == before
    assert verified(made).differences == ()
    assert list((made.settings.home / "tick-archive").rglob("*.parquet*")) == []
    assert archive(made).days == DAYS
    is_whole(made, archived=DAYS)


def test_a_tick_store_that_is_low_on_space_can_be_relieved_by_the_archive(
    made: Bench, tmp_path: Path
) -> None:
    bench = at(made, tmp_path / "disk")
    limit = bench.settings.questdb.model_copy(update={"min_free_gb": 10.0**6})
    full = replace(bench, settings=bench.settings.model_copy(update={"questdb": limit}))
    with pytest.raises(StoreError, match=r"not sound: .* GiB"):
        archive(full)
    assert visible_days(bench) == set(TRADED)
    none = limit.model_copy(update={"min_free_gb": 0.0})
    archive(replace(bench, settings=bench.settings.model_copy(update={"questdb": none})))
    is_whole(bench, archived=DAYS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for some days."""
    with file_system(tmp_path / "small", "80k") as folder:
        yield folder


def test_a_full_disk_is_named_and_a_larger_one_continues(
    made: Bench, small_disk: Path, tmp_path: Path
) -> None:
    before, bench = read_ticks(made), at(made, small_disk)
    filler = fill(small_disk)
    for _ in range(2):  # not even room for its owner
        with pytest.raises(QuotemillError, match=f"no room left for the archive in {small_disk}"):
            archive(bench)
    assert visible_days(bench) == set(TRADED)
    filler.unlink()
    with pytest.raises(QuotemillError, match=f"no room left for the archive in {small_disk}"):
        archive(bench)
    written = list(small_disk.rglob("*.parquet"))
    assert 0 < len(written) < DAYS
    assert list(small_disk.rglob("*.new")) == []
    assert visible_days(bench) == set(TRADED)
    assert read_ticks(bench) == before

    larger = tmp_path / "larger"
    subprocess.run(["cp", "-r", str(small_disk), str(larger)], check=True)
    moved = at(made, larger)
    archive(moved)
    assert visible_days(moved) == set()
    is_whole(moved, archived=DAYS)
    restore(moved)
    assert read_ticks(moved) == before
