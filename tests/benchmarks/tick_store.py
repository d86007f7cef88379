"""A day of ticks from frame to readable: our two ways, QuestDB's bare client, another adapter."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import questdb

from loaders.ticks.frame import DayKey
from loaders.ticks.questdb import server as questdb_server
from loaders.ticks.questdb.http import QuestdbHttp
from loaders.ticks.questdb.jar import VERSION
from loaders.ticks.questdb.rows import as_stored, with_flag
from loaders.ticks.questdb.server import Address
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.tables import MAIN_TICKS
from tests.benchmarks.page import at_least, paragraph, table
from tests.benchmarks.peers import running_peer
from tests.ticks import day_of_ticks

TITLE = "Ticks into QuestDB"
STAGE, ILP, DAY, CLIENT, ADAPTER = "stage", "ilp", "write_day", "client", "vnpy_questdb"
WARM = 4  # rounds before those that count
SYMBOLS = [name for name in MAIN_TICKS.names if MAIN_TICKS.questdb_type(name) == "SYMBOL"]
# neither side waits for the disk
SETTINGS = QuestdbSettings(port=0, fsync=False)
# the adapter uses PostgreSQL's protocol too, and sends no password over HTTP
OPEN = {"pg.enabled": "true", "pg.net.bind.to": "127.0.0.1:0", "http.user": "", "http.password": ""}
NAMES = {
    CLIENT: "QuestDB's client: a pandas frame, one transaction (the measure)",
    STAGE: "**the stage**: a Parquet file and one INSERT",
    ILP: "**ILP**: the same client behind our check of types",
    DAY: "`write_day` by the stage, with all its checks",
    ADAPTER: "vnpy_questdb 1.0.0",
}
Save = Callable[[pa.Table], float]  # seconds from the frame until readers see it


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

    def save(self, paths: dict[str, Save], days: list[pa.Table], number: int) -> None:
        """Save all days by one path, then by the next; keep the seconds of the mean save."""
        names = list(paths)
        random.Random(number).shuffle(names)
        for name in names:
            seconds = sum(paths[name](day) for day in days)
            self.seconds.setdefault(name, []).append(seconds / len(days))


def compare_paths(
    folder: Path,
    *,
    rounds: int,
    with_peer: bool,
    say: Callable[[str], None],
    day_rows: int = 60_000,
    small_rows: int = 1_000,
    small_days: int = 20,
) -> list[Results]:
    """Save a day a round by each path, then `small_days` varieties' days of `small_rows`."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        address = questdb_server.start(home / "questdb", SETTINGS, conf=OPEN if with_peer else None)
        stack.callback(questdb_server.remove, home / "questdb")
        if with_peer:
            address = Address(address.url)
        store = QuestdbStore(lambda: address, SETTINGS, label="bench")
        stack.callback(store.close)
        store.prepare()
        paths: dict[str, Save] = {
            STAGE: stack.enter_context(_ours(address, "stage")),
            ILP: stack.enter_context(_ours(address, "ilp")),
            DAY: lambda day: _seconds(lambda: store.write_day(day)),
            CLIENT: stack.enter_context(_client(address)),
        }
        if with_peer:
            log = (home / "questdb" / "server.log").read_text()
            pg_port = log.rpartition("pg-server listening on 127.0.0.1:")[2].split()[0]
            ports = (address.url.rpartition(":")[2], pg_port)
            save = stack.enter_context(running_peer(ADAPTER, home, *ports))
            paths[ADAPTER] = lambda day: _save_file(save, home, day)
        whole, small = Results(day_rows), Results(small_rows)
        warm = min(WARM, rounds)  # the server's compilers above all
        for number in range(-warm, rounds):
            results = whole if number >= 0 else Results(day_rows)
            results.save(paths, [_day(day_rows, number)], number)
        for number in range(rounds):
            small.save(paths, [_day(small_rows, number, n) for n in range(small_days)], number)
        for results in (whole, small):
            ratios = (f"{name} {results.ratio(name, CLIENT):.2f}" for name in paths)
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


def _save_file(save: Callable[[Path], dict[str, float]], home: Path, day: pa.Table) -> float:
    pq.write_table(day, home / "peer.parquet")
    return save(home / "peer.parquet")["seconds"]


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


def section(results: list[Results]) -> tuple[str, list[str]]:
    whole, small = results
    with_peer = ADAPTER in whole.seconds
    lines = []
    for name in (path for path in NAMES if path in whole.seconds):
        cells = [NAMES[name]]
        for size in results:
            cells += [f"{size.rate(name):,.0f}", f"{size.ratio(name, CLIENT):.2f}"]
            cells += [f"{size.ratio(name, ADAPTER):.2f}"] if with_peer else []
        lines.append(cells)
    head = ["path"]
    for size in results:
        head += [f"{size.rows:,} ticks/s", "× client", *(["× adapter"] if with_peer else [])]
    wanted = [
        at_least("stage", whole.ratio(STAGE, CLIENT), 1.3, "× client"),
        at_least("ILP", whole.ratio(ILP, CLIENT), 0.8, "× client"),
    ]
    if with_peer:
        wanted += [
            at_least("stage", whole.ratio(STAGE, ADAPTER), 4, "× adapter"),
            at_least("stage of small days", small.ratio(STAGE, ADAPTER), 10, "× adapter"),
        ]
    text = (
        f"From an Arrow table until readers see it, on QuestDB {VERSION} without fsync: "
        f"{whole.rows:,} ticks, a day of one series; {small.rows:,} ticks, days of several "
        "varieties, mostly the server's own work per transaction."
    )
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted
