"""Checks of `quotemill doctor` about this source."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from loaders.engine.check import Check
from loaders.settings import Settings
from loaders.tq import landed
from quotemill.errors import DataQualityError
from quotemill.warehouse.postgres import Warehouse
from quotemill.warehouse.schemas import has_relation

HORIZON = timedelta(days=15)  # of the calendar: qa_calendar_horizon has the same


def check_setup(settings: Settings, warehouse: Warehouse | None, now: datetime) -> Iterator[Check]:
    """Check that the trading days reach far enough, and that files of old ticks are there."""
    if warehouse is None:
        return
    with warehouse.connect() as conn:
        if not has_relation(conn, "raw_tq.trading_day"):
            return
        [(end,)] = conn.execute("select max(trade_date) from raw_tq.trading_day")
        archived = landed.archived_files(conn)
    if archived:
        yield _check_archive(settings, archived)
    if end is not None and end - now.date() < HORIZON:
        seen = f"the futures' trading days are known up to {end}"
        yield Check("horizon", "warn", seen, "loaders run tq --mode mapping")


def _check_archive(settings: Settings, names: list[str]) -> Check:
    # their modules import pyarrow
    from loaders.tq.tick_archive.files import find_lost_files
    from loaders.tq.tick_archive.folder import tick_folder

    folder = tick_folder(settings)
    lost = find_lost_files(folder, names)
    if not lost:
        return Check("tick archive", "ok", f"{len(names):,} files in {folder.root}")
    seen = f"{len(lost):,} of {len(names):,} files in {folder.root} are lost, such as {lost[0]}"
    fix = f"mount its disk, or set {folder.setting}; else `loaders verify tq --repair`"
    return Check("tick archive", "fail", seen, fix, exit_code=DataQualityError.exit_code)
