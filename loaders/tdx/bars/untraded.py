"""The rule of days without a trade, which are no trading days, for bars within the day and ticks.

Sources write the last price for each minute of a suspension, or a tick or two without volume. None
of that lands. What lands of a day is decided by its whole: the flat minutes before and after a halt
of some hours stay, beside those with trades. A running day without a trade so far has no bar yet;
all of them come with its first trade. An index needs no volume.

Day bars land as they are, and quotes too: the warehouse applies the rule to them (`is_traded`,
`stg_tdx__quote`).
"""

from collections.abc import Sequence

import numpy as np

from loaders.tdx.bars import records
from loaders.tdx.bars.records import Mask, Records


def find_untraded(bars: Records, period: str) -> Mask:
    """Bars of days that have one price, no volume and no turnover from their first bar on.

    Bars that begin in mid-day may follow trades.
    """
    if not len(bars) or bars["volume"].all():
        return np.zeros(len(bars), np.bool_)
    _, first, where = np.unique(bars["day"], return_index=True, return_inverse=True)
    is_flat = (bars["volume"] == 0) & (bars["amount"] <= 0)
    is_flat &= (bars["low"] == bars["high"]) & (bars["close"] == bars["close"][first][where])
    has_first = np.bincount(where, bars["label"] == records.grid(period)[0]) > 0
    return np.asarray((has_first & (np.bincount(where, ~is_flat) == 0))[where])


def any_traded(volumes: Sequence[int]) -> bool:
    """Whether any tick of a day is a trade."""
    return any(volumes)
