"""Checks of this machine: settings, and the files and folders that they name."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from loaders import sources
from loaders.check import Check, failed
from loaders.settings import Settings
from loaders.trading_time import format_time
from loaders.warehouse import profiles
from loaders.warehouse.disks import existing_parent, list_disks
from loaders.warehouse.embedded.places import server_account
from orchestration.checks.place import Place
from orchestration.checks.settings import is_of_demo
from quotemill.errors import SettingsError
from quotemill.settings.removed import explain_removed
from quotemill.warehouse.dbt_project import find_project
from quotemill.warehouse.schemas import has_relation

BACKUP_AGE = timedelta(days=10)  # one a week, and three days for a machine that was off
SHOWN = 5  # damaged backups in a message


def check_settings(place: Place) -> Iterator[Check]:
    settings = place.settings
    for name, where in settings.removed.items():
        yield Check("settings", "warn", explain_removed(name, where), f"Remove {name}.")
    ready, missing = sources.configured(settings)
    if not ready and is_of_demo(settings.home):
        text = "the home of a demo, whose simulated service only ran during the load"
        yield Check("settings", "ok", text, "quotemill demo")
    elif not ready:
        text = f"no source is configured: {'; '.join(missing.values())}"
        hint = sources.describe_start(settings, "quotemill run")
        yield failed("settings", SettingsError(text, hint=hint))
    else:
        yield Check("settings", "ok", f"home {settings.home} ({settings.origin('home')})")


def require_writable(settings: Settings, folder: Path, setting: str) -> None:
    """Raises SettingsError for a folder that can be neither written nor made."""
    hint = f"Set {setting} to a folder that this user can write to."
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


def check_home(place: Place) -> Iterator[Check]:
    """Check that loads can stage, log and lock below the home, and other users cannot enter it."""
    settings = place.settings
    for folder in (settings.home, settings.home / "logs"):
        hint = "Run this as its owner, or set QUOTEMILL_HOME."
        parent = _existing_parent(folder, hint)
        if not os.access(parent, os.W_OK | os.X_OK):
            raise SettingsError(f"{parent} cannot be written", hint=hint)
    home = settings.home
    if home.is_dir() and home.stat().st_mode & 0o007:
        fix = f"chmod o-rwx {home}"
        if account := server_account(home) if settings.warehouse_url is None else None:
            fix = f"chgrp {account.gid} {home} && chmod 710 {home}"  # which the server enters
        yield Check("home", "warn", f"other users can read the files in {home}", fix)


def check_profile(place: Place) -> tuple[Check, ...]:
    path = find_project().profiles(place.settings.home) / "profiles.yml"
    if path.exists() and not profiles.is_ours(path):
        raise SettingsError(
            f"{path} was not written by quotemill, so loads do not replace it",
            hint="Point DBT_PROFILES_DIR at another folder, or move the file away.",
        )
    return ()


def check_disks(place: Place) -> Iterator[Check]:
    limit = place.settings.alerts.disk_percent
    return (disk.check(limit) for disk in list_disks(place.settings))


def check_archive(place: Place) -> tuple[Check, ...]:
    """Check that an archive can be written, and that a used one is ours and has its newest file."""
    from orchestration.archive.folder import archive_folder, archive_root  # they import pyarrow

    settings, warehouse = place.settings, place.warehouse
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
            f"the archive file {folder.path(newest[0])} does not exist",
            hint="Mount its disk, or set ib.archive_folder, and run `quotemill archive --check` "
            "to list everything that is lost.",
        )
    return ()


def check_backups(place: Place) -> Iterator[Check]:
    from orchestration.backup import folder as backups

    root = backups.backup_root(place.settings)
    with backups.usable(root):
        backups.check_place(root, place.settings.home)
        stored, damaged = backups.scan(root)
    require_writable(place.settings, root, "backup_folder")
    if damaged:
        fix = "Run `quotemill backup`, then remove the damaged ones."
        yield Check("backup", "warn", "; ".join(damaged[:SHOWN]), fix)
    elif not stored:
        fix = "quotemill backup" if place.warehouse is not None else ""  # yet nothing to back up
        yield Check("backup", "ok", f"no backup in {root}", fix)
    else:
        made = stored[-1].made_at
        newest = format_time(made, timespec="minutes")
        text = f"{len(stored)} in {root}, newest {newest}"
        is_old = place.now - made > BACKUP_AGE
        yield Check(
            "backup",
            "warn" if is_old else "ok",
            text,
            fix="quotemill backup" if is_old else "",
        )
