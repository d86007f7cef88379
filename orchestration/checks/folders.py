"""Checks of the doctor: files and folders of the settings exist and can be used."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from loaders.engine.check import Check, run_checks
from loaders.settings import Settings
from loaders.warehouse import profiles
from loaders.warehouse.disks import existing_parent, list_disks
from loaders.warehouse.embedded.places import server_account
from quotemill.errors import SettingsError
from quotemill.warehouse.dbt_project import find_project
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation


def check(settings: Settings, warehouse: Warehouse | None) -> Iterator[Check]:
    yield from run_checks(
        [
            ("home", partial(_check_home, settings)),
            ("profile", partial(_check_profile, settings)),
            ("disk", partial(_check_disks, settings)),
            ("archive", partial(_check_archive, settings, warehouse)),
        ]
    )


def require_writable(settings: Settings, folder: Path, setting: str) -> None:
    """Raises SettingsError for a folder that can be neither written nor made."""
    hint = f"{setting} names a folder that this user may write"
    parent = _existing_parent(folder, hint)
    if parent != folder and folder.is_relative_to(settings.home):
        return  # it is the home that can be written or not
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SettingsError(f"{folder} cannot be written", hint=hint)


def _existing_parent(folder: Path, hint: str) -> Path:
    """As existing_parent. Raises SettingsError below a folder that this user may not enter."""
    try:
        return existing_parent(folder)
    except OSError:
        raise SettingsError(f"{folder} cannot be written", hint=hint) from None


def _check_home(settings: Settings) -> Iterator[Check]:
    """Check that loads can stage, log and lock below the home, and other users cannot enter it."""
    for folder in (settings.home, settings.home / "logs"):
        hint = "make its user the one who runs this, or set QUOTEMILL_HOME"
        parent = _existing_parent(folder, hint)
        if not os.access(parent, os.W_OK | os.X_OK):
            raise SettingsError(f"{parent} cannot be written", hint=hint)
    home = settings.home
    if home.is_dir() and home.stat().st_mode & 0o007:
        fix = f"chmod o-rwx {home}"
        if account := server_account(home) if settings.warehouse_url is None else None:
            fix = f"chgrp {account.gid} {home} && chmod 710 {home}"  # which the server enters
        yield Check("home", "warn", f"other users may enter {home} and read its files", fix)


def _check_profile(settings: Settings) -> tuple[Check, ...]:
    path = find_project().profiles(settings.home) / "profiles.yml"
    if path.exists() and not profiles.is_ours(path):
        raise SettingsError(
            f"{path} was not written by quotemill, and loads refuse to replace it",
            hint="point DBT_PROFILES_DIR at another folder, or move the file away",
        )
    return ()


def _check_disks(settings: Settings) -> Iterator[Check]:
    for disk in list_disks(settings):
        text = f"{disk.free / 2**30:,.1f} GiB free at {disk.folder}, {disk.used_share:.0%} used"
        if disk.is_short(settings.alerts.disk_percent):
            fix = (
                f"free some space: `du -h -d 2 {disk.folder}` names the largest folders; "
                "or move what lies there (QUOTEMILL_HOME, ib.archive_folder, backup_folder)"
            )
            yield Check("disk", "warn", text, fix)
        else:
            yield Check("disk", "ok", text)


def _check_archive(settings: Settings, warehouse: Warehouse | None) -> tuple[Check, ...]:
    """Check that an archive can be written, and that a used one is ours and has its newest file."""
    from orchestration.archive.folder import archive_folder, archive_root  # they import pyarrow

    require_writable(settings, archive_root(settings), "ib.archive_folder")
    if warehouse is None:
        return ()
    folder = archive_folder(settings, warehouse)
    query = (
        "select path from ops.archive_files where schema_name = %s order by written_at desc limit 1"
    )
    with warehouse.connect() as conn:
        if not has_relation(conn, "ops.archive_files"):
            return ()
        newest = conn.execute(query, (warehouse.inner_schema("options"),)).fetchone()
    if newest is None:
        return ()
    from loaders.warehouse import migrate

    folder.require_own(migrate.warehouse_id(warehouse))
    if not folder.path(newest[0]).is_file():
        raise SettingsError(
            f"{folder.path(newest[0])} of the archive does not exist",
            hint="mount its disk, or set ib.archive_folder; "
            "`quotemill archive --check` names everything that is lost",
        )
    return ()
