"""Ticks of the running session, as they come."""

import time
from dataclasses import dataclass
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from loaders.tq.client.program.codes import own_code, server_code
from loaders.tq.client.program.failure import Failure, classify
from loaders.tq.client.program.session import Session
from loaders.tq.client.program.ticks import NEWEST_TICKS, write_ticks

ROWS = 2_000  # of a file, after which the next one begins
MOST_TICKS = 200_000  # that the charts of all contracts begin with, some 3 kB each in memory
FILES = 10  # written in a turn, each some 70 kB: those of many contracts in several turns
TURNS = 10  # in which all are written, however many


def live(
    session: Session, varieties: list[str], day: str, start: int, folder: str, flush: float
) -> None:
    """Write the ticks of the present main contracts to files until the program is ended.

    The first file of a contract has its newest ticks of the trading day so far (from `start` ns
    on), and the one before. A file is there whole or not at all, and is replaced until it is full;
    its name is the number of its first tick. An item is sent every `flush` seconds, also without a
    tick: {variety: [contract, its newest stamp]}, without the varieties that have no main contract,
    or whose ticks do not come. Ticks that are in a file leave the client's memory.
    """
    mains = current_mains(session, varieties, date.fromisoformat(day))
    lacking = session.undescribed([server_code(contract) for contract in mains.values()])
    mains = {v: contract for v, contract in mains.items() if server_code(contract) not in lacking}
    length = min(NEWEST_TICKS, max(ROWS, MOST_TICKS // max(1, len(mains))))
    charts = {}
    for variety, contract in mains.items():
        # one that never comes takes the client minutes: two are no sign that the servers are gone
        session.send({"progress": f"{contract} is asked for"})
        try:
            frame = session.api.get_tick_serial(server_code(contract), data_length=length)
        except Exception as error:
            if classify(error).kind != "timeout":
                raise
            continue
        before = frame[(frame["datetime"] > 0) & (frame["datetime"] < start)]
        full = int(before["id"].iloc[-1]) - 1 if len(before) else -1
        charts[variety] = _Chart(contract, frame, Path(folder) / contract, full)
    if not charts:
        raise Failure("timeout", f"no response for any main contract of {', '.join(varieties)}")
    order, turn = cycle(charts.values()), len(charts)
    while True:
        for chart in islice(order, turn):
            chart.write()
            session.forget_ticks(server_code(chart.contract), before=chart.written)
        turn = min(len(charts), max(FILES, -(-len(charts) // TURNS)))
        session.send({"item": {v: [c.contract, c.newest_stamp] for v, c in charts.items()}})
        deadline = time.time() + flush
        # where ticks come faster than the client takes them, it has an update each time
        while time.time() < deadline and session.api.wait_update(deadline=deadline):
            pass


def current_mains(session: Session, varieties: list[str], day: date) -> dict[str, str]:
    """The main contract of each variety that has one at this moment, by our codes."""
    mains = {}
    for variety in varieties:
        exchange, _, product = variety.partition(".")
        answer = session.api.query_cont_quotes(exchange_id=exchange, product_id=product)
        if answer:
            mains[variety] = own_code(answer[0], day)
    return mains


@dataclass
class _Chart:
    """Ticks of a contract: those up to the number `full` are in files that are full, or in none."""

    contract: str
    frame: Any
    folder: Path
    full: int
    written: int = -1

    @property
    def newest_stamp(self) -> int:
        stamp = self.frame["datetime"].iloc[-1]
        return int(stamp) if stamp > 0 else 0

    def write(self) -> None:
        """Write what came since into the file that is not full yet."""
        rows = self.frame[(self.frame["datetime"] > 0) & (self.frame["id"] > self.full)]
        if not len(rows) or int(rows["id"].iloc[-1]) == self.written:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{int(rows['id'].iloc[0]):012}.parquet"
        fresh = path.with_suffix(".new")
        write_ticks(str(fresh), self.contract, rows)
        fresh.replace(path)
        self.written = int(rows["id"].iloc[-1])
        if len(rows) >= ROWS:
            self.full = self.written
