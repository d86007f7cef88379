"""An answer of ticks → the day as the tick store takes it, and the refused rows.

The source gives today's hours, not those of the past, so no tick is refused for lying outside of
hours. It is for lying outside of its trading day, from the evening of the day before to its own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.landing.no_value import is_unset
from loaders.landing.rejects import Rejected
from loaders.ticks.frame import MOST
from loaders.tq.trading_day import nanoseconds
from quotemill.ticks.columns import QUOTED, DayKey

AUCTION_S = 900  # before and after a session, when its auctions may be
SHOWN = 20  # refused rows of a day that are stored one by one for each rule
PRICES = tuple(n for n, _ in QUOTED if "_price" in n or n in ("highest", "lowest", "average"))
COUNTS = ("volume", "open_interest", *(n for n, kind in QUOTED if "_volume" in n))


@dataclass(frozen=True)
class Sifted:
    """A sifted day.

    `ticks`: the rows that may be stored, in the order in which they came. `refused`: the number of
    others.
    """

    ticks: pa.Table
    rejected: list[Rejected]
    refused: int


def sift_ticks(answer: pa.Table, key: DayKey, start: datetime, end: datetime) -> Sifted:
    """Sift the ticks of a contract-day.

    `datetime_ns` and the columns of QUOTED, numbers.

    The trading day lies between `start` (included) and `end`, in UTC.
    """
    ticks = answer.select(["datetime_ns", *(name for name, _ in QUOTED)]).combine_chunks()
    answered = {name: _read(ticks, name) for name in ticks.column_names[1:]}
    for index, (name, values) in enumerate(answered.items(), 1):
        nothing = is_unset(values, is_price=name in PRICES, is_size=name in COUNTS)
        if (size := answered.get(name.replace("_price", "_volume"))) is not None:
            nothing &= (values != 0) | ~(size > 0)  # with a size 0 is the price of a level
        ticks = ticks.set_column(
            index, name, pa.array(np.where(nothing, np.nan, values), from_pandas=True)
        )
    stamps = np.asarray(ticks["datetime_ns"])
    first, last = nanoseconds(start), nanoseconds(end)
    is_missing = np.asarray(pc.is_null(ticks["volume"], nan_is_null=True))
    rules = [
        ("datetime_ns", "must lie in its trading day", (stamps < first) | (stamps >= last)),
        ("volume", "must not be missing", is_missing),
    ]
    for name, _ in QUOTED:
        values = _read(ticks, name)
        rules.append((name, "must be a number of at most 15 digits", np.abs(values) > MOST))
        if name in COUNTS:
            wrong = (values < 0) | (np.floor(values) != values) & ~np.isnan(values)
            rules.append((name, "must be a whole number, not negative", wrong))
        elif name == "amount":
            rules.append((name, "must not be negative", values < 0))
    repeated = ticks.to_pandas().duplicated().to_numpy()
    rules.append(("datetime_ns", "must not repeat a tick in all its values", repeated))
    keep = np.ones(len(stamps), bool)
    rejected: list[Rejected] = []
    for field, rule, broken in rules:
        rows = np.flatnonzero(broken & keep)
        keep &= ~broken
        rejected += [_refusal(ticks, int(row), key, field=field, rule=rule) for row in rows[:SHOWN]]
        if len(rows) > SHOWN:
            more = f"{len(rows) - SHOWN} more"
            rejected.append(Rejected(f"{key.contract} {key.trading_day}", field, rule, more, "{}"))
    return Sifted(ticks.filter(pa.array(keep)), rejected, int((~keep).sum()))


def _read(ticks: pa.Table, name: str) -> Any:
    return ticks[name].cast(pa.float64()).to_numpy(zero_copy_only=False)


def count_outside(stamps: Any, spans: Sequence[tuple[datetime, datetime]]) -> int:
    """How many stamps (ns) lie outside all sessions and the auctions around them."""
    if not spans:
        return 0
    inside, around = np.zeros(len(stamps), bool), AUCTION_S * 1_000_000_000
    for start, end in spans:
        inside |= (stamps >= nanoseconds(start) - around) & (stamps <= nanoseconds(end) + around)
    return int((~inside).sum())


def _refusal(ticks: pa.Table, row: int, key: DayKey, *, field: str, rule: str) -> Rejected:
    values = {name: ticks[name][row].as_py() for name in ticks.column_names}
    stamp = values["datetime_ns"]
    name = f"{key.contract} {key.trading_day} {stamp} {row}"
    return Rejected(name, field, rule, str(values[field]), json.dumps(values))
