"""Verification of a year of ticks in QuestDB: in bulk, and a day after the other.

Run by hand: `python -m tests.benchmarks.verification --folder DIR` needs 250 bytes a tick there.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from loaders.ticks.questdb import server
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.store import require_written
from quotemill.ticks.columns import DayKey
from tests.ticks import day_of_ticks

SETTINGS = QuestdbSettings(port=0, fsync=False)
FIRST = date(2025, 1, 1)
WHOLE = 60 * 5 * 243  # contract-days of 60 varieties in 5 years
WHOLE_ROWS = 30_000  # ticks of each


@dataclass(frozen=True)
class Results:
    """Seconds of all days in bulk, and of a day alone; `cpu_seconds`: the server's, in bulk."""

    days: int
    ticks: int
    bulk_seconds: float
    cpu_seconds: float
    day_seconds: float

    def __str__(self) -> str:
        rate = self.ticks / self.bulk_seconds
        minutes, hours = WHOLE * WHOLE_ROWS / rate / 60, WHOLE * self.day_seconds / 3600
        return (
            f"{self.days:,} contract-days, {self.ticks:,} ticks: in bulk {self.bulk_seconds:.1f} s "
            f"({rate / 1e6:.2f} million ticks/s; the server's CPU {self.cpu_seconds:.1f} s), a day "
            f"alone {self.day_seconds:.3f} s; {WHOLE:,} days of {WHOLE_ROWS:,}: {minutes:.0f} "
            f"minutes in bulk, {hours:.1f} hours a day after the other"
        )


def compare_ways(
    folder: Path, *, varieties: int, days: int, rows: int, sample: int, say: Callable[[str], None]
) -> Results:
    """Fill a store, measure all of it in bulk, then `sample` of its days one by one."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name) / "questdb"
        address = server.start(home, SETTINGS)
        store = QuestdbStore(lambda: address, SETTINGS, label="bench")
        try:
            store.prepare()
            keys = _fill(store, varieties, days, rows, say)
            pid = server.status(home).pid
            before, began = _cpu(pid), time.perf_counter()
            ticks = sum(part.rows for parts in store.measure_all() for part in parts)
            bulk, cpu = time.perf_counter() - began, _cpu(pid) - before
            chosen = random.Random(1).sample(keys, min(sample, len(keys)))
            began = time.perf_counter()
            for key in chosen:
                store.measure(*key)
            alone = (time.perf_counter() - began) / len(chosen)
        finally:
            store.close()
            server.remove(home)
    return Results(len(keys), ticks, bulk, cpu, alone)


def _fill(
    store: QuestdbStore, varieties: int, days: int, rows: int, say: Callable[[str], None]
) -> list[DayKey]:
    keys = []
    weekdays = [day for n in range(days * 2) if (day := FIRST + timedelta(n)).weekday() < 5]
    for day in weekdays[:days]:
        day_keys = [DayKey(f"KQ.m@SHFE.v{n}", f"SHFE.v{n}2605", day) for n in range(varieties)]
        # one variety of three has five levels of the order book, as in the market
        days_ticks = [
            day_of_ticks(rows, key, seed=len(keys) + n, levels=1 if n % 3 else 5)
            for n, key in enumerate(day_keys)
        ]
        for result in store.write_days(days_ticks):
            require_written([result])
        keys += day_keys
        if day.day == 1:
            say(f"stored up to {day}")
    return keys


def _cpu(pid: int | None) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    for name, default in (("varieties", 3), ("days", 243), ("rows", WHOLE_ROWS), ("sample", 50)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    options = parser.parse_args()
    print(compare_ways(**vars(options), say=lambda text: print(text, file=sys.stderr, flush=True)))


if __name__ == "__main__":
    main()
