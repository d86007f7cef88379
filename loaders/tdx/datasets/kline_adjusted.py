"""Dataset `kline_adjusted`: the vendor's forward-adjusted days, evidence to compare ours with.

They come from a third-party page through the service. Every corporate action rewrites the series,
so it is read whole each time; prices may be negative and are cut, not rounded; there is no turnover.
The page knows six digits and no exchange, so an index is never asked for.
"""

from collections.abc import Iterator, Sequence

import orjson
import pyarrow as pa

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.rejects import Rejected
from loaders.tdx.bars import long_bars
from loaders.tdx.bars.long_bars import LongBars, Span
from loaders.tdx.bars.plausibility import BROKEN_SHARE, MIN_BROKEN, Implausible
from loaders.tdx.context import Context, Dataset
from loaders.tdx.schemas import KLINE_ADJUSTED
from loaders.tdx.service.answers import Bars
from loaders.trading_time import newest_final

ROUTE = "/api/kline-all/ths"
IS_INDEX = "the vendor has no adjusted series of an index"


def fetch(run: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Outcomes in the order of `codes`, as loaders.tdx.datasets.kline_daily.fetch gives them."""
    cursors = run.cursors(KLINE_ADJUSTED.name)
    spans = run.ask(lambda conn: long_bars.spans(conn, KLINE_ADJUSTED, codes, None))

    async def one(code: str) -> Outcome:
        if run.instrument_type(code) == "index":
            return Outcome(code, skipped=IS_INDEX)
        if not run.window.wants(cursors.get(code)):
            return Outcome(code, skipped=NOT_DUE)
        return await _load(run, code, spans.get(code))

    return run.each(codes, one)


async def _load(run: Context, code: str, span: Span | None) -> Outcome:
    bars = await run.client.kline_adjusted(code)
    if span and (lost := long_bars.lost_history(bars, span, whole=True)):
        return Outcome(code, failure=f"{lost}; nothing was overwritten")
    good, rejected = _check(run, code, bars)
    if not len(good):
        return Outcome(code, failure="every bar of the answer broke a rule", rejected=rejected)
    cursor = newest_final(good.dates, good.fetched_at)
    return Outcome(code, good, rejected, cursor)


def _check(run: Context, code: str, bars: Bars) -> tuple[Bars, list[Rejected]]:
    """The rules of day bars but those on the size of prices, which may be anything here.

    Raises Implausible for an answer that is wrong as a whole.
    """
    window, rejected = run.window, list[Rejected]()
    bad: set[int] = set()
    columns = (bars.dates, bars.open, bars.high, bars.low, bars.close, bars.volume)
    for i, (day, opened, high, low, close, volume) in enumerate(zip(*columns, strict=True)):
        again = day in bars.dates[max(i - 1, 0) : i] or day in bars.dates[i + 1 : i + 2]
        for field, rule, broken in (
            ("open", "open must lie between low and high", not low <= opened <= high),
            ("close", "close must lie between low and high", not low <= close <= high),
            ("volume", "volume must not be negative", volume < 0),
            ("trade_date", "day must not lie in the future", day > window.today),
            ("trade_date", "the exchange was closed on this day", window.closed(day)),
            ("trade_date", "bars of one day must not contradict each other", again),
        ):
            if broken:
                bad.add(i)
                row = bars.row(i)
                payload = orjson.dumps({"code": code} | row).decode()
                rejected.append(Rejected(f"{code} {day}", field, rule, str(row[field]), payload))
    if len(bad) >= max(MIN_BROKEN, BROKEN_SHARE * len(bars)):
        raise Implausible(
            f"{ROUTE} {code}: {len(bad)} of {len(bars)} bars break a rule, the first:"
            f" {rejected[0].rule}; the whole answer is refused"
        )
    return (bars.take(i for i in range(len(bars)) if i not in bad) if bad else bars), rejected


def table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The series of some codes as one Arrow table of the declared schema."""
    return pa.concat_tables([_rows(o.key, o.rows) for o in outcomes if o.rows])


def _rows(code: str, bars: Bars) -> pa.Table:
    return pa.table(long_bars.arrow_columns(code, LongBars(bars, bars.dates, "day")))


DATASET = Dataset("kline_adjusted", KLINE_ADJUSTED, ROUTE, fetch, table)
