"""The lane of ticks: bring the store in line with the schedule that dbt built.

    schedule to the store ▶ ledger changes without a download ▶ revised days ▶ changes that these
    allow ▶ missing days ▶ days that gave nothing before; days without data are copied before and
    after

What to do is a pure function of schedule, ledger and days without data
(loaders.tq.tick_days.backlog). Each change of the store is followed by its ledger row, and the
ledger is read again after it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta

import pyarrow as pa

from loaders.engine.source import Unit
from loaders.ticks.frame import DayKey
from loaders.ticks.store import SCHEDULE, IndexRow, StoreError
from loaders.tq import landed
from loaders.tq.context import Context
from loaders.tq.request import TICK_DATASETS
from loaders.tq.tick_days.backlog import (
    Backlog,
    find_backlog,
    find_changes,
    find_store_changes,
    order_days,
)
from loaders.tq.tick_days.ledger import read_corrected_days, read_ledger, read_no_data
from loaders.tq.tick_days.recent_ticks import check_history, select_obtainable
from loaders.tq.tick_days.schedule import (
    COLUMNS,
    Scheduled,
    key_text,
    read_schedule,
    read_settled_days,
)

NOTHING_BUILT = "no schedule is built yet: `quotemill build` or `dbt build` makes it"
FEW = 20  # days that a store may lack before it is taken for the wrong one


def plan_ticks(ctx: Context) -> Iterator[Sequence[Unit]]:
    """The tasks of a load of ticks.

    Raises StoreError where a table of the store is suspended, before and after all, and where the
    store is not the one of earlier loads; SettingsError where it serves another warehouse.
    """
    assert ctx.store is not None
    schema = ctx.load.warehouse.inner_schema("futures")
    schedule = ctx.ask(lambda conn: read_schedule(conn, schema))
    if not schedule:
        ctx.load.reporter.line(NOTHING_BUILT)
        return
    ctx.store.prepare()
    _require_sound_store(ctx)
    ctx.symbols = frozenset(day.symbol for day in schedule)
    ctx.days = ctx.ask(landed.trading_days)
    ctx.schedule = {day.key: day for day in schedule}
    ctx.settled_days = ctx.ask(read_settled_days)
    _read_ledger(ctx)
    ctx.stored = {row.key: row for row in ctx.store.index(ctx.symbols)}
    if ctx.load.request.datasets is None:
        _require_same_store(ctx)
    datasets = ctx.load.request.datasets or TICK_DATASETS
    ctx.store.put_schedule(_schedule_table(schedule))
    yield from _change_ledger(ctx, ctx.stored)
    corrected = ctx.ask(lambda conn: read_corrected_days(conn, ctx.symbols))
    _take_back_records(ctx, corrected)
    if "no_data_day" in datasets:  # those of a load that was ended early
        yield from _copy_no_data(ctx)
    if "ticks" in datasets:
        yield from _fetch(ctx, corrected)
    if "no_data_day" in datasets:
        yield from _copy_no_data(ctx)
    _require_sound_store(ctx)


def _change_ledger(
    ctx: Context, stored: Mapping[DayKey, IndexRow] | None = None
) -> Iterator[Sequence[Unit]]:
    """Restamp days and take out outgrown ones; `stored`: as in find_changes."""
    schedule = list(ctx.schedule.values())
    ctx.changes = find_changes(schedule, ctx.ledger, ctx.no_data.checked_at, stored)
    if not ctx.changes:
        return
    taken_out, restamped = find_store_changes(ctx.changes, ctx.stored)
    if taken_out or restamped:
        ctx.load.reporter.line(
            f"{len(restamped):,} days were stamped with another segment, "
            f"{len(taken_out):,} taken out"
        )
    yield [Unit("tick_index", tuple(map(key_text, ctx.changes)))]
    _read_ledger(ctx)


def _read_ledger(ctx: Context) -> None:
    ctx.ledger = ctx.ask(lambda conn: read_ledger(conn, ctx.symbols))


def _fetch(ctx: Context, corrected: frozenset[DayKey]) -> Iterator[Sequence[Unit]]:
    failed, named = ctx.no_data.failed, _named_keys(ctx)
    if not _requested_keys(ctx):  # a repair takes any answer
        ctx.corrected = corrected
    if named:  # these alone, whatever is stored
        check_history(ctx)
        days = [day for key, day in ctx.schedule.items() if key_text(key) in named]
        for step in filter(None, order_days(Backlog([], days), failed)):
            yield _units(step)
        return
    backlog = _requested_backlog(ctx, corrected)
    if (backlog.revised or backlog.missing) and not check_history(ctx):
        taken = set(select_obtainable(ctx, [*backlog.revised, *backlog.missing]))
        backlog = Backlog(
            [day for day in backlog.revised if day in taken],
            [day for day in backlog.missing if day in taken],
        )
    revised, missing, again = order_days(backlog, failed)
    for days in (revised, missing, again):
        if days:
            yield _units(days)
        if set(days) & set(backlog.revised):
            _read_ledger(ctx)
            yield from _change_ledger(ctx)


def _requested_backlog(ctx: Context, corrected: Collection[DayKey]) -> Backlog:
    """The days to download that the request means."""
    backlog = find_backlog(
        list(ctx.schedule.values()),
        ctx.ledger,
        ctx.no_data.checked_at,
        ctx.settled_days,
        as_of=ctx.as_of,
        recheck_after=timedelta(days=ctx.settings.recheck_after),
        corrected=corrected,
    )
    request = ctx.load.request
    varieties = request.keys or tuple(ctx.settings.varieties)
    first, last = request.since or date.min, request.until or date.max

    def select(days: Sequence[Scheduled]) -> list[Scheduled]:
        return [d for d in days if d.variety in varieties and first <= d.trading_day <= last]

    return Backlog(select(backlog.revised), select(backlog.missing))


def _units(days: Sequence[Scheduled]) -> list[Unit]:
    """A task for each variety."""
    varieties = dict.fromkeys(day.variety for day in days)
    return [
        Unit("ticks", tuple(key_text(day.key) for day in days if day.variety == variety))
        for variety in varieties
    ]


def _named_keys(ctx: Context) -> set[str]:
    """Contract-days that a request or retry names; a retry without a day has none."""
    retried = [task for task in ctx.load.retried or () if task.dataset == "ticks"]
    return {key for task in retried for key in task.keys} or _requested_keys(ctx)


def _requested_keys(ctx: Context) -> set[str]:
    return {key for key in ctx.load.request.keys or () if " " in key}


def _take_back_records(ctx: Context, corrected: Collection[DayKey]) -> None:
    """Take back no-data records of complete days, which an ended load left.

    Doubts about a corrected day stay: they count the loads that asked for it once more.
    """
    ctx.no_data.take_back(
        key
        for key, row in list(ctx.no_data.rows.items())
        if ctx.is_complete(key) and (row.status == "no_data" or key not in corrected)
    )


def _copy_no_data(ctx: Context) -> Iterator[Sequence[Unit]]:
    """Bring the landed copy of the days without data in line with the store's record."""
    copies = ctx.ask(lambda conn: read_no_data(conn, ctx.symbols))
    rows = {key: row for key, row in ctx.no_data.rows.items() if row.status == "no_data"}
    changed = [
        key
        for key, row in rows.items()
        if key not in copies or any(getattr(row, n) != v for n, v in copies[key].items())
    ]
    if keys := sorted([*changed, *(copies.keys() - rows.keys())]):
        yield [Unit("no_data_day", tuple(map(key_text, keys)))]


def _schedule_table(schedule: Sequence[Scheduled]) -> pa.Table:
    columns = dict(zip(COLUMNS, zip(*schedule, strict=True), strict=True))
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEDULE]
    return pa.table(arrays, schema=SCHEDULE)


def _require_same_store(ctx: Context) -> None:
    """Raise StoreError where most stored days are gone: all would be fetched again."""
    assert ctx.store is not None
    complete = {key for key in ctx.ledger if ctx.is_complete(key)}
    lost = len(complete - ctx.stored.keys())
    if lost > FEW and lost * 2 > len(complete):
        raise StoreError(
            f"the tick store ({ctx.store.label}) lacks {lost:,} of {len(complete):,} days that "
            "were stored: is it the right one?",
            hint="QUOTEMILL_QUESTDB_URL names the store; if it is right, `loaders run tq --dataset "
            "tick_index` records what is lacking, and the next load fetches it",
        )


def _require_sound_store(ctx: Context) -> None:
    assert ctx.store is not None
    if problems := ctx.store.check():
        raise StoreError(
            f"the tick store ({ctx.store.label}) is not sound: {problems[0]}",
            hint="; ".join(problems[1:]) or "fix it, then run again: nothing is lost",
        )
