"""Bars of one or five minutes in the client's files: which days of a file land.

A file that has not been written since its last reading is not opened: the cursor stores its state
after the day. One that begins with the bytes that were read gives due days, days after all stored
ones, and those by which it grew; one with other bytes all its days, which may be corrected.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from loaders.engine.outcome import Outcome
from loaders.landing.rejects import Rejected
from loaders.tdx.bars import plausibility, records
from loaders.tdx.bars.minute_days import Wanted
from loaders.tdx.bars.records import Ints, Records
from loaders.tdx.context import Context
from loaders.tdx.files import vipdoc
from loaders.tdx.files.folder import FOLDERS
from loaders.tdx.files.written import State, make_cursor, state_in
from quotemill.errors import DataQualityError

DAY_LENGTH = len("2024-06-28")


@dataclass(kw_only=True)
class FileReading:
    """The bars of one code during the reading.

    period: minute1 or minute5.
    state: state of the file version that was read so far.
    faults: why a file, or an answer, was not taken.
    """

    ctx: Context
    code: str
    period: str
    wanted: Wanted
    cursor: str | None
    state: State | None = None
    bars: Records = field(default_factory=records.empty)
    rejected: list[Rejected] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def reached(self, outcome: Outcome) -> Outcome:
        """Add the version of the file that was read to the outcome's cursor.

        Without any final day that has reached the day before its bars.
        """
        days = [str(day)[:DAY_LENGTH] for day in (outcome.cursor, self.cursor) if day]
        if not days and self.state and len(self.bars):
            days = [str(records.to_date(self.bars["day"].min() - 1))]
        cursor = make_cursor(max(days), self.state) if days else None
        return replace(outcome, cursor=None if cursor == self.cursor else cursor)

    async def read_file(self) -> None:
        """Read the client's file if it has changed; take the days of the module's docstring."""
        ctx, window, wanted = self.ctx, self.ctx.window, self.wanted
        again = window.reads_again
        self.state = before = None if again else state_in(self.cursor)
        file = ctx.file(self.code, self.period)
        if file is None or (before and State.try_read(file) == before):
            return
        try:
            # in threads, as the disk serves several files at a time
            same = await asyncio.to_thread(before.unchanged, file) if before else None
            if same and not self._has_due_day(file):
                self.state = same
                return
            start = await asyncio.to_thread(self._find_needed, file, before, same is not None)
            read = vipdoc.read_bars(
                file,
                self.code,
                ctx.instrument_type(self.code),
                self.period,
                ctx.clock(),
                before=before,
                start=start or 0,
            )
        except DataQualityError as error:
            self.refuse_file(str(error))
            return
        place = f"vipdoc/{FOLDERS[self.period]}/{file.name}"
        self.rejected += [replace(row, source_route=place) for row in read.rejected]
        if read.nonsense:
            self.refuse_file(f"{file.name}: {read.nonsense}")
            return
        if read.warning:
            ctx.file_notes.add(vipdoc.UNFINISHED, f"{read.warning}. The rest is loaded")
        if read.disorder:
            ctx.file_notes.add(vipdoc.DISORDERED, read.disorder)
        day = read.bars["day"]
        keep = np.isin(day, records.to_numbers(wanted.days))
        if start is None or before is None or wanted.newest is None:
            keep[:] = True
        else:  # days before all stored ones were read before and dropped for their age
            keep |= day > records.to_number(wanted.newest)
            grown = (read.state.size - before.size) // vipdoc.SIZE
            if grown > 0 and len(day):
                keep |= day >= day[-grown:][0]
        last = window.until or date.max
        if ctx.load.as_of is not None:  # days after that time are no fault of the file
            last = min(last, window.today)
        asked = day <= records.to_number(last)
        asked &= day >= records.to_number(window.since or date.min)
        bars = read.bars[keep & asked]
        try:
            self.bars, refused = plausibility.check(self.code, bars, self.period, window)
        except DataQualityError as error:
            self.refuse_file(f"{file.name}: {error}")
            return
        self.rejected += [replace(row, source_route=place) for row in refused]
        # Days that were left out today are wanted on another day.
        self.state = read.state if asked.all() else None

    def _find_needed(self, file: Path, before: State | None, is_same: bool) -> int | None:
        """The place of the first record of the days to land; None if any may have changed.

        The records before it are as they were read, and take most of a night to unpack again.
        """
        wanted = self.wanted
        if wanted.newest is None or before is None or not (is_same or before.begins(file)):
            return None
        since = min([*wanted.days, wanted.newest + timedelta(1)])
        return vipdoc.find_needed(file, since, known=before.size // vipdoc.SIZE)

    def _has_due_day(self, file: Path) -> bool:
        """Check for a due day within the file's days: a later time may make it final."""
        first, last = vipdoc.first_day(file), vipdoc.last_day(file, self.ctx.clock())
        return not first or not last or any(first <= day <= last for day in self.wanted.days)

    def refuse_file(self, why: str) -> None:
        """Note why the file is not taken."""
        self.faults.append(why)


def list_changed(
    ctx: Context, codes: Sequence[str], period: str, cursors: Mapping[str, str]
) -> Sequence[str]:
    """The codes whose file is not as their cursor has it, or that are read again."""
    if ctx.window.reads_again:
        return codes

    def is_changed(code: str) -> bool:
        file = ctx.file(code, period)
        return file is not None and State.try_read(file) != state_in(cursors.get(code))

    return [code for code in codes if is_changed(code)]


def days_of_fetch(bars: Records) -> Ints:
    """Return the exchange's day on which each bar was fetched."""
    minutes = bars["fetched"] // records.MINUTE_US + records.ZONE_MINUTES
    return np.asarray(minutes // records.DAY_MINUTES)
