"""Dataset `minute_1m`: raw one-minute bars of stocks and funds.

The minutes of a due day (loaders.tdx.bars.minute_days) come from the desktop client's file, else
from the newest 800 bars, else from the whole series of 24,000.

A day is final when it has all minutes, fetched after 15:05, and they sum to the volume of the day
bar. If the sum differs, the day is requested again on a later day and is then final, as shares
trade after 15:00, which no minute shows. All other days land as provisional.
"""

from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from loaders.engine.outcome import NOT_DUE, Outcome, SourceGone
from loaders.tdx.bars import minute_days, plausibility, records, stored_bars
from loaders.tdx.bars.minute_days import Wanted
from loaders.tdx.bars.records import Mask, Records
from loaders.tdx.client.answers_intraday import TimedBars
from loaders.tdx.client.routes_bars import HISTORY_LIMIT, INTRADAY_BARS
from loaders.tdx.context import Context, Dataset
from loaders.tdx.fetching.changed_history import INTRADAY, check_history
from loaders.tdx.fetching.minute_files import FileReading, days_of_fetch, list_changed
from loaders.tdx.fetching.minutes_today import fetch_today
from loaders.tdx.files.folder import FOLDERS
from loaders.tdx.missing_datasets import NO_ROW, Absence, is_empty
from loaders.tdx.tables import KLINE_MINUTE
from quotemill.errors import DataQualityError, UpstreamError

ROUTE, SHORT_ROUTE = "/api/kline-all", "/api/kline-history"
PERIOD = "minute1"
A_DAY = 240  # minutes
MISFIT = "minutes do not add up to the day bar: provisional until a later load checks them again"


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, like kline_daily.fetch."""
    if ctx.mode == "realtime":
        return fetch_today(ctx, codes)
    days = ctx.window.newest(ctx.settings.minute_days)
    again = ctx.window.reads_again
    cursors = ctx.load.cursors(KLINE_MINUTE.name)
    asked = codes if ctx.service else list_changed(ctx, codes, PERIOD, cursors)
    wanted = ctx.ask(lambda conn: minute_days.wanted(conn, asked, days, period=PERIOD, again=again))
    absence = ctx.absence(DATASET.name, KLINE_MINUTE)

    async def load_code(code: str) -> Outcome:
        reading = _Reading(
            ctx=ctx,
            code=code,
            period=PERIOD,
            wanted=wanted.get(code, Wanted()),
            cursor=cursors.get(code),
            absence=absence,
        )
        return reading.reached(await reading.read_code())

    outcomes = absence.judge(ctx, ctx.each(codes, load_code))
    if again:
        stored = {c: INTRADAY for c in codes if wanted[c].newest}
        outcomes = check_history(ctx, DATASET.name, KLINE_MINUTE, outcomes, stored)
    return outcomes


@dataclass(kw_only=True)
class _Reading(FileReading):
    """The minutes of one code during the reading.

    out_of_reach: days that no route has any more.
    unanswered: the request for the whole series failed.
    empty: no answer had a row.
    """

    absence: Absence
    ways: list[str] = field(default_factory=list)
    out_of_reach: set[date] = field(default_factory=set)
    unanswered: bool = False
    empty: bool = True

    @property
    def lacking(self) -> set[date]:
        """Due days that are not complete yet."""
        return set(self.wanted.days) - records.whole_days(self.bars, PERIOD) - self.out_of_reach

    async def read_code(self) -> Outcome:
        await self.read_file()
        nothing_read = not (len(self.bars) or self.faults or self.rejected)
        if not self.wanted.days and nothing_read:
            return Outcome(self.code, skipped=NOT_DUE)
        if self.absence.proven and nothing_read:
            return Outcome(self.code, skipped=NO_ROW)
        if self.ctx.service is None:
            return self._outcome()
        if self.lacking:
            await self._ask_for_bars()
        if self.absence.possible and self.empty and not len(self.bars):
            return Outcome(self.code, skipped=NO_ROW)
        return self._outcome()

    def refuse_file(self, why: str) -> None:
        """Note why the file is not taken."""
        self.ways.append(f"{FOLDERS[PERIOD]} → {ROUTE}: the file is unreadable")
        super().refuse_file(why)

    async def _ask_for_bars(self) -> None:
        """Request the newest bars if they reach the first lacking day, else all."""
        client, newest = self.ctx.client, None
        expect = bool(self.lacking & self.wanted.traded)
        limit = self._short_limit(min(self.lacking))
        if limit is not None:
            newest = self._added(client.intraday(self.code, limit=limit, expect_rows=expect))

        def lacks(bars: Records | None) -> str | None:
            if bars is None:
                return "no usable response"
            return None if self._settled(bars, limit or 0) else "bars are missing for due days"

        async def everything() -> Records | None:
            bars = await self._added(client.intraday_all(self.code, expect_rows=expect))
            self.unanswered = bars is None
            if bars is not None and len(bars) > INTRADAY_BARS - A_DAY:
                first = records.days_in(bars)[0]
                # The series is full: its first day may be cut, and earlier days are gone.
                self.out_of_reach |= {day for day in self.lacking if day <= first}
            return bars

        way = f"{SHORT_ROUTE} → {ROUTE}"
        _, fallback = await stored_bars.ask_newest_else_all(newest, everything, lacks, way)
        if fallback:
            self.ways.append(fallback)

    def _settled(self, bars: Records, limit: int) -> bool:
        """Check that nothing is left to request; a day without a bar had no trade."""
        lacking = self.lacking
        if not lacking:
            return True
        reaches = len(bars) < limit or records.days_in(bars)[0] <= min(lacking)
        return reaches and not lacking & self.wanted.traded

    def _short_limit(self, first: date) -> int | None:
        """Return how many of the newest bars reach `first`; None if more than one answer.

        If there is room, they also reach the newest stored day.
        """
        size = records.bars_back_to(self.ctx.window, first, PERIOD, self.ctx.clock())
        if size > HISTORY_LIMIT:
            return None
        if self.wanted.stored is not None and self.wanted.stored.day < first:
            size += A_DAY
        return min(size, HISTORY_LIMIT) or None

    async def _added(self, answer: Awaitable[TimedBars]) -> Records | None:
        """Add an answer's bars to those read before; None after a noted failure."""
        try:
            bars = records.from_answer(await answer)
            bars, rejected = plausibility.check(self.code, bars, PERIOD, self.ctx.window)
        except SourceGone:
            raise
        except (UpstreamError, DataQualityError) as error:
            self.empty = self.empty and is_empty(None, error)
            self.faults.append(str(error))
            return None
        self.rejected += rejected
        self.bars = records.update_bars(self.bars, bars, PERIOD)
        return bars

    def _outcome(self) -> Outcome:
        bars = self.bars[self._to_land()]
        whole = records.whole_days(bars, PERIOD)
        misfits = minute_days.find_misfits(bars, self.wanted.days)
        later = bars["day"] < days_of_fetch(bars)
        bars["final"] = records.fetched_after_close(bars) & (
            (records.in_days(bars, whole) & (later | ~records.in_days(bars, misfits)))
            | self._only_in_files(bars)
        )
        if misfits & set(records.days_in(bars[~bars["final"]])) & whole:
            self.ways.append(MISFIT)
        if self.ctx.service is None:  # no other source has the days that files lack
            failure = self.faults[-1] if self.faults else None
            return records.outcome(self.code, bars, self.rejected, failure=failure, skipped=NOT_DUE)
        lacking = sorted(self.lacking & (self.wanted.traded | set(records.days_in(bars))))
        failed = bool(lacking) or (self.unanswered and bool(self.lacking))
        file_fault = self.faults[-1] if self.faults and not self.wanted.days else None
        return records.outcome(
            self.code,
            bars,
            self.rejected,
            failure=self._failure(lacking) if failed else file_fault,
            skipped=NOT_DUE,
            fallback="; ".join(self.ways) or None,
        )

    def _to_land(self) -> Mask:
        """Select the bars of due days, of files, of today and of a changed newest day.

        A day that is stored with more minutes than it has now stays unchanged.
        """
        bars, window, wanted = self.bars, self.ctx.window, self.wanted
        keep = records.in_days(bars, wanted.days) | _from_file(bars)
        if window.until is None or window.until > window.due:
            keep |= bars["day"] > records.to_number(window.due)
        if wanted.stored is not None:
            is_stored = bars["day"] == records.to_number(wanted.stored.day)
            same = bars[is_stored]
            if (
                records.whole_days(same, PERIOD)
                and len(same) >= wanted.stored.count
                and not minute_days.same_as_stored(same, wanted.stored)
            ):
                keep |= is_stored
        second = bars["day"][bars["label"] == records.FIRST_OF_AFTERNOON]
        shorter = records.in_days(bars, wanted.with_1301) & ~np.isin(bars["day"], second)
        return np.asarray(keep & ~shorter)

    def _only_in_files(self, bars: Records) -> Mask:
        """Select bars of files that are older than any bar of the service."""
        reach = self.ctx.window.newest(self.ctx.settings.minute_days)
        oldest = records.to_number(reach[0] if reach else self.ctx.window.due)
        return np.asarray(_from_file(bars) & (bars["day"] < oldest))

    def _failure(self, lacking: Sequence[date]) -> str:
        why = f": {self.faults[-1]}" if self.faults else ""
        if not lacking:
            return f"no minutes received{why}"
        return f"no minutes for {len(lacking)} of the due days (latest {lacking[-1]}){why}"


def _from_file(bars: Records) -> Mask:
    return np.asarray(bars["route"] == records.ROUTES.index("vipdoc/minline"))


DATASET = Dataset("minute_1m", KLINE_MINUTE, ROUTE, fetch, records.table)
