"""Checks of the doctor: files and folders of the settings exist and can be used."""

import os
from collections.abc import Iterator

from loaders.engine.check import Check, failed
from loaders.errors import QuotemillError, SettingsError
from loaders.project import find_project
from loaders.settings import Settings
from loaders.warehouse import profiles
from loaders.warehouse.disks import existing_parent, list_disks
from loaders.warehouse.ownership import has_relation
from loaders.warehouse.postgres import Warehouse


def check(settings: Settings, warehouse: Warehouse | None) -> Iterator[Check]:
    yield from _home(settings)
    yield from _profile(settings)
    yield from _disks(settings)
    if warehouse is not None:
        yield from _archive(settings, warehouse)


def _home(settings: Settings) -> Iterator[Check]:
    """Check that loads can stage, log and lock below the home."""
    for folder in (settings.home, settings.home / "logs"):
        there = existing_parent(folder)
        if not os.access(there, os.W_OK | os.X_OK):
            hint = "give it to the user who runs this, or set QUOTEMILL_HOME"
            yield failed("home", SettingsError(f"{there} cannot be written", hint=hint))
            return


def _profile(settings: Settings) -> Iterator[Check]:
    path = find_project().profiles(settings.home) / "profiles.yml"
    if path.exists() and not profiles.is_ours(path):
        foreign = SettingsError(
            f"{path} was not written by quotemill, and loads refuse to replace it",
            hint="point DBT_PROFILES_DIR at another folder, or move the file away",
        )
        yield failed("profile", foreign)


def _disks(settings: Settings) -> Iterator[Check]:
    for disk in list_disks(settings):
        seen = f"{disk.free / 2**30:,.1f} GiB free at {disk.folder}, {disk.used_share:.0%} used"
        if disk.is_short(settings.alerts.disk_percent):
            mend = (
                "free some space: `quotemill report` names the largest tables; "
                "or move what lies there (QUOTEMILL_HOME, ib.archive_folder, backup_folder)"
            )
            yield Check("disk", "warn", seen, mend)
        else:
            yield Check("disk", "ok", seen)


def _archive(settings: Settings, warehouse: Warehouse) -> Iterator[Check]:
    """Check that a used archive is ours, has its newest file and is writable."""
    query = (
        "select path from ops.archive_files where schema_name = %s order by written_at desc limit 1"
    )
    with warehouse.connect() as conn:
        if not has_relation(conn, "ops.archive_files"):
            return
        newest = conn.execute(query, (warehouse.inner_schema("options"),)).fetchone()
    if newest is None:
        return
    from loaders.warehouse import migrate
    from orchestration.archive.folder import archive_folder

    folder = archive_folder(settings, warehouse)
    try:
        folder.require_own(migrate.warehouse_id(warehouse))
        if not folder.path(newest[0]).is_file():
            raise SettingsError(
                f"{folder.path(newest[0])} of the archive is not there",
                hint="mount its disk, or set ib.archive_folder; "
                "`quotemill archive --check` names all that is lost",
            )
    except QuotemillError as error:
        yield failed("archive", error)
        return
    if not os.access(folder.root, os.W_OK | os.X_OK):
        unwritable = SettingsError(
            f"the archive's folder {folder.root} cannot be written",
            hint="give it to the user who runs this, or set ib.archive_folder",
        )
        yield failed("archive", unwritable)
