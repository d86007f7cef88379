"""Bring archived days back to the tick store; their files stay."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.frame import checked
from loaders.ticks.open_store import open_store
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_archive import files
from loaders.tq.tick_archive.archive import Load, follow_index, read_own_index
from loaders.tq.tick_archive.due import count_ticks
from loaders.tq.tick_archive.folder import tick_folder
from loaders.tq.tick_days.copy import group_days
from loaders.tq.tick_days.schedule import key_text
from loaders.warehouse import migrate
from loaders.warehouse.lock import load_lock
from quotemill.errors import DataQualityError, UsageError
from quotemill.ticks.questdb_http import StoreError
from quotemill.warehouse.postgres import Warehouse


@dataclass
class RestoredTicks:
    """The result of a restore, or its plan; `damaged`: days that stay archived, and why."""

    dry_run: bool
    days: int = 0
    ticks: int = 0
    damaged: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        return DataQualityError.exit_code if self.damaged else 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"exit_code": self.exit_code}


def restore_ticks(
    settings: Settings,
    warehouse: Warehouse,
    load: Load,
    reporter: Reporter,
    *,
    since: date,
    until: date,
    as_of: datetime,
    varieties: Collection[str] = (),
    dry_run: bool = False,
) -> RestoredTicks:
    """Write archived trading days from `since` to `until` to the store again, and read them back.

    `varieties`: these alone. Index rows change once the ticks are there: running again is safe.

    Raises UsageError where nothing of these days is archived; LockHeldError, SettingsError and
    StoreError as for an archiving.
    """
    folder, result = tick_folder(settings), RestoredTicks(dry_run)
    with (
        load_lock(warehouse, TICK_LANE) as lock,
        closing(open_store(settings, warehouse)) as store,
    ):
        index = read_own_index(store, warehouse)
        folder.require_own(migrate.warehouse_id(warehouse))
        folder.require_there(index)
        wanted = {f"KQ.m@{name}" for name in varieties}
        rows = [
            row
            for row in index
            if row.is_archived
            and since <= row.trading_day <= until
            and (row.symbol in wanted or not wanted)
        ]
        if not rows:
            whose = f"of {', '.join(varieties)} " if varieties else ""
            when = f"from {since} on" if until == date.max else f"from {since} to {until}"
            raise UsageError(
                f"no ticks {whose}{when} are archived",
                hint="raw_tq.symbol_day names the file of each archived day as archive_file; a "
                "variety is written as SHFE.cu",
            )
        reporter.start("days", len(rows))
        for group in group_days(rows):
            sound, ticks = [], []
            for row in group:
                try:
                    ticks.append(checked(files.read_day(folder, row)))
                    sound.append(row)
                except DataQualityError as error:
                    result.damaged[key_text(row.key)] = str(error)
            if not dry_run and sound:
                lock.confirm()
                results = store.write_days(ticks)
                for row, written in zip(sound, results, strict=True):
                    if isinstance(written, StoreError):
                        result.damaged[key_text(row.key)] = str(written)
                sound = [row for row in sound if key_text(row.key) not in result.damaged]
                store.put_index([row.moved(None, None, as_of) for row in sound])
            result.days += len(sound)
            result.ticks += count_ticks(sound)
            reporter.advance("days", len(group))
    if not dry_run:
        follow_index(settings, warehouse, load)
    return result
