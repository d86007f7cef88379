"""Days of ticks by the professional history, and the newest ticks."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loaders.tq.client.program.failure import Failure
from loaders.tq.client.program.session import Session, cst, empty_cache

NEWEST_TICKS = 8_000  # what a chart may show
BOOK = [
    f"{side}_{what}{level}"
    for level in range(1, 6)
    for side in ("bid", "ask")
    for what in ("price", "volume")
]
TICK_FIELDS = [
    *("last_price", "highest", "lowest", "average", "volume", "amount", "open_interest"),
    *BOOK,
]


def ticks(
    session: Session, contract: str, ranges: list[list[Any]], folder: str, pace: float
) -> None:
    """For each range (trading day, first ns, end ns) an `item` that it is asked for, and later its answer.

    The ranges' own order is kept. A day without a tick is told once it is known whether another
    day of the contract had some in this session, or, after the last, whether the service has any
    tick of the contract at all.
    """
    if not session.may("tq_dl"):
        raise Failure("permission", "the account may not download the history of ticks (tq_dl)")
    session.check_known([contract])
    any_rows, held_back = False, list[dict[str, Any]]()
    for number, (day, start, end) in enumerate(ranges):
        if number and pace:
            time.sleep(pace)
        session.tell({"item": {"asking": day}})
        with _Watch(
            lambda: len(session.ticks_in_memory(contract)),
            lambda n: session.tell({"progress": f"{contract}: {n} ticks"}),
        ):
            frame = session.api.get_tick_data_series(contract, cst(start), cst(end - 1000))
        empty_cache()
        item = {"trading_day": day, "path": None, "rows": 0}
        kept = _whole(session, contract, frame, start, end)
        if len(kept):
            path = str(Path(folder) / f"{contract}-{day}.parquet")
            _write(path, kept)
            item |= {"path": path, "rows": len(kept)}
            any_rows = True
        held_back.append(item)
        if any_rows:
            _tell_items(session, held_back, True)
    if held_back:
        newest = session.api.get_tick_serial(contract, data_length=1)
        _tell_items(session, held_back, bool((newest["datetime"] > 0).any()))


def recent_ticks(session: Session, contract: str, n: int, path: str) -> int:
    session.check_known([contract])
    frame = session.api.get_tick_serial(contract, data_length=min(n, NEWEST_TICKS))
    frame = frame[frame["datetime"] > 0]
    _write(path, frame)
    return len(frame)


def _whole(session: Session, contract: str, frame: Any, start: int, end: int) -> Any:
    """The rows of a range, no other: a cached row before it may stand first. And all of them: where
    the first rows carry one stamp, or come in another order, the client leaves out all but the last
    of those; they are still in its memory."""
    import pandas as pd

    if not len(frame):
        return frame
    kept = frame[(frame["datetime"] >= start) & (frame["datetime"] < end)]
    known, left_out = session.ticks_in_memory(contract), list[dict[str, Any]]()
    number = int(frame["id"].iloc[0]) - 1
    while str(number) in known and start <= known[str(number)]["datetime"] < end:
        row = known[str(number)]
        left_out.append(
            {"id": number, **{n: row[n] for n in ("datetime", *TICK_FIELDS) if n in row}}
        )
        number -= 1
    return pd.concat([pd.DataFrame(left_out[::-1]), kept]) if left_out else kept


def _tell_items(session: Session, items: list[dict[str, Any]], any_rows: bool) -> None:
    for item in items:
        session.tell({"item": {**item, "more_days_had_rows": any_rows}})
    items.clear()


class _Watch:
    """Says every second that a number grew, while something else stands in a long call."""

    def __init__(self, count: Callable[[], int], say: Callable[[int], None]) -> None:
        self._count, self._say = count, say
        self._done = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        seen = 0
        while not self._done.wait(1.0):
            try:
                now = self._count()
            except Exception:  # looked at from another thread, in the middle of a change
                continue
            if now != seen:
                seen = now
                self._say(now)


def _write(path: str, frame: Any) -> None:
    """id and datetime_ns as integers, all else as the float64 that the client makes of it; what is not
    there (a level of the book without an order, or below the first on most exchanges) is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array(frame["id"].to_numpy(), pa.int64()),
        "datetime_ns": pa.array(frame["datetime"].astype("int64").to_numpy(), pa.int64()),
    }
    for name in TICK_FIELDS:
        if name in frame:
            values = frame[name].astype("float64").to_numpy()
            columns[name] = pa.array(values, pa.float64(), from_pandas=True)
        else:
            columns[name] = pa.nulls(len(frame), pa.float64())
    pq.write_table(pa.table(columns), path)
