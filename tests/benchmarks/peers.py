"""Our loads beside the save calls of other projects, each in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
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
from tests.benchmarks.page import at_least, at_most, paragraph, table
from tests.benchmarks.processes import ROOT, measured, peak_mb, rusage_mb
from tests.benchmarks.rows import phase_rows, write_files
from tests.client_folder import RECORD, write_folder

TITLE = "Beside other projects"
ENVIRONMENTS = ROOT / "var" / "bench-peers"
VNPY = "vnpy==4.5.0"
COMMON = ("tzlocal", "loguru", "tqdm", "numpy", "pandas", "pyarrow")
VNPY_NEEDS = (*COMMON, "peewee>=4.5,<5", "psycopg2-binary", "importlib_metadata")
# packages installed without what they ask for, and what a save needs
PACKAGES = {
    "vnpy_postgresql": (("vnpy_postgresql==1.1.2", VNPY), VNPY_NEEDS),
    "vnpy_timescaledb": (("vnpy_timescaledb==1.0.1", VNPY), VNPY_NEEDS),
    "zvt": (("zvt==0.13.5",), ("zvt==0.13.5", "pyarrow")),
    "vnpy_questdb": (("vnpy_questdb==1.0.0", VNPY), (*COMMON, "questdb>=6,<7", "psycopg[binary]")),
}
# packages read these while they are imported, and use them in no save
ABSENT = {"talib.py": "", "zvt/config.json": '{"em_header": null}'}
TDX2DB, RELEASE = "tdx2db", "v2026.7.1"
NOT_INSTALLED = (
    f"Not measured: no `{TDX2DB}` on PATH. Unpack it from "
    f"https://github.com/jing2uo/tdx2db/releases/tag/{RELEASE} into a folder of PATH, then run "
    "`make bench-peers` again."
)
DATASETS = ("codes", "trading_calendar", "kline_daily")
Say = Callable[[str], None]
Figures = dict[str, Any]


def environment(peer: str) -> Path:
    """The Python of a peer's environment, made at first use."""
    packages, needs = PACKAGES[peer]
    folder = ENVIRONMENTS / peer
    python, done = folder / "bin" / "python", folder / ".installed"
    wanted = " ".join((*packages, *needs))
    if not done.exists() or done.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)  # removes what a killed run left
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", *packages], check=True, stdout=sys.stderr)
        subprocess.run([*pip, *needs], check=True, stdout=sys.stderr)
        place = next(folder.glob("lib/python*/site-packages"))
        for name, text in ABSENT.items():
            if (place / name).parent.is_dir():
                (place / name).write_text(text)
        done.write_text(wanted)
    return python


@contextmanager
def running_peer(
    peer: str, home: Path, *arguments: str
) -> Iterator[Callable[[Path], dict[str, float]]]:
    """A function that has the peer save a file; its seconds and the peer's peak memory."""
    program = Path(__file__).with_name("peer_program.py")
    child = subprocess.Popen(
        [environment(peer), program, peer, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    answers = child.stdout

    def save(file: Path) -> dict[str, float]:
        print(file, file=child.stdin, flush=True)
        answer = answers.readline()
        if not answer:
            raise RuntimeError(f"{peer} ended; run {program.name} in its environment to see why")
        figures: dict[str, float] = json.loads(answer)
        return figures

    try:
        yield save
    finally:
        child.stdin.close()
        child.wait(60)
        child.stdout.close()


@dataclass
class Results:
    """Pairs of our seconds and the peer's by peer and phase, one right after the other."""

    rows: dict[str, int]
    seconds: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=dict)
    peak_mb: dict[str, tuple[float, float]] = field(default_factory=dict)

    def ratio(self, peer: str, phase: str) -> float:
        return median(theirs / ours for ours, theirs in self.seconds[peer, phase])


def compare_bars(
    server: str, folder: Path, codes: int, days: int, *, rounds: int, say: Say
) -> Results:
    """Save the same bars by our landing path and by each peer."""
    write_files(folder, KLINE_DAILY.name, codes, days)
    rows = {p: phase_rows(KLINE_DAILY.name, p, 1, days).num_rows * codes for p in PHASES}
    results = Results(rows)
    with ExitStack() as stack:
        servers = {"vnpy_postgresql": server, "zvt": server}
        if timescale.UNPACKED.is_dir():
            servers["vnpy_timescaledb"] = stack.enter_context(timescale.apache_server())
        for peer, own in servers.items():
            for number in range(rounds):
                keywords = {"folder": folder, "indexed": True, "phases": PHASES}
                with databases.database(own) as url:
                    ours = measured("paths", "write_phases", name="landing", url=url, **keywords)
                theirs = _save_by_peer(own, folder, peer)
                for phase in PHASES:
                    pair = ours["phases"][phase]["seconds"], theirs[phase]["seconds"]
                    results.seconds.setdefault((peer, phase), []).append(pair)
                results.peak_mb[peer] = ours["peak_mb"], theirs[PHASES[-1]]["peak_mb"]
                say(f"round {number + 1}: {peer} {results.ratio(peer, 'first'):.1f} × our time")
    return results


def _save_by_peer(server: str, folder: Path, peer: str) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        url = stack.enter_context(databases.database(server))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        if peer == "vnpy_timescaledb":
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("create extension timescaledb")
        target = conninfo_to_dict(url)
        place = [str(target[name]) for name in ("host", "port", "user", "dbname")]
        save = stack.enter_context(running_peer(peer, home, *place, str(home)))
        return {phase: save(folder / f"{phase}.parquet") for phase in PHASES}


def section(results: Results) -> tuple[str, list[str]]:
    lines, wanted = [], []
    for peer, (ours_mb, theirs_mb) in results.peak_mb.items():
        cells = []
        for phase in PHASES:
            rate = results.rows[phase] / median(t for _, t in results.seconds[peer, phase])
            cells.append(f"{rate:,.0f} ({results.ratio(peer, phase):.1f} ×)")
        name = PACKAGES[peer][0][0].replace("==", " ")
        memory = f"{theirs_mb:.0f} (ours {ours_mb:.0f})"
        lines.append([name, *cells, memory])
        least = min(results.ratio(peer, phase) for phase in ("first", "again"))
        wanted.append(at_least(peer, least, 10))
    text = (
        f"{results.rows['first']:,} day bars, a code at a time by the peer's own save call, in "
        "rows/s; in brackets how many times as fast ours is, which starts at a Parquet file. zvt "
        "saves into SQLite, the others into PostgreSQL."
    )
    head = ("peer", "first load", "full re-load", "1 % new rows", "peak MB")
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted


def compare_folder(
    server: str, scratch: Path, codes: int, days: int, *, say: Say
) -> dict[str, Figures]:
    """Load a client's folder twice by ours, once by tdx2db where it is installed."""
    client, figures = scratch / "client", {}
    with databases.database(server) as dsn, tempfile.TemporaryDirectory(dir=scratch) as home:
        write_folder(client, codes, days)
        try:
            for name in ("first load", "nothing new"):
                os.sync()  # the writes before are not this load's cost
                figures[name] = measured("peers", "load_folder", dsn=dsn, home=home, folder=client)
                say(f"{name}: {figures[name]['seconds']:.0f} s, {figures[name]['bars']:,} bars")
            if program := shutil.which(TDX2DB):
                os.sync()
                figures[TDX2DB] = measured(
                    "peers", "load_by_tdx2db", program=program, home=home, folder=client
                )
        finally:
            shutil.rmtree(client)
    return figures


def load_folder(dsn: str, home: str, folder: str) -> Figures:
    """One load of the folder, in this process."""
    from loaders.engine.request import LoadRequest
    from loaders.loads import run_load
    from loaders.progress import Silent
    from loaders.settings import load_settings

    settings = load_settings(
        {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": home, "DBT_PROFILES_DIR": home},
        cwd=Path(home),
        tdx={"client": folder},
    )
    began, used = time.monotonic(), time.process_time()
    done = run_load(settings, LoadRequest("tdx", datasets=DATASETS), Silent())
    if done.exit_code:
        raise RuntimeError(f"{done.status}: {done.error}")
    figures = {"seconds": time.monotonic() - began, "cpu": time.process_time() - used}
    bars = databases.count_rows(dsn, KLINE_DAILY.qualified)["rows"]
    return figures | {"peak_mb": peak_mb(), "bars": bars}


def load_by_tdx2db(program: str, home: str, folder: str) -> Figures:
    """One `tdx2db init` of the folder; it writes a DuckDB file."""
    from resource import RUSAGE_CHILDREN, getrusage

    file, vipdoc = Path(home) / "peer.duckdb", Path(folder) / "vipdoc"
    command = [program, "init", "--dburi", f"duckdb://{file}", "--dayfiledir", str(vipdoc)]
    began = time.monotonic()
    subprocess.run(command, env=os.environ | {"TMPDIR": home}, stdout=sys.stderr, check=True)
    figures = {"seconds": time.monotonic() - began}
    used = getrusage(RUSAGE_CHILDREN)
    figures |= {"cpu": used.ru_utime + used.ru_stime, "peak_mb": rusage_mb(RUSAGE_CHILDREN)}

    import duckdb  # not before the child: its memory would count what this process holds

    with duckdb.connect(file, read_only=True) as conn:
        [(bars,)] = conn.execute("select count(*) from raw_kline_daily").fetchall()
    records = sum(f.stat().st_size for f in Path(folder).glob("vipdoc/*/lday/*.day"))
    if bars != records // RECORD.itemsize:
        raise RuntimeError(f"{TDX2DB} stored {bars:,} bars of {records // RECORD.itemsize:,}")
    return figures | {"bars": bars}


def folder_section(figures: dict[str, Figures]) -> tuple[str, list[str]]:
    lines = [
        [
            name,
            f"{of['bars']:,}",
            *(f"{of[key]:.1f}" for key in ("seconds", "cpu")),
            f"{of['peak_mb']:.0f}",
        ]
        for name, of in figures.items()
    ]
    first, again = figures["first load"], figures["nothing new"]
    wanted = [
        at_most("first load", first["seconds"], 60, "s"),
        at_most("its peak", first["peak_mb"], 500, "MB"),
        at_most("nothing new", again["seconds"], 5, "s"),
    ]
    if TDX2DB in figures:
        ratio = first["seconds"] / figures[TDX2DB]["seconds"]
        wanted.append(at_most(f"first load beside {TDX2DB}", ratio, 3, "× its time"))
    text = (
        "`.day` files of every code into an empty database with all its keys, then nothing new. "
        f"{TDX2DB} fills DuckDB without a key, in floating point. CPU and memory are the program's."
    )
    rows = table(("load", "bars in the table", "seconds", "CPU s", "peak MB"), lines)
    absent = [] if TDX2DB in figures else [paragraph(NOT_INSTALLED)]
    return "\n\n".join([paragraph(text), rows, *absent]), wanted
