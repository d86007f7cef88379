"""Dataset `vipdoc_daily`: day bars of the client's files, to check the service's.

The `.day` files of the desktop client land in raw_tdx.kline_period with period `day`. Each load
reads a file whole, so no load continues another. Days before `since` and after `until` are skipped.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from loaders.engine.outcome import Outcome
from loaders.engine.source import Keys
from loaders.tdx.bars import plausibility, records
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import vipdoc
from loaders.tdx.tables import KLINE_PERIOD

ROUTE = "vipdoc/lday"
PERIOD = "day"
NO_FOLDER = "no folder of the desktop client is configured"


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, a skip for a code without a file."""
    return ctx.each(codes, lambda code: _load(ctx, code))


async def _load(ctx: Context, code: str) -> Outcome:
    """Load a code's file. Raises DataQualityError if it is unreadable or another's."""
    if ctx.folder is None:
        return Outcome(code, skipped=NO_FOLDER)
    path = ctx.file(code, PERIOD)
    if path is None:
        return Outcome(code, skipped=f"no file {code}.day")
    file = vipdoc.read_bars(path, code, ctx.instrument_type(code), PERIOD, ctx.clock())
    good, refused = plausibility.check(code, file.bars, PERIOD, ctx.window)
    good["final"] = records.final_in_file(good)
    good = good[ctx.window.within(records.to_dates(good["day"]), stored=False)]
    return records.outcome(code, good, [*file.rejected, *refused], fallback=file.warning)


table = partial(records.table, period=PERIOD)
DATASET = Dataset("vipdoc_daily", KLINE_PERIOD, ROUTE, fetch, table, keys=Keys(part=PERIOD))
