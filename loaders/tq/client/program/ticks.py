"""Days of ticks from the professional history, and the newest ticks."""

import threading
from collections.abc import Callable
from typing import Any

from loaders.tq.client.program.codes import server_code
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
    "last_price",
    "highest",
    "lowest",
    "average",
    "volume",
    "amount",
    "open_interest",
    *BOOK,
]
# of the exchanges of futures only this one has five levels in the history; `_get_data_cols`
FIVE_LEVELS = "SHFE."
DEEPER_VOLUMES = {name for name in BOOK if "_volume" in name and not name.endswith("1")}


def ticks(session: Session, contract: str, start: int, end: int, path: str, pace: float) -> int:
    """Write the ticks from `start` to `end` (ns), if there are any; how many."""
    if not session.may("tq_dl"):
        raise Failure("permission", "the account may not download tick history (tq_dl)")
    session.check_known([contract])
    session.keep_pace(pace)
    code = server_code(contract)
    with _Progress(
        lambda: len(session.ticks_in_memory(code)),
        lambda n: session.send({"progress": f"{contract}: {n} ticks"}),
    ):
        frame = session.api.get_tick_data_series(code, cst(start), cst(end - 1000))
    empty_cache()
    rows = _select_day(session, code, frame, start, end)
    if len(rows):
        write_ticks(path, contract, rows)
    return len(rows)


def recent_ticks(session: Session, contract: str, n: int, path: str) -> int:
    session.check_known([contract])
    count = min(n, NEWEST_TICKS)
    frame = session.api.get_tick_serial(server_code(contract), data_length=count)
    frame = frame[frame["datetime"] > 0]
    write_ticks(path, contract, frame)
    return len(frame)


def _select_day(session: Session, code: str, frame: Any, start: int, end: int) -> Any:
    """All rows of a range, and no other: a cached row before it may stand first.

    Where the first rows have the same stamp, or are out of order, the client leaves out all but the
    last of them; they are still in its memory.
    """
    import pandas as pd

    if not len(frame):
        return frame
    rows = frame[(frame["datetime"] >= start) & (frame["datetime"] < end)]
    known, left_out = session.ticks_in_memory(code), list[dict[str, Any]]()
    number = int(frame["id"].iloc[0]) - 1
    while str(number) in known and start <= known[str(number)]["datetime"] < end:
        row = known[str(number)]
        left_out.append(
            {"id": number, **{n: row[n] for n in ("datetime", *TICK_FIELDS) if n in row}}
        )
        number -= 1
    return pd.concat([pd.DataFrame(left_out[::-1]), rows]) if left_out else rows


class _Progress:
    """Reports every second how a number grew during a long call."""

    def __init__(self, count: Callable[[], int], report: Callable[[int], None]) -> None:
        self._count, self._report = count, report
        self._done = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        last = 0
        while not self._done.wait(1.0):
            try:
                now = self._count()
            except Exception:  # the other thread is just changing it
                continue
            if now != last:
                last = now
                self._report(now)


def write_ticks(path: str, contract: str, frame: Any) -> None:
    """Write id and datetime_ns as integers, all else as the client's float64.

    Missing values (a level of the book without an order, or below the first on most exchanges) are
    null. In charts the client makes 0 of volumes that the servers do not send.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.array(frame["id"].to_numpy(), pa.int64()),
        "datetime_ns": pa.array(_whole_stamps(frame["datetime"]), pa.int64()),
    }
    for name in TICK_FIELDS:
        if name in frame:
            values = frame[name].astype("float64").to_numpy()
            if name in DEEPER_VOLUMES and not contract.startswith(FIVE_LEVELS):
                is_absent = frame[name.replace("volume", "price")].isna().to_numpy()
                values = np.where(is_absent & (values == 0), np.nan, values)
            columns[name] = pa.array(values, pa.float64(), from_pandas=True)
        else:
            columns[name] = pa.nulls(len(frame), pa.float64())
    pq.write_table(pa.table(columns), path)


def _whole_stamps(stamps: Any) -> Any:
    """Stamps as integers; newest ticks have them as float64, which is off by up to 128 ns.

    The exchanges' are whole microseconds.
    """
    if stamps.dtype.kind == "f":
        return ((stamps / 1000).round().astype("int64") * 1000).to_numpy()
    return stamps.astype("int64").to_numpy()
