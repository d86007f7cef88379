"""Dataset `vipdoc_daily`: day bars of the desktop client's `.day` files, evidence beside the service's.

They land in raw_tdx.kline_period with period `day`. A file is read whole at each load, so there is
nothing to continue; days before `since` and after `until` stay out.
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
    """Outcomes in the order of `codes`; a code without a file is skipped."""
    return run.each(codes, lambda code: _load(run, code))


async def _load(run: Context, code: str) -> Outcome:
    """Raises DataQualityError for a file that cannot be read or is no bars of this code."""
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
