"""Bring archived days back to the tick store; their files stay."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.ticks.open_store import open_store
from loaders.ticks.store import IndexRow
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_archive.archive import Load, follow_index, read_own_index
from loaders.tq.tick_archive.due import count_ticks
from loaders.tq.tick_archive.files import read_day
from loaders.tq.tick_archive.folder import tick_folder
from loaders.tq.tick_days.copy import move_days
from loaders.tq.tick_days.schedule import key_text
from loaders.warehouse import migrate
from loaders.warehouse.lock import load_lock
from quotemill.errors import DataQualityError, UsageError
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class RestoredTicks:
    """The result of a restore, or its plan; `damaged`: days that stay archived, and why."""

    dry_run: bool
    days: int
    ticks: int
    damaged: dict[str, str]

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
    folder = tick_folder(settings)
    with (
        load_lock(warehouse, TICK_LANE) as lock,
        closing(open_store(settings, warehouse)) as store,
    ):
        index = read_own_index(store, warehouse)
        folder.require_own(migrate.warehouse_id(warehouse))
        folder.require_there(index.rows.values())
        wanted = {f"KQ.m@{name}" for name in varieties}
        rows = [
            row
            for row in index.rows.values()
            if row.is_archived
            and since <= row.trading_day <= until
            and (row.symbol in wanted or not wanted)
        ]
        results = move_days(
            rows,
            partial(read_day, folder),
            None if dry_run else index,
            lock,
            reporter,
            title="days",
            change=lambda row: row.moved(None, None, as_of),
        )
    written = [row for row in results.values() if isinstance(row, IndexRow)]
    damaged = {key_text(k): str(e) for k, e in results.items() if not isinstance(e, IndexRow)}
    result = RestoredTicks(dry_run, len(written), count_ticks(written), damaged)
    if not dry_run:
        # also where a killed one had brought all of them back
        follow_index(settings, warehouse, load)
    if not rows:
        whose = f"of {', '.join(varieties)} " if varieties else ""
        when = f"from {since} on" if until == date.max else f"from {since} to {until}"
        raise UsageError(
            f"no ticks {whose}{when} are archived",
            hint="raw_tq.symbol_day names the file of each archived day as archive_file; a "
            "variety is written as SHFE.cu",
        )
    return result
