"""Whether the ticks of a day account for what was traded on it, and which of two answers does it better.

A tick's volume counts from the beginning of its trading day, so the last tick alone adds up to the day
bar even where a whole session before it is missing. What is missing shows as one large step.
"""

from typing import Any

import numpy as np
import pyarrow as pa

TOLERANCE = 0.01  # of a day bar's volume that its last tick may lack
HOLE = 0.1  # of a day's volume that may come with one tick, the first one included
MANY = (
    2_000  # ticks of a day from which on such a step is a hole; thin days are traded in large ones
)


def told(ticks: pa.Table) -> int:
    """Lots that the ticks of a day (column `volume`) tell of."""
    return int(_volumes(ticks).max(initial=0))


def lacking(ticks: pa.Table, traded: int | None) -> str | None:
    """What of a day its ticks (column `volume`) leave out; None where they account for it.

    `traded`: lots of the final day bar; None where there is none, and only holes can be seen."""
    volumes = _volumes(ticks)
    lots = told(ticks)
    if traded is not None and lots < traded * (1 - TOLERANCE):
        return f"ticks of {lots:,} lots, where the day bar has {traded:,}"
    day = lots if traded is None else traded
    # sorted: a tick may come late; cut: one left over from the day before may tell of more
    steps = np.diff(np.sort(np.minimum(volumes, day)), prepend=0)
    step = int(steps.max(initial=0))
    if len(volumes) < MANY or step <= day * HOLE:
        return None
    return f"ticks with a hole of {step:,} lots among the day's {day:,}"


def rank(ticks: pa.Table, traded: int | None) -> tuple[bool, int, int]:
    """Of two answers for a day the one that ranks higher is the better one."""
    return lacking(ticks, traded) is None, told(ticks), ticks.num_rows


def _volumes(ticks: pa.Table) -> Any:
    values = ticks["volume"].cast(pa.float64()).to_numpy()
    return values[np.isfinite(values) & (values >= 0)]
