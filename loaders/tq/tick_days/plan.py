"""The lane of ticks: bring the store in line with the schedule that dbt built.

schedule to the store ▶ restamp ▶ outgrown days out ▶ copy of the index ▶ revised days ▶ outgrown
days out ▶ missing days ▶ days without data
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta

import pyarrow as pa

from loaders.engine.source import Unit
from loaders.ticks.frame import DayKey
from loaders.ticks.store import SCHEDULE, StoreError
from loaders.tq import stored
from loaders.tq.context import Context
from loaders.tq.tick_days import index_rows
from loaders.tq.tick_days.backlog import (
    COLUMNS,
    Backlog,
    Scheduled,
    backlog,
    key_of,
    key_text,
    read_schedule,
    settled_days,
)
from loaders.tq.tick_days.recent_ticks import has_history, obtainable

NOTHING_BUILT = "no schedule is built yet: `quotemill build` or `dbt build` makes it"

FEW = 20  # days that a store may lack without a word: they are fetched again


def ticks_plan(run: Context) -> Iterator[Sequence[Unit]]:
    """Raises StoreError where a table of the store is suspended, before and after all, and where the
    store is not the one of the loads before; SettingsError where a series follows another warehouse."""
    assert run.store is not None
    schema = run.load.warehouse.inner_schema("futures")
    schedule = run.ask(lambda conn: read_schedule(conn, schema))
    if not schedule:
        run.load.reporter.line(NOTHING_BUILT)
        return
    run.store.prepare()
    _sound(run)
    run.symbols = frozenset(day.symbol for day in schedule)
    run.days = run.ask(stored.trading_days)
    run.schedule = {day.key: day for day in schedule}
    run.settled_days = run.ask(settled_days)
    run.copies = run.ask(lambda conn: index_rows.copies(conn, run.symbols))
    if run.load.request.datasets is None:
        _same_store(run)
    wanted = run.load.request.datasets or ("ticks", "tick_index", "no_data_day")
    _put_schedule(run, schedule)
    _keep_in_line(run, schedule)
    outdated = run.ask(lambda conn: index_rows.outdated(conn, run.symbols))
    _not_without(run, outdated)
    yield from _copied(run)
    if "no_data_day" in wanted:  # what a load that was ended left
        yield from _no_data_copied(run)
    if "ticks" in wanted:
        yield from _fetched(run, schedule)
    if "no_data_day" in wanted:
        yield from _no_data_copied(run)
    _sound(run)


def _fetched(run: Context, schedule: Sequence[Scheduled]) -> Iterator[Sequence[Unit]]:
    outdated = run.ask(lambda conn: index_rows.outdated(conn, run.symbols))
    found = _backlog(run, schedule, outdated)
    asked = _asked_for(run, schedule)
    if not _named(run):  # a repair takes what comes
        run.outdated = outdated
    revised, missing = _chosen(run, found.revised), _chosen(run, found.missing)
    if asked is not None:  # just these, whatever is there
        has_history(run)
        for days in filter(None, _fresh_and_again(run, asked)):
            yield _units(days)
        return
    if (revised or missing) and not has_history(run):
        revised, missing = obtainable(run, [*revised, *missing]), []
    revised, revised_again = _fresh_and_again(run, revised)
    missing, missing_again = _fresh_and_again(run, missing)
    for days, are_revised in (
        (revised, bool(revised)),
        (missing, False),
        ([*revised_again, *missing_again], bool(revised_again)),
    ):
        if days:
            yield _units(days)
        if are_revised:
            _keep_in_line(run, schedule)
            yield from _copied(run)


def _fresh_and_again(
    run: Context, days: Sequence[Scheduled]
) -> tuple[list[Scheduled], list[Scheduled]]:
    """Days that gave nothing before come last: two of them in a row may end the load, and by then it knows
    whether the history gives any."""
    fresh = [day for day in days if not run.ledgers.without(day.key)]
    return fresh, [day for day in days if run.ledgers.without(day.key)]


def _units(days: Sequence[Scheduled]) -> list[Unit]:
    """A task for each variety."""
    varieties = dict.fromkeys(day.variety for day in days)
    return [
        Unit("ticks", tuple(key_text(day.key) for day in days if day.variety == variety))
        for variety in varieties
    ]


def _asked_for(run: Context, schedule: Sequence[Scheduled]) -> list[Scheduled] | None:
    """The contract-days that a request or a retry names; None where it names none, as the retry of a
    load that ended before its first day."""
    failed = [
        key for task in run.load.retried or () if task.dataset == "ticks" for key in task.keys
    ]
    if not (keys := set(failed or _named(run))):
        return None
    return [day for day in schedule if key_text(day.key) in keys]


def _named(run: Context) -> list[str]:
    return [key for key in run.load.request.keys or () if " " in key]


def _chosen(run: Context, days: Sequence[Scheduled]) -> list[Scheduled]:
    """Those that the request means."""
    request, varieties = run.load.request, run.load.request.keys or tuple(run.settings.varieties)
    return [
        day
        for day in days
        if day.variety in varieties
        and (request.since is None or day.trading_day >= request.since)
        and (request.until is None or day.trading_day <= request.until)
    ]


def _keep_in_line(run: Context, schedule: Sequence[Scheduled]) -> None:
    """Restamp, and take out what the schedule has outgrown, without a fetch."""
    found = _backlog(run, schedule)
    for (symbol, contract), stamps in found.restamps.items():
        run.ledgers.restamp(symbol, contract, stamps)
    for row in found.outgrown:
        run.ledgers.supersede(key_of(row))
    stamped = sum(map(len, found.restamps.values()))
    if stamped or found.outgrown:
        run.load.reporter.line(
            f"{stamped:,} days were stamped with another segment, {len(found.outgrown):,} taken out"
        )


def _not_without(run: Context, outdated: Collection[DayKey]) -> None:
    """Take back what says of complete days that they have no ticks: a stop came in between, or an earlier
    version left it. Only of what was asked for once more the doubts are kept."""
    run.ledgers.came(
        key
        for key, row in list(run.ledgers.empty.items())
        if run.ledgers.is_complete(key) and (row.status == "no_data" or key not in outdated)
    )


def _copied(run: Context) -> Iterator[Sequence[Unit]]:
    if keys := index_rows.differing(run.ledgers.index, run.copies):
        yield [Unit("tick_index", tuple(map(key_text, keys)))]


def _no_data_copied(run: Context) -> Iterator[Sequence[Unit]]:
    copies = run.ask(lambda conn: index_rows.no_data_copies(conn, run.symbols))
    if keys := index_rows.differing_no_data(run.ledgers.empty, copies):
        yield [Unit("no_data_day", tuple(map(key_text, keys)))]


def _backlog(
    run: Context, schedule: Sequence[Scheduled], outdated: Collection[DayKey] = ()
) -> Backlog:
    recheck = timedelta(days=run.settings.recheck_after)
    held, empty = list(run.ledgers.index.values()), list(run.ledgers.empty.values())
    return backlog(schedule, held, empty, run.settled_days, run.began, recheck, outdated)


def _put_schedule(run: Context, schedule: Sequence[Scheduled]) -> None:
    """The store has the schedule that dbt built, row by row."""
    assert run.store is not None
    columns = list(zip(*schedule, strict=True))
    rows = {name: list(column) for name, column in zip(COLUMNS, columns, strict=True)}
    run.store.put_schedule(
        pa.table([pa.array(rows[field.name], field.type) for field in SCHEDULE], schema=SCHEDULE)
    )


def _same_store(run: Context) -> None:
    """Raises StoreError where most of what was stored is not there: it would all be fetched again."""
    assert run.store is not None
    complete = {key for key, row in run.copies.items() if row["status"] == "complete"}
    lost = len(complete - run.ledgers.index.keys())
    if lost > FEW and lost * 2 > len(complete):
        raise StoreError(
            f"the tick store ({run.store.label}) lacks {lost:,} of {len(complete):,} days that were "
            "stored: is it the right one?",
            hint="QUOTEMILL_QUESTDB_URL names the store; if it is, `loaders run tq --dataset tick_index` "
            "puts what is lacking on record, and the next load fetches it",
        )


def _sound(run: Context) -> None:
    assert run.store is not None
    if problems := run.store.check():
        raise StoreError(
            f"the tick store ({run.store.label}) is not sound: {problems[0]}",
            hint="; ".join(problems[1:]) or "mend it, then run again: nothing is lost",
        )
