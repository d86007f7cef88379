"""Our loads beside the save calls of other projects, each in an environment of its own."""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psycopg
from psycopg.conninfo import conninfo_to_dict

from loaders.tdx.tables import KLINE_DAILY
from tests import timescale
from tests.benchmarks import databases
from tests.benchmarks.landing import PHASES
from tests.benchmarks.page import Aim, at_least, paragraph, table
from tests.benchmarks.processes import ROOT, measured
from tests.benchmarks.rows import phase_rows, write_files

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
Say = Callable[[str], None]


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


def section(results: Results) -> tuple[str, list[Aim]]:
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
