"""Day bars of the client's files: which files have changed, and which bars land.

A file that was not written since the last read is not opened; its state is in the cursor, after the
day. From a file that grew, the new records and an overlap are read. The whole file is read where
these do not join what is stored, or are fewer than the file grew by (it grew at its head), or where
the file did not grow. A file of which only the time differs, such as a copy, is not read again. A
file that lacks stored days within its own span is refused.

Where a file and the service have the same day, the bar that was known later stays, as for any two
bars, and of volumes that agree the finer one (loaders.landing.volumes). A file's bars count as
known when the file was last written. The service is not asked for days that a file has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import plausibility, records
from loaders.tdx.bars.records import Ints, Records
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.context import Context
from loaders.tdx.files import vipdoc
from loaders.tdx.files.written import State, make_cursor, state_in
from loaders.tdx.losses import Loss, judge_loss
from quotemill.errors import DataQualityError

PERIOD = "day"
NO_FILE = "the client's folder has no file for it"
ROUTE = "vipdoc/lday"
TWO_CLOSES = "close of two sources"  # a stored row does not resolve it in qa_rejected_rows
AGREE = "the client's file and the service must agree: the later bar is kept"


@dataclass(frozen=True)
class DayFiles:
    """The files of some keys.

    resource: the landed table, which is the dataset's name
    states: state of each file when it was last read, by key
    due: files to read, by key
    """

    ctx: Context
    resource: str
    states: Mapping[str, State]
    due: Mapping[str, Path]

    @classmethod
    def select(cls, ctx: Context, resource: str, keys: Iterable[str]) -> "DayFiles":
        window = ctx.window
        again = window.reads_again
        cursors, files = ctx.load.cursors(resource), ctx.day_files
        states, due = dict[str, State](), dict[str, Path]()
        for key in keys:
            if (path := files.get(key)) is None:
                continue
            before = state_in(cursors.get(key))
            if before is not None and not again:
                states[key] = before
            if again or before is None or State.try_read(path) != before:
                due[key] = path
        return cls(ctx, resource, states, due)

    def outcome(self, key: str, cursor: date | None, stored: Stored | None) -> Outcome:
        """The bars of a file that land, or the reason why none does."""
        if key not in self.due:
            return Outcome(key, skipped=NOT_DUE if key in self.ctx.day_files else NO_FILE)
        try:
            return self._read_file(key, cursor, stored)
        except DataQualityError as error:
            return Outcome(key, failure=str(error))

    def _read_file(self, key: str, cursor: date | None, stored: Stored | None) -> Outcome:
        ctx, window, path = self.ctx, self.ctx.window, self.due[key]
        kind, before = ctx.instrument_type(key), self.states.get(key)
        if cursor is None and kind != "index" and not vipdoc.has_trade(path):
            return Outcome(key, skipped=f"{path.name} {vipdoc.UNTRADED}")
        now = State.try_read(path)
        if before and now and cursor and now.size == before.size:
            is_final = (vipdoc.last_day(path, ctx.clock()) or date.max) <= cursor
            if is_final and (same := before.unchanged(path)):
                return Outcome(key, skipped=NOT_DUE, cursor=make_cursor(cursor, same))
        read = partial(vipdoc.read_bars, path, key, kind, PERIOD, ctx.clock(), before=before)
        file = None
        if before and now and stored and cursor and now.size > before.size:
            grown = (now.size - before.size) // vipdoc.SIZE
            file = read(newest=grown + window.overlap)
            # only the whole file shows whether the day of a misplaced record is free
            is_irregular = file.disorder or file.rejected
            if is_irregular or not _joins(file.bars, cursor, stored, grown):
                file = None
            else:  # what is older was read before
                oldest = min(stored.closes, default=date.min)
                file = file._replace(bars=between(file.bars, oldest, date.max))
        file = file or read()
        if file.warning:
            ctx.file_notes.add(vipdoc.UNFINISHED, f"{file.warning}. The rest is loaded")
        if file.disorder:
            ctx.file_notes.add(vipdoc.DISORDERED, file.disorder)
        if before and file.state.size < before.size:
            shrank = f"{path.name} shrank from {before.size:,} to {file.state.size:,} bytes"
            ctx.file_notes.add("shrank", f"{shrank}. Stored rows are kept")
        bars = file.bars
        if ctx.load.as_of is not None:  # bars after that time are no fault of the file
            bars = bars[bars["day"] <= records.to_number(window.today)]
        good, rejected = plausibility.check(key, bars, PERIOD, window)
        place = f"{ROUTE}/{path.name}"
        rejected = [replace(row, source_route=place) for row in (*file.rejected, *rejected)]
        if file.nonsense:
            return Outcome(key, failure=f"{path.name}: {file.nonsense}", rejected=rejected)
        if not len(good):
            if len(bars) or rejected:
                return Outcome(
                    key, failure=f"{path.name}: {plausibility.ALL_BROKEN}", rejected=rejected
                )
            return self._without_bars(key, cursor, before)
        if stored:
            if refusal := self._judge_days(path, before, good, stored.closes):
                return Outcome(key, failure=refusal, rejected=rejected)
            others = stored.closes_by(lambda route: route != ROUTE)
            rejected += list_contradictions(key, good, others, ROUTE)
        whole = len(good) + len(file.bars) - len(bars)
        good["final"] = records.final_in_file(good)
        if not good["final"][-1] and file.state.day < (
            newest_bar := records.to_date(good["day"][-1])
        ):
            early = (
                f"{path.name} was written on {file.state.day}, before its latest day {newest_bar}"
            )
            ctx.file_notes.add(
                "were written before their latest day",
                f"{early}, so that day is provisional: set the file time to the time of download",
            )
        first = date.min if stored else window.since or date.min
        good = between(good, first, window.until or date.max)
        none = f"{path.name} has no bars for these days"
        outcome = records.outcome(key, good, rejected, skipped=none)
        known = window.day_numbers
        if stored:  # nobody was suspended on a stored day that the file lacks
            absent = np.setdiff1d(records.to_numbers(stored.closes), good["day"])
            known = known[~np.isin(known, absent)] if len(absent) else known
        outcome = replace(outcome, beside=list_gaps(key, good, known))
        if outcome.cursor is None:
            return outcome
        assert isinstance(outcome.cursor, date)
        newest_day = max(outcome.cursor, cursor or date.min)
        # without the state, a later load reads the bars left out today
        state = file.state if len(good) == whole else None
        return replace(outcome, cursor=make_cursor(newest_day, state))

    def _without_bars(self, key: str, cursor: date | None, before: State | None) -> Outcome:
        """The outcome of an empty file: a failure if it had bars, unless their loss is accepted."""
        name = self.due[key].name
        skip = Outcome(key, skipped=f"{name} has no bars")
        if before is None or before.size < vipdoc.SIZE:
            return skip
        skip = replace(skip, cursor=cursor)
        if self.ctx.service is not None:  # its bars are taken
            return skip
        had = before.size // vipdoc.SIZE
        loss = Loss(name, had, had, "bars read before")
        refusal = judge_loss(self.ctx.load, self.resource, loss)
        return Outcome(key, failure=refusal) if refusal else skip

    def _judge_days(
        self, path: Path, before: State | None, bars: Records, stored: Iterable[date]
    ) -> str | None:
        """The refusal of a file that lacks too many of the newest stored days within its span."""
        first, last = (records.to_date(bars["day"][at]) for at in (0, -1))
        within = {day for day in stored if first <= day <= last}
        lost = within.difference(records.to_dates(bars["day"][records.in_days(bars, within)]))
        if lost and before is not None and before.begins(path):
            return None  # of a file that grew since: this was judged then
        loss = Loss(path.name, len(lost), len(within), "stored days", str(min(lost, default="")))
        return judge_loss(self.ctx.load, self.resource, loss)

    def fill_gaps(self, in_file: Outcome, answer: Outcome, stored: Stored | None) -> Outcome:
        """The bars of a file, and the service's bars of days that the file lacks."""
        window, key = self.ctx.window, answer.key
        ours: Records = in_file.rows if in_file.rows is not None else records.empty()
        theirs: Records = answer.rows if answer.rows is not None else records.empty()
        closes = stored.closes_by(lambda route: route == ROUTE) if stored else {}
        newest = ours[ours["final"]][-window.overlap :]
        closes |= dict(zip(records.to_dates(newest["day"]), newest["close"].tolist(), strict=True))
        known_days = np.isin(theirs["day"], ours["day"]) | records.in_days(theirs, closes)
        rejected = [*in_file.rejected, *answer.rejected]
        if len(theirs):
            route = records.ROUTES[theirs["route"][0]]
            rejected += list_contradictions(key, theirs, closes, route)
        bars = records.merge_bars(ours, theirs[~known_days])
        outcome = records.outcome(
            key,
            bars,
            rejected,
            failure=answer.failure,
            skipped=answer.skipped or in_file.skipped,
            fallback=in_file.failure and f"{ROUTE} → the service: {in_file.failure}",
        )
        outcome = replace(outcome, gone=answer.gone)
        reached = [day for day in (outcome.cursor, reached_day(in_file)) if isinstance(day, date)]
        state = state_in(str(in_file.cursor or "")) or self.states.get(key)
        cursor = make_cursor(max(reached), state) if reached else None
        return replace(outcome, cursor=cursor, beside=[*in_file.beside, *answer.beside])


def reached_day(outcome: Outcome) -> date | None:
    """The day that a file's outcome has reached; None if its cursor does not move."""
    return date.fromisoformat(str(outcome.cursor)[:10]) if outcome.cursor else None


def between(bars: Records, first: date, last: date) -> Records:
    days = bars["day"]
    return records.select(
        bars, (days >= records.to_number(first)) & (days <= records.to_number(last))
    )


def _joins(bars: Records, cursor: date, stored: Stored, grown: int) -> bool:
    """Whether the tail of a file joins what is stored.

    It must reach back to `cursor`, have the stored closes and hold all `grown` new records.
    """
    if not len(bars) or bars["day"][0] > records.to_number(cursor):
        return False
    # the service may have filled in days since; these are new in the file
    had = max(stored.closes_by(lambda route: route == ROUTE), default=cursor)
    if np.count_nonzero(bars["day"] > records.to_number(min(had, cursor))) < grown:
        return False
    return not _other_closes(bars, stored.closes)


def _other_closes(bars: Records, closes: Mapping[date, int]) -> dict[date, int]:
    """The bar's close on each day on which it differs from the given one."""
    near = bars[records.in_days(bars, closes)]
    days = records.to_dates(near["day"])
    return {
        day: close
        for day, close in zip(days, near["close"].tolist(), strict=True)
        if closes[day] != close
    }


def list_contradictions(
    key: str, bars: Records, closes: Mapping[date, int], route: str
) -> list[Rejected]:
    """One rejected row for each day on which another source has a different close."""
    return [
        Rejected(
            f"{key} {day}",
            TWO_CLOSES,
            AGREE,
            f"{close} against {closes[day]}",
            orjson.dumps(
                {"code": key, "trade_date": day, "close": close, "other": closes[day]}
            ).decode(),
            route,
        )
        for day, close in _other_closes(bars, closes).items()
    ]


def list_gaps(key: str, bars: Records, known: Ints) -> list[dict[str, Any]]:
    """Rows of raw_tdx.answer_gap: neighbouring bars with trading days between them.

    The bars are those of one answer or file; on the days between, nobody traded the code.
    known: trading days, ascending, counted from 1970-01-01
    """
    days = bars["day"]
    before, after = days[:-1], days[1:]
    at = np.searchsorted(known, days)
    is_known = np.append(known, 0)[at] == days  # 0: in 1970, of no bar
    ends = np.flatnonzero(at[1:] - at[:-1] > is_known[:-1])
    if not len(ends):
        return []
    lineage = {
        "source_route": records.ROUTES[bars["route"][0]],
        "fetched_at": records.to_time(bars["fetched"][0]),
        "is_final": True,
    }
    pairs = zip(records.to_dates(before[ends]), records.to_dates(after[ends]), strict=True)
    return [
        {"code": key, "trade_date": end, "last_bar_date": begin} | lineage for begin, end in pairs
    ]
