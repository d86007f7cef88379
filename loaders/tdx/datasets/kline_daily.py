"""Dataset `kline_daily`: raw day bars of stocks and funds, a cursor for each code.

The desktop client's files come first if there are any (loaders.tdx.fetching.file_days). The service
supplies the days that they lack. An incremental load requests the days since the cursor and an
overlap. If the answer does not join the stored bars (loaders.tdx.bars.stored_bars), the load reads
the whole history again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

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
        return ctx.at_once(codes, read_file)
    return check_history(ctx, DATASET.name, KLINE_DAILY, ctx.each(codes, load_code), stored)


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
    due = min(window.due, last)
    # An old bar may stay wrong for ever. The bar that is due can still come right.
    if refused := next((r.rule for r in outcome.rejected if r.row_key == f"{code} {due}"), None):
        return replace(outcome, failure=f"the bar of {due} was rejected: {refused}")
    return outcome


def list_day_gaps(
    code: str, bars: Bars, days: Sequence[date], first: date, last: date
) -> list[dict[str, Any]]:
    """List neighbouring bars from `first` to `last` with trading days between them."""
    landed = file_days.between(records.from_answer(bars), first, last)
    return file_days.list_gaps(code, landed, records.to_numbers(days))


table = partial(records.table, names=KLINE_DAILY.schema.names)
DATASET = Dataset("kline_daily", KLINE_DAILY, ROUTE, fetch, table, beside=ANSWER_GAP)
