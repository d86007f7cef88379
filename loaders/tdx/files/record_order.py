"""The order of a file's records: sorted by time, one of each time.

A record that stands out of order is whole all the same. Of records of one time that differ, one
stays: of minutes that in the longer unbroken run of the day, as an earlier download ends early,
then one that stands in its place, then the first.
"""

from typing import NamedTuple

import numpy as np

from loaders.tdx.bars.records import Ints, Mask, Records
from quotemill.wording import say_count


class Order(NamedTuple):
    """The records to read.

    taken: their places, ascending in time
    is_refused: records without a time (of equal ones the first), and those that differ from a
        taken one of their time
    sentence: about records that are sorted or repeat others, or None
    """

    taken: Ints | slice
    is_refused: Mask
    sentence: str | None = None


def sort_records(raw: Records, days: Ints, times: Ints, has_time: Mask) -> Order:
    """Order the records of a file by their times."""
    if has_time.all() and (np.diff(times) > 0).all():
        return Order(slice(None), ~has_time)
    places = np.flatnonzero(has_time)
    if not len(places):
        return Order(places, ~has_time)
    times, days = times[places], days[places]
    is_break = np.append(False, (np.diff(times) <= 0) | (np.diff(days) != 0))
    run = np.cumsum(is_break)
    earlier = np.maximum.accumulate(days) > days
    later = np.minimum.accumulate(days[::-1])[::-1] < days
    order = np.lexsort((places, earlier | later, -np.bincount(run)[run], times))
    is_first = np.append(True, np.diff(times[order]) > 0)
    taken = places[order[is_first]]
    content = np.ascontiguousarray(raw).view("u8").reshape(len(raw), -1)
    others, their_taken = places[order], taken[np.cumsum(is_first) - 1]
    is_refused = np.zeros(len(raw), np.bool_)
    is_refused[others] = (content[others] != content[their_taken]).any(axis=1)
    untimed = np.flatnonzero(~has_time)  # such as a tail of zeros: one of equal ones
    is_refused[untimed[np.unique(content[untimed], axis=0, return_index=True)[1]]] = True
    repeats = len(raw) - len(taken) - int(is_refused.sum())
    says = []
    if (np.diff(taken) < 0).any():
        at = int(places[np.flatnonzero(earlier)[0]]) + 1
        says.append(f"record {at:,} is the first that is earlier than one before it: sorted")
    if repeats:
        count = say_count(repeats, "record repeats", "records repeat")
        says.append(f"{count} others byte for byte: read once")
    return Order(taken, is_refused, "; ".join(says) or None)
