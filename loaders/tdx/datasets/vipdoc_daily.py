"""Dataset `vipdoc_daily`: day bars of the desktop client's `.day` files, evidence beside the service's.

They land in raw_tdx.kline_period with period `day`. A file is read whole at each load, so there is
nothing to continue; days before `since` and after `until` stay out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from loaders.engine.outcome import Outcome
from loaders.tdx.bars import long_bars
from loaders.tdx.bars.long_bars import LongBars
from loaders.tdx.bars.plausibility import check_bars
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import vipdoc
from loaders.tdx.schemas import KLINE_PERIOD
from loaders.tdx.service.answers import Bars
from loaders.trading_time import newest_final

ROUTE = "vipdoc/lday"
PERIOD = "day"
NO_FOLDER = "the setting tdx.vipdoc names no folder"


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`; a code without a file is skipped."""
    return run.each(codes, lambda code: _load(run, code))


async def _load(run: Context, code: str) -> Outcome:
    folder = run.settings.vipdoc
    if folder is None:
        return Outcome(code, skipped=NO_FOLDER)
    path = vipdoc.find(folder, code, PERIOD)
    if path is None:
        return Outcome(code, skipped=f"no file {code}.day")
    return _read(run, code, path)


def _read(run: Context, code: str, path: Path) -> Outcome:
    """Raises DataQualityError for a file that cannot be read or is no bars of this code."""
    found = vipdoc.read_days(path, code, run.instrument_type(code), run.clock())
    window = run.window
    good, refused = check_bars(code, found.bars, as_of=window.today, closed=window.closed)
    good = good.take(window.within(good.dates, stored=False))
    return Outcome(
        code,
        good,
        [*found.rejected, *refused],
        newest_final(good.dates, good.fetched_at),
        fallback=found.warning,
    )


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The days of some codes as one Arrow table of the declared schema."""
    return pa.concat_tables([_rows(o.key, o.rows) for o in outcomes if o.rows])


def _rows(code: str, bars: Bars) -> pa.Table:
    columns = long_bars.arrow_columns(code, LongBars(bars, bars.dates, PERIOD))
    route = {"source_route": pa.repeat(pa.scalar(ROUTE), len(bars))}
    return pa.table(columns | route)


DATASET = Dataset("vipdoc_daily", KLINE_PERIOD, ROUTE, fetch, table, PERIOD)
