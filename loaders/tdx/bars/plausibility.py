"""Whether day bars can be true. Shapes were checked before (loaders.tdx.service.answers).

A single impossible bar is rejected with the rule it breaks and the rest is kept. An answer whose
bars are mostly impossible is no data at all: an index asked through a stock route comes back as
success with prices, days and volumes made of misaligned bytes.
"""

import itertools
from collections.abc import Callable, Iterator
from datetime import date

import orjson

from loaders.engine.rejects import Rejected
from loaders.errors import DataQualityError
from loaders.tdx.schemas import MOST
from loaders.tdx.service.answers import Bars
from loaders.trading_time import FIRST_CHINESE_DAY

ALL_BROKEN = "every bar of the answer broke a rule"
JUMP = 3
MIN_BROKEN, BROKEN_SHARE = 3, 0.1
MIN_JUMPS, JUMP_SHARE = 3, 0.02


class Implausible(DataQualityError):
    """A whole answer that cannot be market data."""


def check_bars(
    code: str,
    bars: Bars,
    as_of: date,
    closed: Callable[[date], bool],
    *,
    adjusted: bool = False,
) -> tuple[Bars, list[Rejected]]:
    """The plausible bars, and one Rejected for each rule that a bar breaks.

    `as_of` is today on the exchange; `closed(day)` is true where every calendar known says so.
    Prices of `adjusted` bars may be negative, and jump. Raises Implausible for an answer that is wrong
    as a whole.
    """
    least = -MOST["low"] if adjusted else 1
    twice = _contradicting(bars)
    bad = [
        i
        for i, (d, o, h, lo, c, v, a) in enumerate(
            zip(
                bars.dates, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.amount,
                strict=True,
            )
        )
        if not (
            least <= lo <= o <= h <= MOST["high"]
            and lo <= c <= h
            and 0 <= v <= MOST["volume"]
            and 0 <= a <= MOST["amount"]
            and FIRST_CHINESE_DAY <= d <= as_of
            and not closed(d)
        )
        or d in twice
    ]  # fmt: skip
    _refuse_nonsense(code, bars, len(bad), may_jump=adjusted)
    if not bad:
        return bars, []
    rejected = [
        Rejected(
            row_key=f"{code} {bars.dates[i]}",
            field=field,
            rule=rule,
            value=str(bars.row(i)[field]),
            payload=orjson.dumps({"code": code} | bars.row(i)).decode(),
        )
        for i in bad
        for field, rule in _broken_rules(bars, i, as_of, closed, twice, least)
    ]
    return bars.take(sorted(set(range(len(bars))) - set(bad))), rejected


def _broken_rules(
    bars: Bars,
    i: int,
    as_of: date,
    closed: Callable[[date], bool],
    twice: set[date],
    least: int,
) -> Iterator[tuple[str, str]]:
    for name in ("open", "high", "low", "close"):
        if getattr(bars, name)[i] < least:
            yield name, f"price must be above {least - 1}"
    if bars.high[i] < bars.low[i]:
        yield "high", "high must not be below low"
    else:
        for name in ("open", "close"):
            if not bars.low[i] <= getattr(bars, name)[i] <= bars.high[i]:
                yield name, f"{name} must lie between low and high"
    for name in ("volume", "amount"):
        if getattr(bars, name)[i] < 0:
            yield name, f"{name} must not be negative"
    for name in ("open", "high", "low", "close", "volume", "amount"):
        if getattr(bars, name)[i] > MOST[name]:
            yield name, f"{name} must be at most {MOST[name]}"
    day = bars.dates[i]
    if day > as_of:
        yield "trade_date", "day must not lie in the future"
    elif day < FIRST_CHINESE_DAY:
        yield "trade_date", f"no exchange traded before {FIRST_CHINESE_DAY}"
    elif closed(day):
        yield "trade_date", "the exchange was closed on this day"
    if day in twice:
        yield "trade_date", "bars of one day must not contradict each other"


def _contradicting(bars: Bars) -> set[date]:
    """Days with more than one bar; identical bars were merged when the answer was read."""
    days = bars.dates
    return {a for a, b in itertools.pairwise(days) if a == b}


def _refuse_nonsense(code: str, bars: Bars, broken: int, *, may_jump: bool) -> None:
    size = len(bars)
    if broken >= max(MIN_BROKEN, BROKEN_SHARE * size):
        raise Implausible(
            f"{bars.source_route} {code}: {broken} of {size} bars break a rule;"
            " the whole answer is refused",
            hint="was an index asked for as a stock, or is the calendar wrong?",
        )
    if may_jump:
        return
    closes = bars.close
    jumps = sum(b > JUMP * a or a > JUMP * b for a, b in itertools.pairwise(closes))
    if jumps >= max(MIN_JUMPS, JUMP_SHARE * size):
        raise Implausible(
            f"{bars.source_route} {code}: the close jumps by more than a factor {JUMP} on {jumps}"
            f" of {size} days; the whole answer is refused",
            hint="was an index asked for as a stock?",
        )
