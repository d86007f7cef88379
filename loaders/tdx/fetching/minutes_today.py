"""Minutes of the running day that should be stored by now and are not.

They land as provisional; the load after the close reads the day again and makes it final.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
import psycopg

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.bars import plausibility, records
from loaders.tdx.bars.records import Ints
from loaders.tdx.context import Context
from loaders.tdx.queries import query
from loaders.trading_time import SHANGHAI, close_of

PERIOD = "minute1"
SPARE = 3  # request more bars than are missing: a new one can start meanwhile


def read_labels(conn: psycopg.Connection, codes: Sequence[str], today: date) -> dict[str, Ints]:
    """Labels of today's stored minutes that need not be read again, by code.

    The newest bars may have been fetched while they grew, as the service's clock can differ from
    ours. Their `fetched_at` is only the first time that a bar was seen with its present values.
    """
    opens = close_of(today) - timedelta(hours=6)
    rows = conn.execute(
        query("minutes_of_today"),
        (records.SLACK_MINUTES, list(codes), today, opens, close_of(today)),
    )
    by_code = {}
    for code, minutes, settled in rows:
        labels = np.array(minutes)
        newest = labels.max() - (0 if settled else records.SLACK_MINUTES)
        by_code[code] = labels[labels <= newest]
    return by_code


def fetch_today(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`; codes that lack nothing are not requested."""
    today = ctx.window.today
    now = ctx.clock().astimezone(SHANGHAI)
    due = records.grid(PERIOD)
    due = due[due <= now.hour * 60 + now.minute]
    stored = ctx.ask(lambda conn: read_labels(conn, codes, today)) if len(due) else {}

    async def load_code(code: str) -> Outcome:
        lacking = np.setdiff1d(due, stored.get(code, []))
        if not len(lacking):
            return Outcome(code, skipped=NOT_DUE)
        limit = int((due >= lacking[0]).sum()) + SPARE
        return await _load(ctx, code, lacking, limit)

    return ctx.each(codes, load_code)


async def _load(ctx: Context, code: str, lacking: Ints, limit: int) -> Outcome:
    answer = await ctx.client.intraday(code, limit=limit, expect_rows=False)
    bars, rejected = plausibility.check(code, records.from_answer(answer), PERIOD, ctx.window)
    is_today = records.in_days(bars, [ctx.window.today])
    bars = bars[is_today & np.isin(bars["label"], lacking)]
    return records.outcome(code, bars, rejected, skipped=NOT_DUE)
