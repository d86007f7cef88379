"""Bytes that QuestDB writes for each tick: days of several varieties one by one, and together."""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from loaders.ticks.questdb import server as questdb_server
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.settings import QuestdbSettings
from quotemill.ticks.columns import DayKey
from tests.ticks import day_of_ticks

SETTINGS = QuestdbSettings(port=0, fsync=False)
FIRST = date(2025, 3, 4)
DAYS = 2  # consecutive ones: the night session of the second shares a partition with the first


@dataclass(frozen=True)
class Written:
    """What days of so many varieties cost on average."""

    varieties: int
    bytes_singly: float
    bytes_together: float
    seconds_singly: float
    seconds_together: float


def compare_batches(
    folder: Path, varieties: Sequence[int], ticks: int, *, say: Callable[[str], None]
) -> list[Written]:
    """Write two trading days of `ticks` a variety to a new server, in each way."""
    results = []
    for count in varieties:
        singly, together = (_write(folder, count, ticks, size) for size in (1, count))
        results.append(Written(count, singly[0], together[0], singly[1], together[1]))
        say(f"{count} varieties: {singly[0]:,.0f} bytes a tick singly, {together[0]:,.0f} together")
    return results


def _write(folder: Path, varieties: int, ticks: int, size: int) -> tuple[float, float]:
    """Bytes of the server for a tick, and seconds for a million."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        address = questdb_server.start(home / "questdb", SETTINGS)
        stack.callback(questdb_server.remove, home / "questdb")
        store = QuestdbStore(lambda: address, SETTINGS, label="bench")
        stack.callback(store.close)
        store.prepare()
        pid = questdb_server.status(home / "questdb").pid
        before, seconds = _written_bytes(pid), 0.0
        for day in (FIRST + timedelta(n) for n in range(DAYS)):
            keys = [DayKey(f"KQ.m@X.v{n}", f"X.v{n}2505", day) for n in range(varieties)]
            days = [day_of_ticks(ticks, key, seed=n) for n, key in enumerate(keys)]
            began = time.perf_counter()
            for n in range(0, varieties, size):
                store.write_days(days[n : n + size])
            seconds += time.perf_counter() - began
        total = varieties * ticks * DAYS
        return (_written_bytes(pid) - before) / total, seconds / total * 1e6


def _written_bytes(pid: int | None) -> int:
    """Bytes that a process gave to the disk, those of files in memory included."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--varieties", type=int, nargs="+", default=[1, 5, 20, 60], metavar="N")
    parser.add_argument("--ticks", type=int, default=10_000, metavar="N")
    for written in compare_batches(**vars(parser.parse_args()), say=print):
        print(written)


if __name__ == "__main__":
    main()
