"""Which session open interest is of, told by its values: a gateway may go on showing old ones, unsaid.

The clock says which session's it ought to be. It is an older one's still, and confirms nothing, where

* nearly every contract has the value that is stored of a session before (SAME_SHARE), and so have those of
  them that were traded since, by what was captured, of which there are FEWEST_TRADED; or
* every one has, to the last contract, and nobody knows what was traded.

A contract whose value did not change is no sign by itself, and a trade may leave it as it was: of a chain of
which few contracts are traded the others say nothing, whatever their number.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date

SAME_SHARE = 0.99  # of a chain
FEWEST = 2  # contracts that are worth a comparison
FEWEST_TRADED = 5


def frozen_since(
    values: Mapping[int, int],
    known: Mapping[int, Mapping[date, int]],
    by_clock: date,
    traded: Callable[[date], Collection[int] | None],
) -> date | None:
    """The older session whose open interest `values` still are, or None.

    `values` and `known` (by as-of day) are by contract; `traded(day)` tells the contracts that were traded
    after that day, None where nobody knows.
    """
    newest = {
        conid: max(days)
        for conid in values
        if (days := [day for day in known.get(conid, {}) if day < by_clock])
    }
    if len(newest) < FEWEST:
        return None
    same = {conid for conid, day in newest.items() if values[conid] == known[conid][day]}
    if len(same) < SAME_SHARE * len(newest):
        return None
    since = max(newest.values())
    found = traded(since)
    if found is None:
        return since if len(same) == len(newest) else None
    moved = newest.keys() & set(found)
    is_frozen = len(moved) >= FEWEST_TRADED and len(moved & same) >= SAME_SHARE * len(moved)
    return since if is_frozen else None
