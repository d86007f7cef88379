"""Dataset `minute_5m`: five-minute bars of stocks and funds in the desktop client's files.

Files `.lc5` and `.5` land in raw_tdx.kline_period beside the service's bars of that length. Which
days of a file land is as for minutes (loaders.tdx.fetching.minute_files).

A day is final when it has all bars, written after 15:05, and they sum to the volume of its day bar,
if there is one. They may fall short of it by what trades after 15:00, which no bar within the day
shows, in a file of a later day. All other days land as provisional.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.source import Keys
from loaders.tdx.bars import minute_days, records
from loaders.tdx.bars.minute_days import Wanted
from loaders.tdx.context import Context, Dataset
from loaders.tdx.fetching.file_days import NO_FILE
from loaders.tdx.fetching.minute_files import FileReading, days_of_fetch, list_changed
from loaders.tdx.tables import KLINE_PERIOD

NAME = "minute_5m"
PERIOD = "minute5"
ROUTE = "vipdoc/fzline"
MISFIT = "bars do not add up to the day bar: provisional until the file is written again"
AFTER_HOURS = ("sh68", "sz30")  # STAR since 2019-07-22, ChiNext since 2020-08-24
ALL_AFTER_HOURS = date(2026, 7, 6)  # SSE 2026 No. 41 and SZSE 2026 No. 551: all A shares and funds
MAY_LACK = 0.05  # of the day bar since then, as in qa_incomplete_minutes.sql


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, like kline_daily.fetch."""
    days = ctx.window.newest(ctx.settings.minute_days)
    again = ctx.window.reads_again
    stored = ctx.load.cursors(KLINE_PERIOD.name)
    cursors = {code: stored[key] for code in codes if (key := DATASET.cursor_key(code)) in stored}
    asked = list_changed(ctx, codes, PERIOD, cursors)
    wanted = ctx.ask(lambda conn: minute_days.wanted(conn, asked, days, period=PERIOD, again=again))

    async def load_code(code: str) -> Outcome:
        if ctx.file(code, PERIOD) is None:
            return Outcome(code, skipped=NO_FILE)
        return await _load(ctx, code, wanted.get(code, Wanted()), cursors.get(code))

    return ctx.each(codes, load_code)


async def _load(ctx: Context, code: str, wanted: Wanted, cursor: str | None) -> Outcome:
    reading = FileReading(ctx=ctx, code=code, period=PERIOD, wanted=wanted, cursor=cursor)
    await reading.read_file()
    bars = reading.bars
    days = [day for day in records.days_in(bars) if day not in wanted.days]
    read_older = partial(minute_days.read_day_bars, code=code, days=days)
    older = await asyncio.to_thread(ctx.ask, read_older) if days else {}
    late = {
        day: _may_lack(code, day)
        for day in records.days_in(bars[bars["day"] < days_of_fetch(bars)])
    }
    misfits = minute_days.find_misfits(bars, wanted.days | older, late)
    whole = records.whole_days(bars, PERIOD)
    bars["final"] = records.fetched_after_close(bars) & records.in_days(bars, whole - misfits)
    failure = reading.faults[-1] if reading.faults else None
    fallback = MISFIT if misfits & whole else None
    return reading.reached(
        records.outcome(
            code, bars, reading.rejected, failure=failure, skipped=NOT_DUE, fallback=fallback
        )
    )


def _may_lack(code: str, day: date) -> float:
    """The share of a day bar that trades after 15:00 at most, which no bar within the day shows."""
    if code.startswith(AFTER_HOURS):
        return 1.0
    return MAY_LACK if day >= ALL_AFTER_HOURS else 0.0


table = partial(records.table, period=PERIOD)
DATASET = Dataset(NAME, KLINE_PERIOD, ROUTE, fetch, table, keys=Keys(part=f"{PERIOD} file"))
