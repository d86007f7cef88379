"""Backups that break off: never taken for one, never at the cost of an older one."""

import signal
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest

from loaders.settings import Settings, load_settings
from loaders.warehouse.postgres import open_warehouse
from orchestration.backup import dump
from orchestration.backup import folder as folders
from orchestration.backup.write import back_up
from quotemill.errors import QuotemillError
from tests.bench import prepared_warehouse, settings_at, warehouse_url
from tests.faults.points import BACKUP
from tests.faults.scene import Scene, assert_same, drive, wait_until
from tests.forks import Command
from tests.homes import clean_environ
from tests.small_disk import file_system

OpenScene = Callable[..., Scene]


@pytest.fixture
def settings(filled_database: Callable[..., str], tmp_path: Path) -> Settings:
    def fill(dsn: str) -> None:
        prepared_warehouse(dsn, tmp_path, [])

    return settings_at(filled_database("backup faults", fill), tmp_path)


def backed_up(settings: Settings) -> folders.Backup:
    return back_up(settings, open_warehouse(settings), lambda _: None).backup


@pytest.mark.parametrize("point", BACKUP)
def test_a_killed_backup_does_not_count_and_the_next_removes_it(
    settings: Settings, tmp_path: Path, point: str
) -> None:
    first = backed_up(settings)
    url = warehouse_url(settings)
    env = {"QUOTEMILL_HOME": str(tmp_path), "QUOTEMILL_WAREHOUSE_URL": url}
    killed = drive("backup", point, 1, "quotemill", "backup", "--keep", "1", env=env, cwd=tmp_path)
    assert killed.code == -signal.SIGKILL, killed.said

    root = tmp_path / "backups"
    backups = folders.list_backups(root)
    assert len(backups) == 1
    assert (backups[0].number == first.number) == (point != "the oldest half removed")
    folders.check(backups[0])
    assert list(root.glob(".unfinished-*"))
    newest = backed_up(settings)
    assert list(root.glob(".unfinished-*")) == []
    assert folders.list_backups(root) == [*backups, newest]


def test_pg_dump_ends_with_the_command_that_started_it(settings: Settings, tmp_path: Path) -> None:
    """Killed while pg_dump waits for a table."""
    url, file = warehouse_url(settings), tmp_path / "whole.dump"
    own = {"QUOTEMILL_HOME": str(tmp_path), "QUOTEMILL_WAREHOUSE_URL": url}
    dumps = "select pid, wait_event_type from pg_stat_activity where application_name = 'pg_dump'"
    with psycopg.connect(url, autocommit=True) as seen:
        with psycopg.connect(url) as holder:
            holder.execute("lock table ops.metrics")
            words = ("quotemill", "warehouse", "dump", str(file))
            command = Command(words, env=clean_environ() | own, cwd=tmp_path)
            query = f"{dumps} and datname = current_database()"
            wait_until("it waits", lambda: [e for _, e in seen.execute(query) if e == "Lock"])
            command.kill()
            assert command.wait() == -signal.SIGKILL
        wait_until("it ended", lambda: not seen.execute(query).fetchall())
    assert not file.exists()
    assert (tmp_path / "whole.dump.part").stat().st_size == 0  # nobody went on to write it


def test_an_unreadable_backup_is_a_failure_and_older_ones_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, write = backed_up(settings), dump._write

    def cut_short(warehouse: Any, server: Any, output: IO[bytes], **options: bool) -> None:
        write(warehouse, server, output, **options)
        output.truncate(output.tell() - 100)

    monkeypatch.setattr(dump, "_write", cut_short)
    with pytest.raises(QuotemillError, match="not a readable dump") as raised:
        back_up(settings, open_warehouse(settings), lambda _: None, keep=1)
    assert raised.value.exit_code == 1
    assert folders.list_backups(tmp_path / "backups") == [first]
    assert list((tmp_path / "backups").glob(".unfinished-*")) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one backup and a half."""
    with file_system(tmp_path / "small", "256k") as folder:
        yield folder


def test_a_full_disk_is_named_and_the_older_ones_stay(settings: Settings, small_disk: Path) -> None:
    warehouse, made = open_warehouse(settings), []

    def fill() -> None:
        for _ in range(20):
            made.append(back_up(settings, warehouse, lambda _: None, folder=small_disk, keep=99))

    with pytest.raises(QuotemillError, match="no room left for a backup") as raised:
        fill()
    assert raised.value.exit_code == 1
    assert "backups_kept" in raised.value.hint
    backups = folders.list_backups(small_disk)
    assert backups == [result.backup for result in made]
    assert backups
    for backup in backups:
        folders.check(backup)
    assert list(small_disk.glob(".unfinished-*")) == []


@pytest.mark.soak
def test_rows_fetched_for_a_later_state_skip_no_day_of_a_restored_one(
    open_scene: OpenScene, days: list[date], tmp_path: Path
) -> None:
    early, later = days[-15], days[-8]
    undisturbed = open_scene(clock=early)
    assert undisturbed.run().code == 0
    undisturbed.sandbox.set_clock(days[-1])
    assert undisturbed.run().code == 0

    scene = open_scene(clock=early)
    assert scene.run().code == 0
    own = {"QUOTEMILL_HOME": str(scene.home), "QUOTEMILL_WAREHOUSE_URL": str(scene.dsn)}
    backup = backed_up(load_settings(own, cwd=scene.home))
    scene.sandbox.set_clock(later)
    assert scene.run().code == 0
    scene.sandbox.set_clock(days[-1])
    killed = scene.driven(tmp_path / "report", "normalized, not loading", 4)
    assert killed.code == -signal.SIGKILL, killed.said
    restored = scene.inside("quotemill", "backup", "restore", str(backup.path), "--yes")
    assert restored.code == 0, restored.said
    assert scene.run().code == 0
    assert_same(scene.facts(), undisturbed.facts())
