"""Dataset `ticks`: ticks of scheduled contract-days into the tick store, their index row into the warehouse.

Keys are `KQ.m@SHFE.cu SHFE.cu2601 2025-11-25`. A day is fetched, sifted, written, awaited and read back,
then its row of the store's index is written, and only then its outcome is yielded. Whatever is killed in
between is done again: the store replaces a day as one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from loaders.engine.outcome import Outcome, Stopped, records
from loaders.errors import DataQualityError, UpstreamError
from loaders.ticks.frame import day_frame
from loaders.ticks.store import IndexRow, StoreError
from loaders.tq import stored
from loaders.tq.client.answers import DayRange, TickAnswer
from loaders.tq.context import Context, Dataset, gone, said
from loaders.tq.errors import TqPermissionError, TqTimeout, TqTransport, UnknownSymbol
from loaders.tq.tables import SYMBOL_DAY, TICK_REVISION
from loaders.tq.tick_days.backlog import Scheduled, key_text, parsed_key
from loaders.tq.tick_days.completeness import lacking, rank, told
from loaders.tq.tick_days.conversion import outside, ticks_of
from loaders.tq.tick_days.fetch import OF_A_DAY, NotAsked, answers
from loaders.tq.tick_days.index_rows import revision, row_of
from loaders.tq.tick_days.no_data_days import given_up, is_given_up, not_counted, without_ticks
from loaders.tq.tick_days.recent_ticks import NEWEST, NO_ANSWER, NO_PERMISSION, newest
from loaders.tq.tick_days.unimproved_days import kept
from loaders.tq.trading_day import bounds, sessions_on, spans
from loaders.warehouse.postgres import WarehouseAway

HISTORY, NEWEST_ROUTE = "ticks", "recent_ticks"


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    assert run.store is not None
    days = [run.schedule[parsed_key(key)] for key in keys]
    nothing: Iterable[tuple[Scheduled, None]] = ((day, None) for day in days)
    for day, answer in answers(run, days) if run.history else nothing:
        found = _outcome(run, day, answer)
        yield found
        if found.gone is not None:
            return


def _outcome(run: Context, day: Scheduled, answer: TickAnswer | Exception | None) -> Outcome:
    """`answer`: None where the account may not have one."""
    key = key_text(day.key)
    try:
        return _recent(run, day) if answer is None else _by_history(run, day, answer)
    except (Stopped, StoreError, WarehouseAway):
        raise
    except NotAsked as error:
        return Outcome(key, failure=said(error))
    except TqTimeout as error:
        return (given_up if run.history_gave else not_counted)(run, day, said(error))
    except (*OF_A_DAY, UnknownSymbol) as error:
        return given_up(run, day, said(error))
    except TqTransport as error:
        return Outcome(key, failure=said(error), gone=gone(error))
    except (UpstreamError, DataQualityError) as error:
        return given_up(run, day, said(error))


def _by_history(run: Context, day: Scheduled, answer: TickAnswer | Exception) -> Outcome:
    """Either session may be told that the account may not: it may lose the permission in between."""
    try:
        if isinstance(answer, Exception):
            raise answer
        if not answer.rows or lacking(_volumes(answer), _traded(run, day)):
            answer = _asked_again(run, day, answer)
    except TqPermissionError:
        return _recent(run, day)
    if not answer.rows:
        stays = kept(run, day, None, HISTORY)
        return stays or without_ticks(run, day, answer, _traded(run, day))
    return _landed(run, day, _taken(answer), HISTORY)


def _landed(run: Context, day: Scheduled, ticks: pa.Table, route: str) -> Outcome:
    """Write a day, then its index row; the outcome that lands the copy of that."""
    assert run.store is not None
    key = day.key
    start, end = bounds(day.trading_day, run.days)
    sifted = ticks_of(ticks, key, start, end)
    if not sifted.ticks.num_rows:
        raise DataQualityError(f"all {sifted.refused:,} ticks of the day are refused")
    run.history_gave = run.history_gave or route == HISTORY
    newest = day.trading_day == run.settled_days.get(day.variety)
    # a variety that is traded no more has its newest day for ever
    waited = run.today - day.trading_day >= timedelta(days=run.settings.recheck_after)
    traded = _traded(run, day)
    run.ledgers.came([key])
    if newest and not waited and (lack := lacking(sifted.ticks, traded)):
        return Outcome(key_text(key), failure=f"{lack}: not complete yet", rejected=sifted.rejected)
    if stays := kept(run, day, sifted.ticks, route):
        return stays
    _look(run, day, sifted.ticks, route)
    frame = day_frame(sifted.ticks, key, segment_id=day.segment_id, schedule_hash=day.schedule_hash)
    _unlisted(run, day)
    measured = run.store.write_day(frame)
    assert measured.first_ts is not None
    assert measured.last_ts is not None
    row = IndexRow(
        *(key.symbol, key.contract, key.trading_day, day.segment_id, day.schedule_hash),
        *(measured.rows, measured.first_ts, measured.last_ts, measured.hash_a, measured.hash_b),
        *(measured.row_hash, measured.book_levels),
        run_id=str(run.load.job_id),
        updated_at=run.load.clock(),
        volume=told(sifted.ticks),
        day_volume=traded,
    )
    run.ledgers.landed(row)
    record = row_of(row, route, run.load.clock())
    old = run.copies.get(key)
    changed = old is not None and old["row_hash"] != row.row_hash
    beside = [revision(old, day, row.row_hash, run.load.clock())] if changed and old else []
    run.copies[key] = record
    return Outcome(
        key_text(key),
        [record],
        sifted.rejected,
        cursor=day.trading_day,
        cursor_key=day.symbol,
        beside=beside,
    )


def _unlisted(run: Context, day: Scheduled) -> None:
    """Take what the day holds of other contracts out of the store's index before its ticks go.

    Between the two writes the day is missing. Left complete, a schedule that goes back to the old
    contract after a stop here would find a complete day without a tick. The copy is not touched: it
    differs from the index from now on, so that the revision lands with it."""
    for key in run.contracts_of_day.get((day.symbol, day.trading_day), ()):
        if key.contract != day.contract and run.copies[key]["status"] == "complete":
            run.ledgers.supersede(key)


def _taken(answer: TickAnswer) -> pa.Table:
    assert answer.path is not None
    table = pq.read_table(answer.path)
    answer.path.unlink()
    return table


def _asked_again(run: Context, day: Scheduled, first: TickAnswer) -> TickAnswer:
    """The better one of this answer and another session's: nothing is taken for missing on one word.

    Raises UpstreamError where only the first has ticks: then there is no knowing which one is right. Where the
    day would go on record as one without any, its ticks are taken all the same."""
    try:
        with run.another() as harvest:
            [second] = harvest.ticks(day.contract, [_range(run, day)])
            if second.path is not None:  # the harvest takes its folder away
                kept = second.path.replace(run.kept / f"again {second.path.name}")
                second = replace(second, path=kept)
    except BaseException:
        _dropped(first)
        raise
    if first.rows and not second.rows:
        one_alone = "one session had ticks of the day, another none"
        if not is_given_up(run, day):
            _dropped(first)
            raise UpstreamError(one_alone)
        run.load.warn(f"{day.contract} {day.trading_day}: {one_alone}, in the end too")
        return first
    traded = _traded(run, day)
    if first.rows and rank(_volumes(first), traded) > rank(_volumes(second), traded):
        first, second = second, first
    _dropped(first)
    seen = first.more_days_had_rows and second.more_days_had_rows
    return replace(second, more_days_had_rows=seen)


def _volumes(answer: TickAnswer) -> pa.Table:
    assert answer.path is not None
    return pq.read_table(answer.path, columns=["volume"])


def _dropped(answer: TickAnswer) -> None:
    if answer.path is not None:
        answer.path.unlink(missing_ok=True)


def _range(run: Context, day: Scheduled) -> DayRange:
    return DayRange(day.trading_day, *bounds(day.trading_day, run.days))


def _traded(run: Context, day: Scheduled) -> int | None:
    return run.ask(lambda conn: stored.volume(conn, day.contract, day.trading_day))


def _look(run: Context, day: Scheduled, ticks: pa.Table, route: str) -> None:
    """Say what is odd about a day that lands all the same."""
    if lack := lacking(ticks, _traded(run, day)):
        seen = "the best of two sessions" if route == HISTORY else f"of the newest {NEWEST:,} ticks"
        run.load.warn(f"{day.contract} {day.trading_day}: {lack}, {seen}: landed as it is")
    versions = run.ask(lambda conn: stored.sessions(conn, day.variety))
    held = spans(day.trading_day, sessions_on(day.trading_day, versions), run.days)
    if strays := outside(ticks["datetime_ns"].to_numpy(), held):
        text = f"{day.contract} {day.trading_day}: {strays:,} ticks outside of today's hours"
        run.load.log("info", text, {"ticks": strays})


def _recent(run: Context, day: Scheduled) -> Outcome:
    """Without the permission: of the newest ticks, where these hold the day from its beginning on."""
    try:
        ticks = newest(run, day.contract).get(day.trading_day)
    except NO_ANSWER as error:  # of no day, and nothing is put on record without the permission
        return Outcome(key_text(day.key), failure=f"newest ticks: {said(error)}")
    if ticks is None:
        return Outcome(key_text(day.key), skipped=NO_PERMISSION)
    return _landed(run, day, ticks, NEWEST_ROUTE)


DATASET = Dataset(
    "ticks",
    SYMBOL_DAY,
    HISTORY,
    fetch,
    records,
    part="ticks",
    key_of=lambda row: str(row["symbol"]),
    beside=TICK_REVISION,
)
