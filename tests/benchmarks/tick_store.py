"""A day of ticks from frame to readable: our two ways, QuestDB's bare client, and another adapter."""

import json
import random
import subprocess
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
from loaders.ticks.questdb import server
from loaders.ticks.questdb.http import QuestdbHttp
from loaders.ticks.questdb.jar import VERSION
from loaders.ticks.questdb.rows import as_stored, flagged
from loaders.ticks.questdb.server import Address
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.settings import QuestdbSettings
from loaders.ticks.tables import MAIN_TICKS
from tests.benchmarks.peer_environment import environment
from tests.benchmarks.report import Aim, table
from tests.ticks import day_of_ticks

STAGE, ILP, DAY, CLIENT, ADAPTER = "stage", "ilp", "write_day", "client", "adapter"
WARM = 4  # saves of a day by each path before those that count
SYMBOLS = [name for name in MAIN_TICKS.names if MAIN_TICKS.questdb_type(name) == "SYMBOL"]
# neither side waits for the disk
SETTINGS = QuestdbSettings(port=0, fsync=False)
# the adapter speaks PostgreSQL's protocol too, and gives no password over HTTP
OPEN = {"pg.enabled": "true", "pg.net.bind.to": "127.0.0.1:0", "http.user": "", "http.password": ""}
PEER = ("vnpy==4.5.0", "vnpy_questdb==1.0.0")
PEER_NEEDS = (
    "tzlocal",
    "loguru",
    "tqdm",
    "numpy",
    "pandas",
    "pyarrow",
    "questdb>=6,<7",
    "psycopg[binary]",
)
Save = Callable[[pa.Table], float]  # seconds from the frame until readers see it


@dataclass
class Results:
    """Seconds of each save, by path; the n-th of each path was of the same rows, one after another."""

    rows: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def rate(self, path: str) -> float:
        return self.rows / median(self.seconds[path])

    def ratio(self, path: str, to: str) -> float:
        """How many times as fast, by the median of the pairs."""
        pairs = zip(self.seconds[path], self.seconds[to], strict=True)
        return median(other / own for own, other in pairs)


def side_by_side(
    folder: Path, day_rows: int, rounds: int, small_rows: int, saves: int, peers: Path | None,
    say: Callable[[str], None],
) -> list[Results]:  # fmt: skip
    """Saves of a day each; then `saves` days of `small_rows` each, of as many varieties."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        address = server.start(home / "questdb", SETTINGS, conf=OPEN if peers else None)
        stack.callback(server.remove, home / "questdb")
        if peers:
            address = Address(address.url)
        store = QuestdbStore(lambda: address, SETTINGS, label="bench")
        stack.callback(store.close)
        store.prepare()
        paths: dict[str, Save] = {
            STAGE: stack.enter_context(_ours(address, "stage", STAGE)),
            ILP: stack.enter_context(_ours(address, "ilp", ILP)),
            DAY: _whole_day(store),
            CLIENT: stack.enter_context(_client(address)),
        }
        if peers:
            log = (home / "questdb" / "server.log").read_text()
            ports = (
                address.url.rpartition(":")[2],
                log.rpartition("pg-server listening on 127.0.0.1:")[2],
            )
            paths[ADAPTER] = stack.enter_context(
                _adapter(peers, home, ports[0], ports[1].split()[0])
            )
        days = _days(day_rows)
        for _ in range(
            min(WARM, rounds)
        ):  # the server's compilers above all: a load saves hundreds of days
            for save in paths.values():
                save(next(days))
        whole = Results(day_rows)
        for number in range(rounds):
            _once(paths, next(days), whole)
            say(f"round {number + 1}: {_told(whole)}")
        small = Results(small_rows)
        for number in range(rounds):
            _small(paths, _varieties(small_rows, saves, number), small)
        say(f"{small_rows} at a time: {_told(small)}")
        return [whole, small]


def _once(paths: dict[str, Save], rows: pa.Table, results: Results) -> None:
    names = list(paths)
    random.Random(len(results.seconds.get(CLIENT, ()))).shuffle(names)
    for name in names:
        results.seconds.setdefault(name, []).append(paths[name](rows))


def _small(paths: dict[str, Save], days: list[pa.Table], results: Results) -> None:
    """All days by one path, then by the next; a path's seconds are those of its mean save."""
    names = list(paths)
    random.Random(len(results.seconds.get(CLIENT, ()))).shuffle(names)
    for name in names:
        seconds = sum(paths[name](day) for day in days)
        results.seconds.setdefault(name, []).append(seconds / len(days))


def _varieties(rows: int, count: int, number: int) -> list[pa.Table]:
    day = date(2025, 1, 6) + timedelta(days=number)
    keys = [DayKey(f"KQ.m@SHFE.v{n}", f"SHFE.v{n}2505", day) for n in range(count)]
    return [day_of_ticks(rows, key, seed=n) for n, key in enumerate(keys)]


def _told(results: Results) -> str:
    return ", ".join(f"{name} {results.ratio(name, CLIENT):.2f}" for name in results.seconds)


def _days(rows: int, day: date = date(2025, 3, 3)) -> Iterator[pa.Table]:
    while True:
        key = DayKey("KQ.m@SHFE.cu", "SHFE.cu2505", day)
        yield day_of_ticks(rows, key, seed=day.toordinal())
        day += timedelta(days=1)


@contextmanager
def _ours(address: Address, way: Any, name: str) -> Iterator[Save]:
    store = QuestdbStore(lambda: address, SETTINGS, label="bench", way=way)
    bench = replace(MAIN_TICKS, name=f"bench_{name}")
    _make(address, bench.questdb_ddl())

    def save(day: pa.Table) -> float:
        began = time.perf_counter()
        store.put_rows(bench, as_stored(bench, flagged(day, False)))
        return time.perf_counter() - began

    yield save
    store.close()


def _whole_day(store: QuestdbStore) -> Save:
    """As a load does it: looks for free space, suspended tables and surplus before, reads back after."""

    def save(day: pa.Table) -> float:
        began = time.perf_counter()
        store.write_day(day)
        return time.perf_counter() - began

    return save


@contextmanager
def _client(address: Address) -> Iterator[Save]:
    """The same rows, made a frame of pandas before the clock starts."""
    bench = replace(MAIN_TICKS, name="bench_client")
    _make(address, bench.questdb_ddl())
    http = QuestdbHttp(address)
    user = f"username={address.user};password={address.password};" if address.user else ""
    host = address.url.partition("://")[2]
    conf = f"http::addr={host};{user}auto_flush=off;protocol_version=3;"
    with questdb.Sender.from_conf(conf) as sender:

        def save(day: pa.Table) -> float:
            import pandas as pd

            rows = as_stored(bench, flagged(day, False))
            frame = rows.to_pandas(types_mapper=pd.ArrowDtype)
            began = time.perf_counter()
            with sender.transaction(bench.name) as transaction:
                transaction.dataframe(frame, symbols=SYMBOLS, at="ts")
            http.wait_applied(bench.name, 60.0)
            return time.perf_counter() - began

        yield save
    http.close()


@contextmanager
def _adapter(folder: Path, home: Path, http_port: str, pg_port: str) -> Iterator[Save]:
    """In its own environment, of what it needs and no more; it gets a file, makes its objects of it, and tells the seconds of its save."""
    python = environment(folder, PEER, PEER_NEEDS)
    program = Path(__file__).with_name("tick_peer.py")
    child = subprocess.Popen(
        [python, program, http_port, pg_port],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None

    def save(day: pa.Table) -> float:
        file = home / "peer.parquet"
        pq.write_table(day, file)
        print(file, file=child.stdin, flush=True)
        return float(json.loads(child.stdout.readline())["seconds"])

    yield save
    child.stdin.close()
    child.wait(60)
    child.stdout.close()


def _make(address: Address, ddl: str) -> None:
    http = QuestdbHttp(address)
    http.rows(ddl)
    http.close()


# -- the page -------------------------------------------------------------------------------------

NAMES = {
    CLIENT: "QuestDB's client alone: a frame of pandas by `dataframe`, one transaction (the measure)",
    STAGE: "**the stage**: a Parquet file and one INSERT",
    ILP: "**ILP**: the same client behind our check of types",
    DAY: "`write_day` by the stage: looks for space, suspended tables and surplus before, reads back after",
    ADAPTER: f"{PEER[1].replace('==', ' ')}, in an environment of its own",
}
AIMS = {  # size (0: a day), path, against, at least
    (0, STAGE, CLIENT): 1.3,
    (0, ILP, CLIENT): 0.8,
    (0, STAGE, ADAPTER): 4.0,
    (1, STAGE, ADAPTER): 10.0,
}


def section(results: list[Results]) -> str:
    lines = []
    for name in NAMES:
        cells: list[object] = [NAMES[name]]
        for of_size in results:
            if name not in of_size.seconds:
                cells += ["", "", ""]
                continue
            cells.append(f"{of_size.rate(name):,.0f}")
            for other in (CLIENT, ADAPTER):
                there = other in of_size.seconds
                cells.append(f"{of_size.ratio(name, other):.2f}" if there else "")
        if any(cells[1:]):
            lines.append(cells)
    sizes = [f"{of_size.rows:,} ticks" for of_size in results]
    head = ["path", *(x for size in sizes for x in (size + ", ticks/s", "× client", "× adapter"))]
    return "\n".join(
        [
            f"From a day as an Arrow table until readers see it, its WAL applied, on QuestDB "
            f"{VERSION} without fsync, every path into a table of its own of one shape. "
            f"{results[0].rows:,} ticks are a day of one series; {results[1].rows:,} are the days of "
            f"several varieties, saved one after another, each awaited. Ratios are "
            f"medians over {len(results[0].seconds[CLIENT])} rounds in which the paths take turns, after "
            f"{WARM} that are not counted.",
            "",
            "What a small save costs is the server's and the same for every path: for each one it writes the files "
            "of all columns of the partitions anew, of what others saved there too, and deletes the old ones. "
            "Only several days in one transaction would save that, and a load writes each as it comes.",
            "",
            table(head, lines),
        ]
    )


def aims(results: list[Results]) -> list[Aim]:
    made = []
    for (size, path, against), wanted in AIMS.items():
        of_size = results[size]
        if against not in of_size.seconds:
            continue
        found = of_size.ratio(path, against)
        name = {STAGE: "the stage", ILP: "ILP"}[path]
        other = {CLIENT: "the bare client", ADAPTER: "the adapter"}[against]
        made.append(
            (
                f"ticks into QuestDB, {of_size.rows:,} at a time: {name}",
                f"≥ {wanted:g} × {other}",
                f"{found:.2f} ×",
                found >= wanted,
            )
        )
    return made
