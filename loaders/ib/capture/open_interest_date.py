"""The session that open interest is of, by its values: a gateway may show old ones unannounced.

The clock says which session it ought to be. The values are an older session's still, and confirm
nothing, where

* nearly every contract has the value that is stored of a session before (SAME_SHARE), and so have
  those of them that were traded since, by what was captured; of these there are SURE_TRADED; or
* every single contract has it, and no trade is on record.

A contract whose value did not change is no sign by itself, and a trade may leave it as it was: in a
chain of which few contracts are traded the others prove nothing, whatever their number.

For some 25 minutes after publication a gateway shows old and new values, contract by contract. Of
FEWEST_TRADED traded contracts or more, DOUBTFUL_SHARE that kept their value are too many: those are
doubtful. A trade keeps it where one side opens and the other closes: at even odds in half of the
contracts with one trade, in 18 of 100 with ten; in the sandbox's chains it is 9, at most 12 of 100.
So a quarter doubts a thinly traded chain without need now and then, which costs a further reading.
Of less than SURE_TRADED all may have kept it: they are doubtful too, else they would wait all day.

A day may end in doubt. Then some contracts have no final value of it, and one that differs from
that of the day before proves nothing: it may be the day's own. Such contracts are not counted, and
are as doubtful as the others. If 60 of 100 were old on the day and 30 on the next morning, that
lets 2 of 300 such mornings pass; counted, they would hide 295.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from loaders.ib.slots import at_new_york, date_in_new_york, session_before, session_on

SAME_SHARE = 0.99  # of a chain
FEWEST = 2  # contracts that are worth a comparison
FEWEST_TRADED = 5
SURE_TRADED = 10  # none of which changed: by chance once in a thousand days, at even odds
DOUBTFUL_SHARE = 0.25  # of the traded contracts


@dataclass(frozen=True)
class Comparison:
    """Values beside those stored of sessions before.

    older     the session whose values they still are
    doubtful  contracts whose value may still be of a session before, where others' is not
    """

    older: date | None = None
    doubtful: frozenset[int] = frozenset()


def asof_date(captured_at: datetime, published_at: str) -> date:
    """The session whose closing position the gateway shows at a time.

    It is the one before the newest session whose publication has passed.
    """
    day = date_in_new_york(captured_at)
    session = session_on(day)
    if session is None or captured_at < at_new_york(day, time.fromisoformat(published_at)):
        session = session_before(day)
    return session_before(session.trade_date).trade_date


def compare_sessions(
    values: Mapping[int, int],
    known: Mapping[int, Mapping[date, int]],
    *,
    by_clock: date,
    traded: Callable[[date], Collection[int] | None],
) -> Comparison:
    """Whether `values` still are those of an older session, or some of them may be.

    `values` and `known` (by as-of date) are by contract; `traded(day)` gives the contracts that
    were traded after that day, None where no volume is known.
    """
    newest = {
        conid: max(days)
        for conid in values
        if (days := [day for day in known.get(conid, {}) if day < by_clock])
    }
    if len(newest) < FEWEST:
        return Comparison()
    same = {conid for conid, day in newest.items() if values[conid] == known[conid][day]}
    since = max(newest.values())
    conids = traded(since)
    if conids is None:
        return Comparison(since if len(same) == len(newest) else None)
    # one that is not what an earlier session had may be what that of `since` has
    silent = {conid for conid, day in newest.items() if day < since} - same
    compared = newest.keys() - silent
    moved = compared & set(conids)
    unmoved = moved & same
    if len(moved) < FEWEST_TRADED or len(unmoved) < DOUBTFUL_SHARE * len(moved):
        return Comparison()
    share = min(len(same) / len(compared), len(unmoved) / len(moved))
    if len(moved) >= SURE_TRADED and share >= SAME_SHARE:
        return Comparison(since)
    return Comparison(doubtful=frozenset(unmoved | silent & set(conids)))
