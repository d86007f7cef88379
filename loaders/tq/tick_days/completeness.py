"""Whether the ticks of a day account for its trade, and the better of two answers.

A tick's volume counts from the start of its trading day, so the last tick alone adds up to the day
bar even where a whole session before it is missing. What is missing shows as one large step.
"""

from typing import Any

import numpy as np
import pyarrow as pa

TOLERANCE = 0.01  # of a day bar's volume that its last tick may lack
HOLE = 0.1  # of a day's volume that may come with one tick, the first one included
FEWER = 0.1  # of an answer's ticks that a better one may lack, as where some were sent twice
# ticks of a day from which on such a step is a hole; thin days are traded in large steps
MANY = 2_000


def traded_lots(ticks: pa.Table) -> int:
    """Lots traded by the end of a day's ticks (column `volume`)."""
    return int(_volumes(ticks).max(initial=0))


def lacks_lots(lots: int | None, traded: int | None) -> bool:
    """Whether lots are too few for those of the day bar."""
    return traded is not None and (lots or 0) < traded * (1 - TOLERANCE)


def describe_gap(ticks: pa.Table, traded: int | None) -> str | None:
    """What the ticks of a day (column `volume`) leave out.

    None where they account for it.

    `traded`: lots of the final day bar; None without one: then only holes can be seen.
    """
    volumes = _volumes(ticks)
    lots = traded_lots(ticks)
    if lacks_lots(lots, traded):
        return f"ticks of {lots:,} lots, where the day bar has {traded:,}"
    day = lots if traded is None else traded
    # sorted: a tick may come late; cut: one left over from the day before may hold more
    steps = np.diff(np.sort(np.minimum(volumes, day)), prepend=0)
    step = int(steps.max(initial=0))
    if len(volumes) < MANY or step <= day * HOLE:
        return None
    return f"ticks with a hole of {step:,} lots among the day's {day:,}"


def rank(ticks: pa.Table, traded: int | None) -> tuple[bool, int, int]:
    """A value that is higher for the better of two answers for a day."""
    return describe_gap(ticks, traded) is None, traded_lots(ticks), ticks.num_rows


def lacks_ticks(rows: int, others: int) -> bool:
    """Whether an answer has so few ticks that it cannot be better than another.

    A rank alone does not tell: the last ticks of a day alone have all its lots.
    """
    return rows < others * (1 - FEWER)


def _volumes(ticks: pa.Table) -> Any:
    values = ticks["volume"].cast(pa.float64()).to_numpy()
    return values[np.isfinite(values) & (values >= 0)]
