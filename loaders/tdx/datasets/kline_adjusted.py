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


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, like kline_daily.fetch."""
    cursors = run.cursors(KLINE_ADJUSTED.name)
    stored = run.ask(lambda conn: stored_bars.stored(conn, KLINE_ADJUSTED, codes))

    async def one(code: str) -> Outcome:
        if run.instrument_type(code) == "index":
            return Outcome(code, skipped=IS_INDEX)
        if not run.window.wants(cursors.get(code)):
            return Outcome(code, skipped=NOT_DUE)
        return await _load(run, code, stored.get(code))

    return run.each(codes, one)


async def _load(run: Context, code: str, stored: Stored | None) -> Outcome:
    bars = await run.client.kline_adjusted(code)
    if stored is not None:
        stored.refuse_loss(bars)
    found = records.of_answer(bars)
    good, rejected = plausibility.check(code, found, "day", run.window, adjusted=True)
    if not len(good):
        return Outcome(code, failure=plausibility.ALL_BROKEN, rejected=rejected)
    good["final"] = records.fetched_after_close(good)
    return records.outcome(code, good, rejected)


DATASET = Dataset("kline_adjusted", KLINE_ADJUSTED, ROUTE, fetch, records.table)
