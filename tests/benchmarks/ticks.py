"""A day of ticks from frame to readable: our two ways, and QuestDB's bare client."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import questdb

from loaders.ticks.questdb import server as questdb_server
from loaders.ticks.questdb.day_writer import merge_by_time
from loaders.ticks.questdb.jar import VERSION
from loaders.ticks.questdb.rows import as_stored, with_flag
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.tables import MAIN_TICKS
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import Address, QuestdbHttp, StoreError
from tests.benchmarks.page import Aim, at_least, paragraph, table
from tests.ticks import day_of_ticks, write_day

TITLE = "Ticks into QuestDB"
STAGE, ILP, CLIENT = "stage", "ilp", "client"
DAY, DAYS, LIMIT = "write_day", "write_days", "no checks"
WARM = 4  # rounds before those that count: the server's compilers above all
SYMBOLS = [name for name in MAIN_TICKS.names if MAIN_TICKS.questdb_type(name) == "SYMBOL"]
# neither side waits for the disk
SETTINGS = QuestdbSettings(port=0, fsync=False)
NAMES = {
    CLIENT: "QuestDB's client: a pandas frame",
    STAGE: "**the stage**: a Parquet file, one INSERT",
    ILP: "**ILP**: the client, our check of types",
    DAY: "`write_day` by the stage, all its checks",
    DAYS: "**`write_days`**, one transaction, all checks",
    LIMIT: "the limit: the same rows by time, no check",
}
Save = Callable[[pa.Table], float]  # seconds from the frame until readers see it
SaveAll = Callable[[list[pa.Table]], float]


@dataclass
class Results:
    """Seconds of each save by path; the nth of each path was of the same rows."""

    rows: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def rate(self, path: str) -> float:
        return self.rows / median(self.seconds[path])

    def ratio(self, path: str, to: str) -> float:
        """How many times as fast, by the median of the pairs."""
        pairs = zip(self.seconds[path], self.seconds[to], strict=True)
        return median(other / own for own, other in pairs)

    def save(self, paths: dict[str, SaveAll], days: list[pa.Table], number: int) -> None:
        """Save all days by one path, then by the next; keep the seconds of the mean day."""
        names = list(paths)
        random.Random(number).shuffle(names)
        for name in names:
            self.seconds.setdefault(name, []).append(paths[name](days) / len(days))


def compare_paths(
    folder: Path,
    *,
    rounds: int,
    say: Callable[[str], None],
    day_rows: int = 60_000,
    small_rows: int = 1_000,
    small_days: int = 20,
) -> list[Results]:
    """Save a day a round by each path, then `small_days` varieties' days of `small_rows`."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        address = questdb_server.start(home / "questdb", SETTINGS)
        stack.callback(questdb_server.remove, home / "questdb")
        store = QuestdbStore(lambda: address, SETTINGS, label="bench")
        stack.callback(store.close)
        store.prepare()
        paths: dict[str, Save] = {
            STAGE: stack.enter_context(_ours(address, "stage")),
            ILP: stack.enter_context(_ours(address, "ilp")),
            DAY: lambda day: _seconds(lambda: write_day(store, day)),
            CLIENT: stack.enter_context(_client(address)),
        }
        each: dict[str, SaveAll] = {name: partial(_save_each, save) for name, save in paths.items()}
        whole, small = Results(day_rows), Results(small_rows)
        warm = min(WARM, rounds)
        for number in range(-warm, rounds):
            results = whole if number >= 0 else Results(day_rows)
            results.save(each, [_day(day_rows, number)], number)
        together: dict[str, SaveAll] = {
            **each,
            # beside the same rows of each day, and so with the same partitions to rewrite
            DAYS: lambda days: _save_together(store, _renamed(days)),
            LIMIT: lambda days: paths[STAGE](pa.concat_tables(merge_by_time(_renamed(days)))),
        }
        for number in range(-warm, rounds):
            results = small if number >= 0 else Results(small_rows)
            days = [_day(small_rows, number, n) for n in range(small_days)]
            results.save(together, days, number)
        for results in (whole, small):
            ratios = (f"{name} {results.ratio(name, CLIENT):.2f}" for name in results.seconds)
            say(f"{results.rows} at a time: {', '.join(ratios)}")
        return [whole, small]


def _day(rows: int, number: int, variety: int | None = None) -> pa.Table:
    name = "cu" if variety is None else f"v{variety}"
    day = date(2025, 3, 3) + timedelta(days=number)
    key = DayKey(f"KQ.m@SHFE.{name}", f"SHFE.{name}2505", day)
    return day_of_ticks(rows, key, seed=day.toordinal() + (variety or 0))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _save_each(save: Save, days: list[pa.Table]) -> float:
    return sum(save(day) for day in days)


def _renamed(days: list[pa.Table]) -> list[pa.Table]:
    """The same days of other series: these may be in the table already."""
    place = days[0].schema.get_field_index("symbol")
    symbols = [f"{day['symbol'][0].as_py()}_together" for day in days]
    return [
        day.set_column(place, "symbol", pa.repeat(symbol, day.num_rows)).cast(day.schema)
        for day, symbol in zip(days, symbols, strict=True)
    ]


def _save_together(store: QuestdbStore, days: list[pa.Table]) -> float:
    began = time.perf_counter()
    results = store.write_days(days)
    seconds = time.perf_counter() - began
    errors = [result for result in results if isinstance(result, StoreError)]
    if errors:
        raise errors[0]
    return seconds


@contextmanager
def _ours(address: Address, way: Any) -> Iterator[Save]:
    store = QuestdbStore(lambda: address, SETTINGS, label="bench", way=way)
    bench = replace(MAIN_TICKS, name=f"bench_{way}")
    _create(address, bench.questdb_ddl())
    yield lambda day: _seconds(lambda: store.put_rows(bench, as_stored(bench, with_flag(day))))
    store.close()


@contextmanager
def _client(address: Address) -> Iterator[Save]:
    """The same rows, made a pandas frame before the clock starts."""
    bench = replace(MAIN_TICKS, name="bench_client")
    _create(address, bench.questdb_ddl())
    http = QuestdbHttp(address)
    user = f"username={address.user};password={address.password};" if address.user else ""
    host = address.url.partition("://")[2]
    conf = f"http::addr={host};{user}auto_flush=off;protocol_version=3;"
    with questdb.Sender.from_conf(conf) as sender:

        def save(day: pa.Table) -> float:
            import pandas as pd

            rows = as_stored(bench, with_flag(day))
            frame = rows.to_pandas(types_mapper=pd.ArrowDtype)
            began = time.perf_counter()
            with sender.transaction(bench.name) as transaction:
                transaction.dataframe(frame, symbols=SYMBOLS, at="ts")
            http.wait_applied(bench.name, 60.0)
            return time.perf_counter() - began

        yield save
    http.close()


def _create(address: Address, ddl: str) -> None:
    http = QuestdbHttp(address)
    http.rows(ddl)
    http.close()


def section(results: list[Results]) -> tuple[str, list[Aim]]:
    whole, small = results
    lines = []
    for name in (path for path in NAMES if path in small.seconds):
        cells = [NAMES[name]]
        for size in results:
            measured = name in size.seconds
            rate = f"{size.rate(name):,.0f}" if measured else ""
            cells += [rate, f"{size.ratio(name, CLIENT):.2f}" if measured else ""]
        lines.append(cells)
    head = ["path"]
    for size in results:
        head += [f"{size.rows:,} ticks/s", "× client"]
    wanted = [
        at_least("stage", whole.ratio(STAGE, CLIENT), 1.3, "× client"),
        at_least("ILP", whole.ratio(ILP, CLIENT), 0.8, "× client"),
        at_least("small days together", small.ratio(DAYS, LIMIT), 0.5, "of their limit"),
    ]
    text = (
        f"From an Arrow table until readers can see it, on QuestDB {VERSION} without fsync. "
        f"{whole.rows:,} ticks are one series' day, {small.rows:,} ticks are days of several "
        "products, which loads write in one transaction."
    )
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted
