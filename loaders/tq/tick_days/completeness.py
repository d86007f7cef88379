"""Whether the ticks of a day account for its trade, and the better of two answers.

A tick's volume counts from the start of its trading day, so the last tick alone adds up to the day
bar even where a whole session before it is missing. What is missing shows as one large step.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loaders.tq.trading_day import to_time
from loaders.trading_time import SHANGHAI

TOLERANCE = 0.01  # of a day bar's volume that its last tick may lack
HOLE = 0.1  # of a day's volume that may come with one tick, the first one included
FEWER = 0.1  # of an answer's ticks that a better one may lack, as where some were sent twice
# ticks, or lots, of a day from which on such a step is a hole; thin days are traded in large steps
MANY = 2_000
MANY_LOTS = 20_000  # few ticks of so many lots are the end of a day
# of a thin day: a step of so many lots, and of so much of the day. In recorded minutes of days with
# fewer than MANY_LOTS no whole minute but that of one block has both
STEP_LOTS = 1_000
THIN_HOLE = 0.5
PAUSE = 10 * 10**9  # ns without a tick before such a step; the volume of a shorter one is a trade
NIGHT_AUCTION = (20 * 3600 + 50 * 60, 21 * 3600 + 60)  # seconds of the day: nothing is before it
CHINA = 8 * 3600  # seconds ahead of UTC


def traded_lots(ticks: pa.Table) -> int:
    """Lots traded by the end of a day's ticks (column `volume`)."""
    return int(_volumes(ticks).max(initial=0))


def lacks_lots(lots: int | None, traded: int | None) -> bool:
    """Whether lots are too few for those of the day bar."""
    return traded is not None and (lots or 0) < traded * (1 - TOLERANCE)


def describe_gap(ticks: pa.Table, traded: int | None, until: int | None = None) -> str | None:
    """What the ticks of a day (columns `volume`, and `datetime_ns` where known) leave out.

    None where they account for it.

    `traded`: lots of the final day bar; None without one: then only holes can be seen, and that no
    tick is from `until` (ns) or later, as where a session at the end is missing.
    """
    lots = traded_lots(ticks)
    if lacks_lots(lots, traded):
        return f"ticks of {lots:,} lots, where the day bar has {traded:,}"
    if traded is None and until is not None:
        last = int(pc.max(ticks["datetime_ns"]).as_py())
        if last < until:
            clock = to_time(last).astimezone(SHANGHAI)
            return f"the last tick is from {clock:%H:%M}, and no day bar says that trade ended then"
    day = lots if traded is None else traded
    volumes, follows_pause = _order_ticks(ticks)
    # one left over from the day before may hold more
    steps = np.diff(np.minimum(volumes, day), prepend=0)[follows_pause]
    step = int(steps.max(initial=0))
    is_thin = len(volumes) < MANY and day < MANY_LOTS
    if step <= day * (THIN_HOLE if is_thin else HOLE) or (is_thin and step < STEP_LOTS):
        return None
    return f"ticks with a hole of {step:,} lots among the day's {day:,}"


def rank(ticks: pa.Table, traded: int | None, until: int | None = None) -> tuple[bool, int, int]:
    """A value that is higher for the better of two answers for a day."""
    return describe_gap(ticks, traded, until) is None, traded_lots(ticks), ticks.num_rows


def lacks_ticks(rows: int, others: int) -> bool:
    """Whether an answer has so few ticks that it cannot be better than another.

    A rank alone does not tell: the last ticks of a day alone have all its lots.
    """
    return rows < others * (1 - FEWER)


def _volumes(ticks: pa.Table) -> Any:
    values = ticks["volume"].cast(pa.float64()).to_numpy()
    return values[np.isfinite(values) & (values >= 0)]


def _order_ticks(ticks: pa.Table) -> tuple[Any, Any]:
    """Volumes in their order, as a tick may come late, and which of them ticks may precede.

    Those after a pause, and the first, unless it is of the auction before a night session. On a day
    at its price limit the auction, or one trade that opens it, is a large part of the volume.
    """
    if "datetime_ns" not in ticks.column_names:
        volumes = np.sort(_volumes(ticks))
        return volumes, np.ones(len(volumes), bool)
    values = ticks["volume"].cast(pa.float64()).to_numpy()
    known = np.isfinite(values) & (values >= 0)
    volumes, stamps = values[known], ticks["datetime_ns"].to_numpy()[known]
    order = np.lexsort((stamps, volumes))
    volumes, stamps = volumes[order], stamps[order]
    follows_pause = np.abs(np.diff(stamps, prepend=stamps[:1])) >= PAUSE
    clock = (stamps[:1] // 10**9 + CHINA) % 86_400
    follows_pause[:1] = (clock < NIGHT_AUCTION[0]) | (clock > NIGHT_AUCTION[1])
    return volumes, follows_pause
