"""Day bars by our landing path and by the save calls of other projects, into a server of the same kind."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from loaders.tdx.tables import KLINE_DAILY
from tests import timescale
from tests.benchmarks import databases
from tests.benchmarks.landing import PHASES
from tests.benchmarks.peer_environment import environment
from tests.benchmarks.processes import measured
from tests.benchmarks.report import Aim, table
from tests.benchmarks.rows import phase_rows, write_files

VNPY = "vnpy==4.5.0"
VNPY_NEEDS = (
    *("tzlocal", "loguru", "tqdm", "numpy", "pandas", "pyarrow"),
    *("peewee>=4.5,<5", "psycopg2-binary", "importlib_metadata"),
)
# the peer, what is in its environment, and where it saves to
PEERS = {
    "vnpy_postgresql": (("vnpy_postgresql==1.1.2", VNPY), VNPY_NEEDS, "postgresql"),
    "vnpy_timescaledb": (("vnpy_timescaledb==1.0.1", VNPY), VNPY_NEEDS, "timescaledb"),
    "zvt": (("zvt==0.13.5",), ("zvt==0.13.5", "pyarrow"), "sqlite"),
}
TOLD = {
    "postgresql": "PostgreSQL",
    "timescaledb": "PostgreSQL with TimescaleDB (Apache edition)",
    "sqlite": "its own SQLite file; ours into PostgreSQL",
}


@dataclass
class Results:
    """Seconds of each load by peer and phase: pairs of ours and the peer's, one right after the other."""

    rows: dict[str, int]
    seconds: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)
    peak_mb: dict[str, tuple[float, float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ratio(self, peer: str, phase: str) -> float:
        return median(theirs / ours for ours, theirs in self.seconds[peer][phase])


def side_by_side(
    server: str,
    folder: Path,
    codes: int,
    days: int,
    rounds: int,
    environments: Path,
    say: Callable[[str], None],
) -> Results:
    write_files(folder, KLINE_DAILY.name, codes, days)
    counts = {p: phase_rows(KLINE_DAILY.name, p, 1, days).num_rows * codes for p in PHASES}
    results = Results(counts)
    with ExitStack() as stack:
        servers = {"postgresql": server, "sqlite": server}
        if timescale.UNPACKED.is_dir():
            servers["timescaledb"] = stack.enter_context(timescale.apache_server())
        for peer, (packages, needs, kind) in PEERS.items():
            if kind not in servers:
                results.absent[peer] = ".ci/timescale makes the server that it needs"
                continue
            python = environment(environments / peer, packages, needs)
            for number in range(rounds):
                ours = _ours(servers[kind], folder)
                theirs = _theirs(servers[kind], folder, peer, python, kind)
                for phase in PHASES:
                    pair = ours["phases"][phase]["seconds"], theirs[phase]["seconds"]
                    results.seconds.setdefault(peer, {}).setdefault(phase, []).append(pair)
                results.peak_mb[peer] = ours["peak_mb"], theirs[PHASES[-1]]["peak_mb"]
                say(f"round {number + 1}: {peer} {results.ratio(peer, 'first'):.1f} times as long")
    return results


def _ours(server: str, folder: Path) -> Any:
    with databases.database(server) as url:
        return measured("paths", "landing", "real", KLINE_DAILY.name, url, folder, ",".join(PHASES))


def _theirs(
    server: str, folder: Path, peer: str, python: Path, kind: str
) -> dict[str, dict[str, float]]:
    with (
        databases.database(server) as url,
        tempfile.TemporaryDirectory(dir=folder) as home,
        _process(url, peer, python, home, kind == "timescaledb") as save,
    ):
        return {phase: save(folder / f"{phase}.parquet") for phase in PHASES}


@contextmanager
def _process(
    url: str, peer: str, python: Path, home: str, extended: bool
) -> Iterator[Callable[[Path], dict[str, float]]]:
    if extended:
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("create extension timescaledb")
    to = conninfo_to_dict(url)
    program = Path(__file__).with_name("bar_peer.py")
    child = subprocess.Popen(
        [python, program, peer, *(str(to[k]) for k in ("host", "port", "user", "dbname")), home],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        cwd=home, env={"HOME": home, "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None

    def save(file: Path) -> dict[str, float]:
        print(file, file=child.stdin, flush=True)
        answer = child.stdout.readline() if child.stdout else ""
        if not answer:
            raise RuntimeError(f"{peer} ended: run {program.name} by {python} to see why")
        found: dict[str, float] = json.loads(answer)
        return found

    try:
        yield save
    finally:
        child.stdin.close()
        child.wait(60)
        child.stdout.close()


# -- the page -------------------------------------------------------------------------------------


def section(results: Results) -> str:
    lines = []
    for peer, by_phase in results.seconds.items():
        rates = [
            f"{results.rows[phase] / median(theirs for _, theirs in by_phase[phase]):,.0f} "
            f"(ours {results.rows[phase] / median(ours for ours, _ in by_phase[phase]):,.0f}: "
            f"{results.ratio(peer, phase):.1f} ×)"
            for phase in PHASES
        ]
        ours, theirs = results.peak_mb[peer]
        (package, *_), _, kind = PEERS[peer]
        memory = f"{theirs:.0f} (ours {ours:.0f})"
        lines.append([package.replace("==", " "), TOLD[kind], *rates, memory])
    head = ("peer", "into", "first load, rows/s", "full re-load", "1 % new rows", "peak MB")
    absent = [f"{peer}: not measured, {why}." for peer, why in results.absent.items()]
    return "\n".join(
        [
            f"{results.rows['first']:,} day bars, a code at a time by a peer's own save call, each in an "
            "environment of its own; making its objects of the rows is not counted, while our path begins "
            "at the Parquet file and keeps the table's further index. Ratios are medians of pairs.",
            "",
            table(head, lines),
            *(["", *absent] if absent else []),
        ]
    )


def aims(results: Results) -> list[Aim]:
    return [
        (
            f"day bars beside {peer}, {told}",
            "≥ 10 × its rows/s",
            f"{found:.1f} ×",
            found >= 10,
        )
        for peer in results.seconds
        for phase, told in (("first", "first load"), ("again", "full re-load"))
        for found in (results.ratio(peer, phase),)
    ]
