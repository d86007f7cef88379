"""Write a backup, read it back, and remove the oldest."""

import json
import platform
import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loaders import log
from loaders.files import whole_file
from loaders.settings import Settings
from loaders.ticks import store_state
from loaders.ticks.open_store import store_label
from loaders.warehouse import migrate, timescale
from orchestration.backup import dump
from orchestration.backup import folder as folders
from orchestration.backup.folder import Backup
from orchestration.backup.settings_text import without_secrets
from quotemill.errors import UsageError
from quotemill.warehouse.migrations import applied
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation


@dataclass(frozen=True)
class BackupResult:
    """The new backup, which was read back, and the names of the older ones that were removed."""

    backup: Backup
    remaining: int
    removed: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        about = {"remaining": self.remaining, "removed": self.removed, "seconds": self.seconds}
        return self.backup.as_json() | about


def back_up(
    settings: Settings,
    warehouse: Warehouse,
    report: Callable[[str], None],
    *,
    folder: Path | None = None,
    keep: int | None = None,
) -> BackupResult:
    """Write a backup into `folder`; the newest `keep` of this warehouse stay (default: settings).

    Older ones go only after the new one was read back; damaged ones are named, and stay. Raises
    LockHeldError while another is written, UsageError where nothing was loaded yet, QuotemillError
    where there is no room, SettingsError for a folder that cannot be used, UpstreamError where
    pg_dump fails.
    """
    started = datetime.now(UTC)
    with warehouse.connect() as conn:
        if not has_relation(conn, "ops.settings"):
            raise UsageError(
                "nothing was loaded yet",
                hint="Run `quotemill run`, after `quotemill init` if no source is configured.",
            )
    own = migrate.warehouse_id(warehouse)
    root = folders.backup_root(settings, folder)
    with folders.usable(root):
        folders.check_place(root, settings.home)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with folders.lock(root):
            folders.discard_unfinished(root)
            for damaged in folders.scan(root)[1]:
                report(f"warning: {damaged}")
                log.write("warning", damaged, detail={"next": "remove it once there is another"})
            path = root / f"backup-{folders.next_number(root):05}-{started:%Y%m%dT%H%M%SZ}"
            part = root / f"{folders.UNFINISHED}{path.name}"
            report(f"backup: {path}")
            part.mkdir(mode=0o700)
            try:
                _write(settings, warehouse, own, started, part)
                folders.publish(part, path)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            try:
                folders.record_root(root, settings.home)
            except OSError as error:  # of the home, which may be full: the backup is whole
                text = f"{settings.home} cannot record where backups go: {error.strerror}"
                report(f"warning: {text}")
                log.write("warning", text, detail={"next": "the next backup tries again"})
            backup = folders.read_backup(path)
            ours = [b for b in folders.list_backups(root) if b.warehouse_id == own]
            oldest = ours[: -(keep or settings.backups_kept)]
            for old in oldest:
                folders.remove(old)
    seconds = round((datetime.now(UTC) - started).total_seconds(), 2)
    detail = {"bytes": backup.size_bytes, "seconds": seconds, "removed": [b.name for b in oldest]}
    log.write("info", f"backup {path} was read back", detail=detail)
    return BackupResult(backup, len(ours) - len(oldest), tuple(b.name for b in oldest), seconds)


def _write(
    settings: Settings, warehouse: Warehouse, own: str, started: datetime, part: Path
) -> None:
    # it reads back what it wrote
    dumped = dump.dump(warehouse, part / folders.DUMP)
    with warehouse.connect() as conn:
        conn.read_only = True
        about_warehouse = {
            "id": own,
            "label": warehouse.label,
            "embedded": warehouse.embedded,
            "market_schema": warehouse.market_schema,
            "postgresql": conn.info.server_version,
            "timescale": asdict(timescale.find(conn)),
            "migrations": sorted(applied(conn)),
        }
    text, secret = without_secrets(settings)
    whole_file.write(part / folders.SETTINGS, text)
    manifest = {
        "format": folders.FORMAT,
        "made_at": started.isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "quotemill": version("quotemill"),
        "python": platform.python_version(),
        "warehouse": about_warehouse,
        "dump": {"objects": dumped.entries, "hypertables": dumped.hypertables},
        "secrets": secret,
        "tick_store": {"store": store_label(settings)} if store_state.is_used(settings) else None,
        "files": {name: folders.describe(part / name) for name in (folders.DUMP, folders.SETTINGS)},
    }
    whole_file.write(
        part / folders.MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1, default=str)
    )
