"""The session that open interest is of, by its values: a gateway may show old ones unannounced.

The clock says which session it ought to be. The values are an older session's still, and confirm
nothing, where

* nearly every contract has the value that is stored of a session before (SAME_SHARE), and so have
  those of them that were traded since, by what was captured; of these there are FEWEST_TRADED; or
* every single contract has it, and no trade is on record.

A contract whose value did not change is no sign by itself, and a trade may leave it as it was: in a
chain of which few contracts are traded the others prove nothing, whatever their number.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time

from loaders.ib.slots import at_new_york, date_in_new_york, session_before, session_on

SAME_SHARE = 0.99  # of a chain
FEWEST = 2  # contracts that are worth a comparison
FEWEST_TRADED = 5


def asof_date(captured_at: datetime, published_at: str) -> date:
    """The session whose closing position the gateway shows at a time.

    It is the one before the newest session whose publication has passed.
    """
    day = date_in_new_york(captured_at)
    session = session_on(day)
    if session is None or captured_at < at_new_york(day, time.fromisoformat(published_at)):
        session = session_before(day)
    return session_before(session.trade_date).trade_date


def find_older_session(
    values: Mapping[int, int],
    known: Mapping[int, Mapping[date, int]],
    *,
    by_clock: date,
    traded: Callable[[date], Collection[int] | None],
) -> date | None:
    """The older session whose open interest `values` still are, or None.

    `values` and `known` (by as-of date) are by contract; `traded(day)` gives the contracts that
    were traded after that day, None where no volume is known.
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
    conids = traded(since)
    if conids is None:
        return since if len(same) == len(newest) else None
    moved = newest.keys() & set(conids)
    is_older = len(moved) >= FEWEST_TRADED and len(moved & same) >= SAME_SHARE * len(moved)
    return since if is_older else None
