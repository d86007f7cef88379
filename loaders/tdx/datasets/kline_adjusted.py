"""Dataset `kline_adjusted`: the vendor's forward-adjusted days, to check ours.

They come from a third-party page through the service. Each corporate action rewrites the series,
so every load reads it whole. Prices may be negative and are cut, not rounded. There is no turnover.
The page knows six digits and no exchange, so indices are never requested.
"""

from collections.abc import Iterator, Sequence

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tdx.bars import plausibility, records, stored_bars
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.context import Context, Dataset
from loaders.tdx.tables import KLINE_ADJUSTED

ROUTE = "/api/kline-all/ths"
IS_INDEX = "the vendor has no adjusted series of an index"


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, like kline_daily.fetch."""
    cursors = ctx.cursors(KLINE_ADJUSTED.name)
    stored = ctx.ask(lambda conn: stored_bars.read_stored(conn, KLINE_ADJUSTED, codes))

    async def load_code(code: str) -> Outcome:
        if ctx.instrument_type(code) == "index":
            return Outcome(code, skipped=IS_INDEX)
        if not ctx.window.wants(cursors.get(code)):
            return Outcome(code, skipped=NOT_DUE)
        return await _load(ctx, code, stored.get(code))

    return ctx.each(codes, load_code)


async def _load(ctx: Context, code: str, stored: Stored | None) -> Outcome:
    bars = await ctx.client.kline_adjusted(code)
    if stored is not None:
        stored.refuse_loss(bars)
    answer = records.from_answer(bars)
    good, rejected = plausibility.check(code, answer, "day", ctx.window, adjusted=True)
    if not len(good):
        return Outcome(code, failure=plausibility.ALL_BROKEN, rejected=rejected)
    good["final"] = records.fetched_after_close(good)
    return records.outcome(code, good, rejected)


DATASET = Dataset("kline_adjusted", KLINE_ADJUSTED, ROUTE, fetch, records.table)
