"""The lane of ticks: bring the store in line with the schedule that dbt built.

    schedule to the store ▶ changes without a download ▶ revised days ▶ changes that these allow
    ▶ missing days ▶ days that gave nothing before; minutes are made after each task of ticks; days
    without data are copied, and minutes made of ticks stored earlier, before and after

What to do is a pure function of the schedule and the store's own records (loaders.tq.tick_days
.rules). These and their landed copies are read once, by the context, and written through.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import chain, groupby

from loaders.engine.source import Unit
from loaders.ticks.store import split_days
from loaders.tq import landed
from loaders.tq.context import Context
from loaders.tq.datasets import tick_minute
from loaders.tq.live.reconcile import end_reconciliation
from loaders.tq.request import NEWEST_DAY, TICK_DATASETS
from loaders.tq.tick_days.ledger import (
    copy_no_data,
    find_lagging,
    read_rejudged,
    require_same_store,
)
from loaders.tq.tick_days.recent_ticks import check_history, select_obtainable
from loaders.tq.tick_days.rules import find_changes, find_due_days, find_untrue, order_days
from loaders.tq.tick_days.schedule import Scheduled, key_text, make_schedule_table
from loaders.tq.tick_days.verify import require_sound
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import StoreError

NOTHING_BUILT = "no schedule is built yet: run `quotemill build` or `dbt build`"
TASK_KEYS = 1_000  # days of all varieties in a task, unless one trading day has more


def plan_ticks(ctx: Context) -> Iterator[Sequence[Unit]]:
    """The tasks of a load of ticks.

    Raises StoreError where a table of the store is suspended, before and after all, and where the
    store is not the one of earlier loads; SettingsError where it serves another warehouse.
    """
    assert ctx.store is not None
    if not ctx.schedule:
        ctx.load.reporter.line(NOTHING_BUILT)
        return
    datasets = ctx.load.request.datasets or TICK_DATASETS
    ctx.days = ctx.ask(landed.trading_days)
    _check_store(ctx)
    ctx.store.put_schedule(make_schedule_table(ctx.schedule.values()))
    traded = ctx.ask(lambda conn: read_rejudged(conn, ctx.symbols))
    ctx.no_data.take_back(find_untrue(ctx.no_data.rows.values(), ctx.index.rows, traded))
    yield from _change_days(ctx, traded)
    yield from _copy_records(ctx, datasets)  # those of a load that was ended early
    if "ticks" in datasets:
        _name_unmapped_days(ctx)
        yield from _fetch(ctx)
        end_reconciliation(ctx)
        yield from _copy_records(ctx, datasets)
    require_sound(ctx.store)


def _name_unmapped_days(ctx: Context) -> None:
    """Say which varieties have a newer day that is over, and no main contract of it."""
    late: dict[date, list[str]] = defaultdict(list)
    for variety in ctx.load.request.keys or ctx.settings.varieties:
        known = ctx.ask(partial(landed.coverage, variety=variety, route=ctx.settings.route))
        ended = ctx.last_ended_day(variety) if known else None
        if known and ended and known.last_day < ended:
            late[ended].append(variety)
    for day, varieties in late.items():
        ctx.load.reporter.line(
            f"the schedule does not include {day} for {', '.join(varieties)}: run "
            "`loaders run tq --mode mapping`, then `quotemill build`"
        )


def _check_store(ctx: Context) -> None:
    """Refuse a store that is not sound, or not the one of earlier loads."""
    assert ctx.store is not None
    ctx.store.prepare()
    require_sound(ctx.store)
    if "tick_index" not in (ctx.load.request.datasets or ()):
        if not ctx.index.rows and ctx.ask(landed.has_older_ticks):
            raise StoreError(
                "the warehouse's schema `ticks` has ticks of an older version, but "
                f"{ctx.store.label} has none",
                hint="Restore the backup from before the upgrade with that version, then run its "
                "`quotemill questdb copy --to questdb`. Or run `quotemill warehouse psql -c 'drop "
                "schema ticks cascade'`, and the next load downloads the ticks again.",
            )
        require_same_store(ctx.store.label, ctx.ledger, ctx.index.rows)


def _copy_records(ctx: Context, datasets: Sequence[str]) -> Iterator[Sequence[Unit]]:
    """The days without data as the store has them, and minutes of ticks that it has."""
    if "no_data_day" in datasets and (keys := _find_no_data(ctx)):
        yield [Unit("no_data_day", keys)]
    if "tick_minute" in datasets and (keys := tick_minute.list_keys(ctx)):
        yield [Unit("tick_minute", keys)]


def _change_days(ctx: Context, traded: Mapping[DayKey, int]) -> Iterator[Sequence[Unit]]:
    """Restamp days, judge others, take out outgrown ones; land the copies that lag."""
    before, schedule = ctx.index.rows, [*ctx.schedule.values()]
    ctx.changes = find_changes(schedule, before, ctx.no_data.on_record, traded)
    held = [row for row in ctx.changes.values() if row.is_visible]
    restamped = sum(row.stamp != before[row.key].stamp for row in held)
    judged = sum(row.day_volume != before[row.key].day_volume for row in held)
    if restamped or len(held) < len(ctx.changes):
        ctx.load.reporter.line(
            f"{restamped:,} days moved to another segment, {len(ctx.changes) - len(held):,} removed"
        )
    if judged:
        ctx.load.reporter.line(f"{judged:,} days were compared with a new day bar")
    if keys := sorted({*ctx.changes, *find_lagging(ctx.ledger, before)}):
        yield [Unit("tick_index", tuple(map(key_text, keys)))]


def _fetch(ctx: Context) -> Iterator[Sequence[Unit]]:
    failed, named = ctx.no_data.failed, ctx.named
    if named:  # these alone, whatever is stored
        check_history(ctx)
        days = [day for key, day in ctx.schedule.items() if key_text(key) in named]
        if unknown := sorted(named - {key_text(day.key) for day in days}):
            many = f"{len(unknown):,} of {len(named):,} requested days"
            ctx.load.warn(f"{many} are not in the schedule: {unknown[0]}")
    else:
        days = _requested_days(ctx)
        if days and not check_history(ctx):
            days = select_obtainable(ctx, days)
    for step in filter(None, order_days(days, ctx.index.rows, failed)):
        yield _units(ctx, step)
        yield from _change_days(ctx, {})


def _requested_days(ctx: Context) -> list[Scheduled]:
    """The days to download that the request means."""
    schedule = [day for day in ctx.schedule.values() if _is_requested(ctx, day)]
    if ctx.refetches and not schedule:
        ctx.load.warn("none of the days to reload are in the schedule")
    return find_due_days(
        schedule,
        ctx.index.rows,
        ctx.no_data.checked_at,
        ctx.settled_days,
        as_of=ctx.as_of,
        others={day.key for day in schedule} if ctx.refetches else (),
    )


def _is_requested(ctx: Context, day: Scheduled) -> bool:
    request = ctx.load.request
    first, last = request.since or date.min, request.until or date.max
    if named := request.options.get("date"):
        settled = ctx.settled_days.get(day.variety) or date.min
        first = last = settled if named == NEWEST_DAY else date.fromisoformat(named)
    varieties = request.keys or tuple(ctx.settings.varieties)
    return day.variety in varieties and first <= day.trading_day <= last


def _units(ctx: Context, days: Sequence[Scheduled]) -> list[Unit]:
    """Tasks of whole trading days over all varieties, the oldest first; each makes its minutes."""
    in_order = sorted(days, key=lambda day: (day.trading_day, day.symbol))
    trading_days = [list(same) for _, same in groupby(in_order, key=lambda day: day.trading_day)]
    parts = [[*chain(*part)] for part in split_days(trading_days, TASK_KEYS, len)]
    makes_minutes = "tick_minute" in (ctx.load.request.datasets or TICK_DATASETS)
    return [
        Unit(
            "ticks",
            tuple(key_text(day.key) for day in part),
            follow=partial(_due_minutes, ctx, part) if makes_minutes else None,
        )
        for part in parts
    ]


def _due_minutes(ctx: Context, days: Sequence[Scheduled]) -> Unit | None:
    keys = tick_minute.list_due_keys(ctx, [day.key for day in days])
    return Unit("tick_minute", keys) if keys else None


def _find_no_data(ctx: Context) -> tuple[str, ...]:
    """Days without data whose landed copies are not as the store's record."""
    rows, copies = ctx.no_data.on_record, ctx.no_data_copies
    wanted = {key: copy_no_data(row) for key, row in rows.items()}
    keys = sorted(wanted.keys() | copies.keys())
    return tuple(key_text(key) for key in keys if wanted.get(key) != copies.get(key))
