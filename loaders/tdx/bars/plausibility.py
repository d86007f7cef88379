"""Whether bars can be true. Shapes were checked before (loaders.tdx.service.answers).

A single impossible bar is rejected with the rule it breaks and the rest is kept. An answer whose
bars are mostly impossible is no data at all: an index asked through a stock route comes back as
success with prices, days and volumes made of misaligned bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from loaders.engine.rejects import Rejected
from loaders.errors import DataQualityError
from loaders.tdx.schemas import MOST
from loaders.tdx.service.answers import Bars
from loaders.trading_time import FIRST_CHINESE_DAY

Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Rule: TypeAlias = tuple[str, str, Mask]  # field, what must hold, the bars of which it does not

PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume", "amount")
ALL_BROKEN = "every bar of the answer broke a rule"
JUMP = 3
MIN_BROKEN, BROKEN_SHARE = 3, 0.1
MIN_JUMPS, JUMP_SHARE = 3, 0.02


class Implausible(DataQualityError):
    """A whole answer that cannot be market data."""


def number_rules(bars: Any, *, least: int = 1, least_amount: int = 0) -> Iterator[Rule]:
    """The rules of prices, volume and turnover, of a day or of a minute; `bars[name]` is a column."""
    for name in PRICES:
        yield name, f"price must be above {least - 1}", bars[name] < least
    high, low = bars["high"], bars["low"]
    yield "high", "high must not be below low", high < low
    for name in ("open", "close"):
        outside = ((bars[name] < low) | (bars[name] > high)) & (high >= low)
        yield name, f"{name} must lie between low and high", outside
    yield "volume", "volume must not be negative", bars["volume"] < 0
    yield "amount", "amount must not be negative", bars["amount"] < least_amount
    for name in NUMBERS:
        yield name, f"{name} must be at most {MOST[name]}", bars[name] > MOST[name]


def broken_by(rules: Iterable[Rule], size: int) -> Mask:
    """The bars that break a rule."""
    broken = np.zeros(size, np.bool_)
    for _, _, mask in rules:
        broken |= mask
    return broken


def refuse_nonsense(subject: str, rules: Sequence[Rule], broken: Mask, *, name_worst: bool) -> None:
    """Raises Implausible for an answer of mostly impossible bars."""
    count, size = int(broken.sum()), len(broken)
    if count < max(MIN_BROKEN, BROKEN_SHARE * size):
        return
    name, rule, _ = max(rules, key=lambda r: int(r[2].sum()))
    worst = f", most of them for {name}: {rule}" if name_worst else ""
    raise Implausible(
        f"{subject}: {count} of {size} bars break a rule{worst}; the whole answer is refused",
        hint="was an index asked for as a stock, or is the calendar wrong?",
    )


def refuse_jumps(subject: str, closes: Ints, how_often: str) -> None:
    """Raises Implausible for jumps that no market makes; `how_often` has room for two numbers."""
    before, after = closes[:-1].astype(np.float64), closes[1:].astype(np.float64)
    jumps = int(((after > JUMP * before) | (before > JUMP * after)).sum())
    if jumps >= max(MIN_JUMPS, JUMP_SHARE * len(closes)):
        raise Implausible(
            f"{subject}: the close jumps by more than a factor {JUMP}"
            f" {how_often.format(jumps, len(closes))}; the whole answer is refused",
            hint="was an index asked for as a stock?",
        )


def check_bars(
    code: str,
    bars: Bars,
    as_of: date,
    closed: Callable[[date], bool],
    *,
    adjusted: bool = False,
) -> tuple[Bars, list[Rejected]]:
    """The plausible bars of days, and one Rejected for each rule that a bar breaks.

    `as_of` is today on the exchange; `closed(day)` is true where every calendar known says so.
    Prices of `adjusted` bars may be negative, and jump. Raises Implausible for an answer that is wrong
    as a whole.
    """
    columns = {name: np.array(getattr(bars, name), np.int64) for name in NUMBERS}
    least = -MOST["low"] if adjusted else 1
    rules = [*number_rules(columns, least=least), *_day_rules(bars.dates, as_of, closed)]
    broken, subject = broken_by(rules, len(bars)), f"{bars.source_route} {code}"
    refuse_nonsense(subject, rules, broken, name_worst=False)
    if not adjusted:
        refuse_jumps(subject, columns["close"], "on {} of {} days")
    if not broken.any():
        return bars, []
    rejected = [
        Rejected(
            row_key=f"{code} {bars.dates[i]}",
            field=field,
            rule=rule,
            value=str(bars.row(i)[field]),
            payload=orjson.dumps({"code": code} | bars.row(i)).decode(),
        )
        for i in np.flatnonzero(broken).tolist()
        for field, rule, mask in rules
        if mask[i]
    ]
    return bars.take(np.flatnonzero(~broken).tolist()), rejected


def _day_rules(days: Sequence[date], as_of: date, closed: Callable[[date], bool]) -> Iterator[Rule]:
    number = np.fromiter(map(date.toordinal, days), np.int64, len(days))
    future, early = number > as_of.toordinal(), number < FIRST_CHINESE_DAY.toordinal()
    yield "trade_date", "day must not lie in the future", future
    yield "trade_date", f"no exchange traded before {FIRST_CHINESE_DAY}", early
    shut = np.fromiter(map(closed, days), np.bool_, len(days)) & ~future & ~early
    yield "trade_date", "the exchange was closed on this day", shut
    # identical bars were merged when the answer was read
    twice = np.isin(number, number[1:][number[1:] == number[:-1]])
    yield "trade_date", "bars of one day must not contradict each other", twice
