"""Backups: what is in one, which of them stay, and what a restore refuses or says is left to do."""

import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.check import Check
from loaders.engine.progress import Silent
from loaders.settings import Settings
from loaders.sources import landed_tables
from loaders.warehouse.lock import load_lock
from loaders.warehouse.migrate import prepare, warehouse_id
from loaders.warehouse.postgres import open_warehouse
from orchestration.backup import dump_restore
from orchestration.backup import folder as folders
from orchestration.backup.restore import restore
from orchestration.backup.write import BackupResult, back_up
from orchestration.checks import gather
from orchestration.checks.folders import BACKUP_AGE
from orchestration.run.build_record import build_lock
from quotemill.errors import (
    LockHeldError,
    QuotemillError,
    SettingsError,
    UpstreamError,
    UsageError,
)
from quotemill.warehouse.postgres import Warehouse
from tests.bench import WarehouseQueries, prepared_warehouse, settings_at
from tests.e2e.commands import Place
from tests.small_disk import file_system, fill


@dataclass
class Bench(WarehouseQueries):
    """A warehouse with a few rows, in a home of its own."""

    settings: Settings

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    @property
    def root(self) -> Path:
        return self.settings.home / "backups"

    def back_up(self, **options: Any) -> BackupResult:
        return back_up(self.settings, self.warehouse, lambda _: None, **options)


@pytest.fixture
def open_bench(new_database: Callable[[], str], tmp_path: Path) -> Callable[..., Bench]:
    def open_(name: str = "home", dsn: str = "", **environ: str) -> Bench:
        home = tmp_path / name
        home.mkdir(exist_ok=True)
        return Bench(settings_at(dsn or new_database(), home, environ))

    return open_


@pytest.fixture
def bench(
    filled_database: Callable[..., str], open_bench: Callable[..., Bench], tmp_path: Path
) -> Bench:
    def fill(dsn: str) -> None:
        prepared_warehouse(dsn, tmp_path, landed_tables())
        with psycopg.connect(dsn) as conn:
            conn.execute("insert into ops.settings values ('planted', 'row')")
            conn.execute(
                "insert into ops.archive_files values ('options', 'view=x/part-0.parquet', 'x', "
                "'zstd', 7, 'abc', 5)"
            )

    return open_bench(dsn=filled_database("backup", fill))


def test_a_backup_holds_the_warehouse_and_the_settings(bench: Bench) -> None:
    result = bench.back_up()

    path = result.backup.path
    assert sorted(p.name for p in path.iterdir()) == [
        "backup.json",
        "settings.toml",
        "warehouse.dump",
    ]
    modes = {p.stat().st_mode & 0o777 for p in path.iterdir()}
    assert (modes, path.stat().st_mode & 0o777) == ({0o600}, 0o700)
    manifest = json.loads((path / "backup.json").read_text())
    assert manifest["warehouse"]["id"] == warehouse_id(bench.warehouse)
    assert manifest["warehouse"]["migrations"][0] == "0001_release.sql"
    assert folders.list_backups(bench.root) == [result.backup]
    assert list(bench.root.glob(".unfinished-*")) == []
    folders.check(result.backup)


def test_a_restore_brings_the_rows_back_and_prints_next_steps(
    bench: Bench, open_bench: Callable[..., Bench]
) -> None:
    backup = bench.back_up().backup
    another = open_bench("another", QUOTEMILL_TDX__INDICES="sh000001")

    result = restore(another.settings, another.warehouse, backup, Silent(), clean=False)

    own = "select key, value from ops.settings where key in ('planted', 'warehouse_id') order by 1"
    assert another.rows(own) == bench.rows(own)
    assert ("planted", "row") in bench.rows(own)
    left = "\n".join(result.left)
    assert re.search("settings .*: tdx.indices", left)
    assert re.search("1 of 1 archive files ", left)
    with pytest.raises(UsageError, match=r"\d+ relations"):
        restore(another.settings, another.warehouse, backup, Silent(), clean=False)
    bench.execute("delete from ops.settings where key = 'planted'")
    restore(bench.settings, bench.warehouse, backup, Silent(), clean=True)
    assert ("planted", "row") in bench.rows(own)


@pytest.mark.parametrize("before_it", [False, True])
def test_a_restore_says_which_content_is_there_when_the_server_went_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, before_it: bool
) -> None:
    backup = bench.back_up().backup
    bench.execute("delete from ops.settings where key = 'planted'")
    rename = dump_restore._rename_content
    away = b"select pg_terminate_backend(pg_backend_pid());"

    def break_off(*content: str) -> bytes:
        return rename(*content) + (away if before_it else b"commit;" + away)

    monkeypatch.setattr(dump_restore, "_rename_content", break_off)
    if before_it:
        with pytest.raises(UpstreamError, match="nothing was changed"):
            restore(bench.settings, bench.warehouse, backup, Silent(), clean=True)
    else:
        assert restore(bench.settings, bench.warehouse, backup, Silent(), clean=True).objects
    planted = bench.rows("select value from ops.settings where key = 'planted'")
    assert planted == ([] if before_it else [("row",)])


def test_old_backups_of_this_warehouse_alone_are_pruned(
    bench: Bench, open_bench: Callable[..., Bench]
) -> None:
    other = open_bench("other")
    prepare(other.warehouse, [])
    foreign = other.back_up(folder=bench.root).backup.name
    made = [bench.back_up(keep=2).backup.name for _ in range(3)]
    assert [backup.name for backup in folders.list_backups(bench.root)] == [foreign, *made[1:]]
    # which one is meant is asked, where there are those of two
    with pytest.raises(UsageError, match=" warehouses"):
        folders.find(bench.root, None)
    assert folders.find(bench.root, made[2]).name == made[2]


def test_a_clock_that_went_back_prunes_no_newer_backup(
    bench: Bench,
) -> None:
    first = bench.back_up().backup
    first.path.rename(bench.root / "backup-00001-20991231T000000Z")
    newest = bench.back_up(keep=1)
    assert newest.removed == ("backup-00001-20991231T000000Z",)
    assert folders.find(bench.root, None) == newest.backup


def test_of_two_backups_at_once_one_is_refused(bench: Bench) -> None:
    bench.root.mkdir()
    with folders.lock(bench.root), pytest.raises(LockHeldError, match="another backup"):
        bench.back_up()
    bench.back_up()


@pytest.mark.parametrize("name", ["warehouse.dump", "settings.toml"])
def test_a_backup_changed_on_disk_is_refused_and_nothing_restored(
    bench: Bench, open_bench: Callable[..., Bench], name: str
) -> None:
    backup = bench.back_up().backup
    file = backup.path / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    another = open_bench("another")
    with pytest.raises(QuotemillError, match=f"{name} .*damaged"):
        restore(another.settings, another.warehouse, backup, Silent(), clean=False)
    assert another.rows("select to_regnamespace('ops')") == [(None,)]


def test_a_backup_of_another_schema_is_refused(
    bench: Bench, open_bench: Callable[..., Bench]
) -> None:
    backup = bench.back_up().backup
    another = open_bench("another", QUOTEMILL_MARKET_SCHEMA="quotemill_market")
    with pytest.raises(SettingsError, match="market_schema is quotemill_market"):
        restore(another.settings, another.warehouse, backup, Silent(), clean=False)


def test_a_damaged_backup_is_named_and_blocks_nothing(bench: Bench) -> None:
    damaged, good = bench.back_up().backup, bench.back_up().backup
    (damaged.path / "backup.json").write_bytes(b'{"format": 1, "made')
    last = bench.root / "backup-00007-20261121T200000Z"
    last.mkdir()  # without a word in it

    said: list[str] = []
    newest = back_up(bench.settings, bench.warehouse, said.append, keep=1)
    assert newest.backup.number == 8
    assert newest.removed == (good.name,)
    assert [text for text in said if re.search("backup.json .*damaged", text)]
    assert [text for text in said if re.search(f"{last}/backup.json .*missing", text)]
    assert folders.find(bench.root, None) == newest.backup
    assert damaged.path.is_dir()
    url = bench.settings.warehouse_url
    assert url is not None
    place = Place(
        bench.root, bench.settings.home, {"QUOTEMILL_WAREHOUSE_URL": url.get_secret_value()}
    )
    listed = place.inside("quotemill", "backup", "list")
    assert (listed.returncode, listed.stdout.split()[0]) == (0, newest.backup.name)
    assert re.search(f"warning: {damaged.path}/backup.json .*damaged", listed.stderr)
    [check] = [c for c in gather.examine(bench.settings) if c.name == "backup"]
    assert check.verdict == "warn"


def test_nothing_is_written_below_an_unmounted_disk(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f" {tmp_path}/disk ") as refused:
        bench.back_up(folder=tmp_path / "disk" / "quotemill")
    assert "Mount " in str(refused.value.hint)
    assert not (tmp_path / "disk").exists()
    (tmp_path / "disk").mkdir()
    bench.back_up(folder=tmp_path / "disk" / "quotemill")


@pytest.mark.parametrize("name", ["disk", "disk/quotemill"])
def test_an_empty_folder_that_held_backups_gets_none(
    bench: Bench, tmp_path: Path, name: str
) -> None:
    mount, root = tmp_path / "disk", tmp_path / name
    mount.mkdir()
    bench.back_up(folder=root)
    mount.rename(tmp_path / "away")
    mount.mkdir()
    for _ in range(2):
        with pytest.raises(SettingsError, match=f" {root}, ") as refused:
            bench.back_up(folder=root)
        assert list(mount.iterdir()) == []
    there = bench.settings.model_copy(update={"backup_folder": root})
    [check] = [c for c in gather.examine(there) if c.name == "backup"]
    assert (check.verdict, check.sentence) == ("fail", str(refused.value))
    # a new disk
    command = refused.value.hint.partition("a new one run: `")[2].rstrip("`.")
    subprocess.run(["sh", "-c", command], check=True)
    assert bench.back_up(folder=root).backup.number == 1
    # the old one; it may have been emptied
    shutil.rmtree(mount)
    (tmp_path / "away").rename(mount)
    assert bench.back_up(folder=root).backup.number == 2
    for backup in folders.list_backups(root):
        shutil.rmtree(backup.path)
    bench.back_up(folder=root)


def test_a_backup_elsewhere_works_while_the_home_disk_is_full(bench: Bench, tmp_path: Path) -> None:
    said: list[str] = []
    with file_system(tmp_path / "full", "64k") as home:
        fill(home)
        settings = bench.settings.model_copy(update={"home": home})
        result = back_up(settings, bench.warehouse, said.append, folder=tmp_path / "usb")
        assert [path.name for path in home.iterdir()] == ["filler"]
    assert folders.list_backups(tmp_path / "usb") == [result.backup]
    assert [x for x in said if re.match(f"warning: {home} .*: {os.strerror(errno.ENOSPC)}$", x)]


@pytest.mark.parametrize("who", ["a load", "a build"])
def test_nothing_is_restored_while_a_writer_holds_a_lock(bench: Bench, who: str) -> None:
    backup = bench.back_up().backup
    held = load_lock(bench.warehouse, "tdx") if who == "a load" else build_lock(bench.warehouse)
    with held, pytest.raises(LockHeldError, match=f"another {who[2:]} "):
        restore(bench.settings, bench.warehouse, backup, Silent(), clean=True)


def test_the_backup_commands_create_list_verify_and_restore(bench: Bench, tmp_path: Path) -> None:
    url = bench.settings.warehouse_url
    assert url is not None
    place = Place(
        tmp_path, bench.settings.home, {"QUOTEMILL_WAREHOUSE_URL": url.get_secret_value()}
    )
    assert place.inside("quotemill", "backup", "restore").returncode == 2
    made = place.inside("quotemill", "backup", "--json")
    answer = json.loads(made.stdout)
    assert (made.returncode, answer["remaining"], answer["removed"]) == (0, 1, [])
    name = Path(answer["path"]).name
    assert name in place.inside("quotemill", "backup", "list").stdout
    assert place.inside("quotemill", "backup", "check", name).returncode == 0
    refused = place.inside("quotemill", "backup", "restore")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    done = place.inside("quotemill", "backup", "restore", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["path"]) == (0, answer["path"])
    (Path(answer["path"]) / "warehouse.dump").write_bytes(b"PGDMP")
    damaged = place.inside("quotemill", "backup", "check")
    assert damaged.returncode == 1
    assert re.search("warehouse.dump .*damaged", damaged.stderr)


def test_doctor_warns_of_an_old_backup(bench: Bench) -> None:
    def check(now: datetime) -> Check:
        [result] = [c for c in gather.examine(bench.settings, now) if c.name == "backup"]
        return result

    now = datetime.now(UTC)
    assert (check(now).verdict, check(now).fix) == ("ok", "quotemill backup")
    bench.back_up()
    assert check(now).verdict == "ok"
    assert check(now + 2 * BACKUP_AGE).verdict == "warn"


def test_no_file_of_a_backup_has_a_secret(open_bench: Callable[..., Bench]) -> None:
    made = open_bench(QUOTEMILL_TQ__PASSWORD="planted-password", QUOTEMILL_TQ__ACCOUNT="somebody")
    prepare(made.warehouse, [])
    backup = made.back_up().backup
    assert backup.manifest["secrets"] == ["tq.account", "tq.password", "warehouse_url"]
    for file in backup.path.iterdir():
        assert b"planted-password" not in file.read_bytes()
