"""Recorded ticks and those that a load of ticks gets: compared, and deleted once they landed."""

from collections.abc import Callable
from datetime import date

import pyarrow as pa

from loaders.tq.context import Context
from loaders.tq.landed import variety_of
from loaders.tq.live.recorded import compare_ticks, delete_files, read_recorded
from loaders.tq.trading_day import to_time, trading_day_of


def compare_recorded(ctx: Context, contract: str, ticks: pa.Table) -> None:
    """Count how many recorded ticks a day of the history has too, and how many otherwise."""
    recorded = read_recorded(ctx.recorded, contract)
    if recorded is not None:
        shared, differing = compare_ticks(recorded, ticks)
        ctx.reconciled.update(shared=shared, differing=differing)


def end_reconciliation(ctx: Context) -> None:
    """Report differences, and delete the files whose days are complete."""
    if shared := ctx.reconciled["shared"]:
        text = f"{shared:,} recorded ticks were also returned by the servers"
        if differing := ctx.reconciled["differing"]:
            ctx.load.warn(f"{text}, {differing:,} of them different: the servers' ticks are stored")
        else:
            ctx.load.reporter.line(f"{text}, all identical")
    delete_files(ctx.recorded, _find_needed(ctx))


def _find_needed(ctx: Context) -> Callable[[str, int], bool]:
    """Whether a file is of a day that is not complete, or not scheduled yet.

    All its ticks are of one day, but for one before them.
    """
    last: dict[str, date] = {}
    open_days: dict[str, set[date]] = {}
    for day in ctx.schedule.values():
        last[day.variety] = max(day.trading_day, last.get(day.variety, day.trading_day))
        stored = ctx.stored_day(day.key)
        if stored is None or stored.status != "complete":
            open_days.setdefault(day.contract, set()).add(day.trading_day)

    def is_needed(contract: str, newest: int) -> bool:
        day, scheduled = trading_day_of(to_time(newest), ctx.days), last.get(variety_of(contract))
        if day is None or scheduled is None or day > scheduled:
            return True
        return day in open_days.get(contract, ())

    return is_needed
