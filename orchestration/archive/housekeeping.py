"""All of `quotemill retention`: old slots, logs and days are dropped, old ticks are packed."""

from datetime import datetime

from loaders.engine.progress import Reporter
from loaders.settings import Settings
from loaders.ticks import store_state
from loaders.tq.tick_days.packing import pack_ticks
from orchestration.archive import old_days, retention
from orchestration.archive.retention import TICKS, RetentionResult
from quotemill.errors import QuotemillError, UsageError
from quotemill.warehouse.postgres import Warehouse


def run_retention(
    settings: Settings,
    warehouse: Warehouse,
    reporter: Reporter,
    as_of: datetime,
    *,
    dry_run: bool,
    older_than: int | None = None,
    view: str | None = None,
) -> RetentionResult:
    """Drop what `retain` drops, then days by `retain` of their tables; pack old ticks.

    With a `view` only that, as of `retain`. A failure after slots and logs were dropped is in the
    result, as what was dropped is reported all the same. Raises as `retain` does, and with the view
    `ticks` as `pack_ticks` does, and UsageError if no load of ticks has started a QuestDB.
    """
    has_ticks = store_state.is_used(settings)
    if view == TICKS and not has_ticks:
        raise UsageError("this home has no ticks", hint="Run `loaders run tq`.")
    days_back = older_than or settings.ib.intraday_retain_days
    result = retention.retain(
        settings, warehouse, reporter, as_of, dry_run=dry_run, older_than=older_than, view=view
    )
    try:
        if view is None:
            tables = old_days.find_retained_tables(settings, warehouse)
            result.add_days(old_days.drop_old_days(warehouse, tables, as_of, dry_run=dry_run))
        if has_ticks and view in (None, TICKS):
            result.add_ticks(
                pack_ticks(
                    settings, warehouse, reporter, as_of, older_than=days_back, dry_run=dry_run
                )
            )
    except QuotemillError as error:
        if view == TICKS:
            raise
        result.failure = error
    return result
