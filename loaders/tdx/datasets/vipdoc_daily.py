"""Dataset `vipdoc_daily`: day bars of the client's files, to check the service's.

The `.day` files of the desktop client land in raw_tdx.kline_period with period `day`. Each load
reads a file whole, so no load continues another. Days before `since` and after `until` are skipped.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from loaders.engine.outcome import Outcome
from loaders.tdx.bars import plausibility, records
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import vipdoc
from loaders.tdx.tables import KLINE_PERIOD

ROUTE = "vipdoc/lday"
PERIOD = "day"
NO_FOLDER = "no folder of the desktop client is configured"


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`, a skip for a code without a file."""
    return run.each(codes, lambda code: _load(run, code))


async def _load(run: Context, code: str) -> Outcome:
    """Load a code's file.

    Raises DataQualityError if the file cannot be read or does not hold bars of this code.
    """
    if run.folder is None:
        return Outcome(code, skipped=NO_FOLDER)
    path = run.file(code, PERIOD)
    if path is None:
        return Outcome(code, skipped=f"no file {code}.day")
    found = vipdoc.read(path, code, run.instrument_type(code), PERIOD, run.clock())
    good, refused = plausibility.check(code, found.bars, PERIOD, run.window)
    good["final"] = records.final_in_file(good)
    good = good[run.window.within(records.dates_of(good["day"]), stored=False)]
    return records.outcome(code, good, [*found.rejected, *refused], fallback=found.warning)


table = partial(records.table, period=PERIOD)
DATASET = Dataset("vipdoc_daily", KLINE_PERIOD, ROUTE, fetch, table, PERIOD)
