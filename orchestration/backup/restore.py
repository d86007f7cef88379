"""Restore of a backup into a warehouse, and the list of what it cannot restore."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.engine.progress import Reporter
from loaders.loads import prepare_warehouse
from loaders.settings import Settings, flatten
from loaders.ticks import store_state
from orchestration.archive.folder import archive_root
from orchestration.backup import dump_restore as restores
from orchestration.backup import folder as folders
from orchestration.backup.folder import Backup
from orchestration.backup.settings_text import without_secrets
from quotemill.errors import SettingsError
from quotemill.warehouse.postgres import Warehouse

_PLACES = ("home", "warehouse_url", "backup_folder")  # settings that may well differ now


@dataclass(frozen=True)
class RestoreResult:
    """`objects` came back from the dump; `left` is what a person has to do, a line each."""

    backup: Backup
    objects: int
    left: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"path": str(self.backup.path), "objects": self.objects, "left": self.left}


def restore(
    settings: Settings, warehouse: Warehouse, backup: Backup, reporter: Reporter, *, clean: bool
) -> RestoreResult:
    """Restore a warehouse, once every byte of the backup was read and is unchanged.

    With `clean` the backup replaces our schemas whole. Raises
    SettingsError where this version or these settings do not fit it, QuotemillError for one that is
    damaged, and as orchestration.backup.dump_restore does: in all these cases nothing was changed.
    """
    _require_fit(settings, backup)
    folders.check(backup)
    restored = restores.restore(warehouse, backup.path / folders.DUMP, clean=clean)
    prepare_warehouse(settings, reporter)
    left = (
        *_settings(settings, backup),
        *_archive(settings, warehouse),
        *_ticks(settings, backup),
    )
    return RestoreResult(backup, restored.entries, left)


def _require_fit(settings: Settings, backup: Backup) -> None:
    schema = backup.manifest["warehouse"]["market_schema"]
    if schema != settings.market_schema:
        raise SettingsError(
            f"{backup.name} has its tables in the schema {schema}, but "
            f"market_schema is {settings.market_schema} ({settings.origin('market_schema')})",
            hint=f"Set QUOTEMILL_MARKET_SCHEMA={schema}.",
        )


def _settings(settings: Settings, backup: Backup) -> Iterator[str]:
    path = backup.path / folders.SETTINGS
    then = flatten(tomllib.loads(path.read_text("utf-8")))
    now = flatten(tomllib.loads(without_secrets(settings)[0]))
    names = {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)}
    if differing := sorted(names.difference(_PLACES)):
        yield f"settings that differed: {', '.join(differing)} (see {path})"
    absent = [name for name in backup.manifest["secrets"] if settings.origin(name) == "default"]
    if absent := sorted(set(absent).difference(_PLACES)):
        yield f"secrets to set again, which no backup has: {', '.join(absent)}"


def _archive(settings: Settings, warehouse: Warehouse) -> Iterator[str]:
    root = archive_root(settings)
    with warehouse.connect() as conn:
        rows = conn.execute(
            "select schema_name, path, size_bytes from ops.archive_files"
        ).fetchall()
    absent = [row for row in rows if not _is_there(root, *row)]
    if absent:
        yield (
            f"{len(absent):,} of {len(rows):,} archive files are not in {root}: "
            "restore it from a copy, then run `quotemill archive --check`"
        )


def _is_there(root: Path, schema: str, name: str, size: int) -> bool:
    path = (root if schema == "options" else root / schema) / name
    return path.is_file() and path.stat().st_size == size


def _ticks(settings: Settings, backup: Backup) -> Iterator[str]:
    store = backup.manifest["tick_store"]
    if store is not None and not store_state.is_used(settings):
        yield f"ticks were in {store['store']}: copy its folder, or set questdb_url"
