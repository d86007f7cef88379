"""Which session open interest is of, told by its values: a gateway may go on showing old ones, unsaid.

The clock says which session's it ought to be. It is an older one's still, and confirms nothing, where

* every contract has the value that is stored of a session before, to the last contract, unless what was
  captured since says that none of them was traded; or
* nearly every one has (SAME_SHARE), and what was captured since says that there was trading.

A contract whose value did not change is no sign by itself, nor is a chain of which one alone is known.
"""

from collections.abc import Callable, Mapping
from datetime import date

SAME_SHARE = 0.99  # of a chain
FEWEST = 2  # contracts that are worth a comparison


def frozen_since(
    values: Mapping[int, int],
    known: Mapping[int, Mapping[date, int]],
    by_clock: date,
    traded: Callable[[date], bool | None],
) -> date | None:
    """The older session whose open interest `values` still are, or None.

    `values` and `known` (by as-of day) are by contract; `traded(day)` says whether there was trading
    after that day, None where nobody knows.
    """
    newest = {
        conid: max(days)
        for conid in values
        if (days := [day for day in known.get(conid, {}) if day < by_clock])
    }
    if len(newest) < FEWEST:
        return None
    same = sum(values[conid] == known[conid][day] for conid, day in newest.items())
    if same < SAME_SHARE * len(newest):
        return None
    since = max(newest.values())
    had_trading = traded(since)
    is_frozen = had_trading is not False if same == len(newest) else had_trading is True
    return since if is_frozen else None
