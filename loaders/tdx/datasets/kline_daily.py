"""Dataset `kline_daily`: raw day bars of stocks and funds, a cursor for each code.

The desktop client's files come first if there are any (loaders.tdx.fetching.file_days). The service
supplies the days that they lack. An incremental load requests the days since the cursor and an
overlap. If the answer does not join the stored bars (loaders.tdx.bars.stored_bars), the load reads
the whole history again.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

import psycopg

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.bars import records, stored_bars
from loaders.tdx.bars.long_bars import select_bars
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.client.answers import Bars
from loaders.tdx.context import Context, Dataset, catch_failure
from loaders.tdx.fetching import file_days
from loaders.tdx.fetching.changed_history import check_history
from loaders.tdx.fetching.file_days import DayFiles
from loaders.tdx.tables import ANSWER_GAP, KLINE_DAILY

ROUTE = "/api/kline-all"
RECENT_DAYS = 5  # trading days
# Of the codes that traded before, at most this number or this share are suspended on a new day.
MOST_SUSPENDED, SUSPENDED_SHARE = 2, 0.05


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`; if the service is gone, the rest fail."""
    window, cursors = ctx.window, ctx.cursors(KLINE_DAILY.name)
    files = DayFiles.select(ctx, KLINE_DAILY.name, codes)
    asked = [c for c in codes if c in files.due or (ctx.service and window.wants(cursors.get(c)))]
    stored = ctx.ask(
        lambda conn: stored_bars.read_stored(conn, KLINE_DAILY, asked, closes=window.overlap)
    )

    def read_file(code: str) -> Outcome:
        return files.outcome(code, cursors.get(code), stored.get(code))

    async def load_code(code: str) -> Outcome:
        cursor, before = cursors.get(code), stored.get(code)
        if code not in ctx.day_files:
            if not window.wants(cursor):
                return Outcome(code, skipped=NOT_DUE)
            return await _load(ctx, code, cursor, before)
        in_file = read_file(code)
        reached = file_days.reached_day(in_file) or cursor
        if in_file.failure is None and not window.wants(reached):
            return in_file
        before_answer = before and before.beside_file()
        answer = await catch_failure(code, _load(ctx, code, reached, before_answer))
        return files.fill_gaps(in_file, answer, before)

    if ctx.service is None:
        return files.with_warnings(ctx.at_once(codes, read_file))
    files.warn_of_gone()
    in_files_alone = {
        code
        for code, before in stored.items()
        if code not in ctx.day_files and before.routes[before.newest] == file_days.ROUTE
        if (security := ctx.securities.get(code)) and not security.is_from_service
    }
    outcomes = check_history(ctx, DATASET.name, KLINE_DAILY, ctx.each(codes, load_code), stored)
    return files.with_warnings(_miss_files(ctx, outcomes, in_files_alone, cursors))


def _miss_files(
    ctx: Context, outcomes: Iterator[Outcome], codes: Collection[str], cursors: Mapping[str, date]
) -> Iterator[Outcome]:
    """Say of which codes the file is missed, too: those of `codes` that the service failed for.

    Not on the event loop, as an accepted loss is recorded.
    """
    for outcome in outcomes:
        code, why = outcome.key, outcome.failure
        if why and not outcome.gone and code in codes:
            missed = ctx.miss_bars(DATASET.name, code, cursors.get(code), file_days.PERIOD)
            outcome = replace(missed, failure=missed.failure and f"{why}; {missed.failure}")
        yield outcome


async def _load(ctx: Context, code: str, cursor: date | None, stored: Stored | None) -> Outcome:
    """Load the bars of the service."""
    window, ask = ctx.window, partial(ctx.client.kline_all, code)
    limit = window.limit(cursor)
    bars = await stored_bars.join_or_reload(
        await ask(limit=limit), ask, cursor, stored, limited=limit is not None
    )
    outcome = select_bars(code, bars, window, stored=cursor is not None)
    if outcome.failure:
        return outcome
    first = date.min if cursor else window.since or date.min
    last = window.until or date.max
    outcome = replace(outcome, beside=list_day_gaps(code, bars, window.days, first, last))
    due, must_have = min(window.due, last), ctx.overdue.get(code)
    # An old bar may stay wrong for ever. The bar that is due can still come right.
    if refused := next((r.rule for r in outcome.rejected if r.row_key == f"{code} {due}"), None):
        return replace(outcome, failure=f"the bar of {due} was refused: {refused}")
    if must_have and bars.dates[-1] < must_have:
        return replace(outcome, failure=f"no bar of {must_have}, though it traded the days before")
    return outcome


def list_day_gaps(
    code: str, bars: Bars, days: Sequence[date], first: date, last: date
) -> list[dict[str, Any]]:
    """List neighbouring bars from `first` to `last` with trading days between them."""
    landed = file_days.between(records.from_answer(bars), first, last)
    return file_days.list_gaps(code, landed, records.to_numbers(days))


@dataclass(frozen=True)
class Lagging:
    """Codes that traded recently and lack the bar of the due day.

    traded: the number of codes that traded recently, these included.
    """

    codes: tuple[str, ...]
    traded: int

    @property
    def too_many(self) -> bool:
        """Whether more codes lag than are suspended in a day: the source is partial."""
        return len(self.codes) > max(MOST_SUSPENDED, SUSPENDED_SHARE * self.traded)


def find_lagging(
    conn: psycopg.Connection, codes: Sequence[str], days: Sequence[date], due: date
) -> Lagging:
    """Return the codes whose newest bar is from the last few days before `due`.

    The days count back from the newest day before `due` that any code has: a source that stood
    still for weeks is noticed too.
    """
    newest = stored_bars.newest_days(conn, codes, due)
    before = max((day for day in newest.values() if day < due), default=date.min)
    last = bisect_left(days, due if due in newest.values() else before)
    since = days[max(last - RECENT_DAYS, 0)]
    ends = Counter(day for day in newest.values() if day < due)
    # Days on which more codes ended than are ever suspended in a day had another cause, whatever
    # their age.
    together = {
        d for d, n in ends.items() if n > max(MOST_SUSPENDED, SUSPENDED_SHARE * len(newest))
    }
    late = tuple(
        sorted(c for c, day in newest.items() if day < due and (day >= since or day in together))
    )
    return Lagging(late, len(late) + sum(day == due for day in newest.values()))


table = partial(records.table, names=KLINE_DAILY.schema.names)
DATASET = Dataset("kline_daily", KLINE_DAILY, ROUTE, fetch, table, beside=ANSWER_GAP)
