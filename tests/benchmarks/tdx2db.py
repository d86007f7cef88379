"""Our load of a client's folder beside tdx2db's, one right after the other, in turns."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from loaders.tdx.tables import KLINE_DAILY
from tests.benchmarks import databases
from tests.benchmarks.page import Aim, at_most, paragraph, table
from tests.benchmarks.processes import measured, peak_mb, rusage_mb
from tests.benchmarks.real_market import REAL, write_real_market
from tests.client_folder import RECORD, write_folder

TITLE = "Files beside tdx2db"
PROGRAM, RELEASE = "tdx2db", "v2026.7.1"
NOT_INSTALLED = (
    f"`{PROGRAM}` is not on PATH: unpack it from "
    f"https://github.com/jing2uo/tdx2db/releases/tag/{RELEASE} into a folder of PATH"
)
DATASETS = ("codes", "trading_calendar", "kline_daily")
MEASURES = ("seconds", "cpu", "peak_mb")
Figures = dict[str, Any]


@dataclass
class Market:
    """Pairs of our figures and those of tdx2db."""

    bars: int
    pairs: list[tuple[Figures, Figures]] = field(default_factory=list)

    def ratios(self) -> list[float]:
        return [ours["seconds"] / theirs["seconds"] for ours, theirs in self.pairs]


def compare_loads(
    server: str,
    scratch: Path,
    stocks: Mapping[str, int],
    pairs: Mapping[str, int],
    *,
    days: int,
    say: Callable[[str], None],
) -> dict[str, Market]:
    """Load each market so many times by both; made-up stocks have so many days."""
    program = shutil.which(PROGRAM)
    assert program is not None, NOT_INSTALLED
    results = {}
    for name, count in stocks.items():
        with tempfile.TemporaryDirectory(dir=scratch) as work:
            client = Path(work) / "client"
            if name == REAL:
                write_real_market(client, count)
            else:
                write_folder(client, count, days)
            records = sum(file.stat().st_size for file in client.glob("vipdoc/*/lday/*.day"))
            market = results[name] = Market(records // RECORD.itemsize)
            for number in range(pairs[name]):
                pair = _load_pair(server, client, program, ours_first=number % 2 == 0)
                if pair[1]["bars"] != market.bars:
                    raise RuntimeError(f"{PROGRAM} stored {pair[1]['bars']:,} of {market.bars:,}")
                market.pairs.append(pair)
                say(f"{name}, pair {number + 1}: {market.ratios()[-1]:.2f} × its time")
    return results


def _load_pair(
    server: str, client: Path, program: str, *, ours_first: bool
) -> tuple[Figures, Figures]:
    def load_ours() -> Figures:
        with (
            databases.database(server) as dsn,
            tempfile.TemporaryDirectory(dir=client.parent) as home,
        ):
            os.sync()  # the writes before are not this load's cost
            figures: Figures = measured("tdx2db", "load_folder", dsn=dsn, home=home, folder=client)
            return figures

    def load_theirs() -> Figures:
        with tempfile.TemporaryDirectory(dir=client.parent) as home:
            os.sync()
            keywords = {"program": program, "home": home, "folder": client}
            figures: Figures = measured("tdx2db", "load_by_tdx2db", **keywords)
            return figures

    if ours_first:
        ours = load_ours()
        return ours, load_theirs()
    theirs = load_theirs()
    return load_ours(), theirs


def load_folder(dsn: str, home: str, folder: str) -> Figures:
    """One load of the folder, in this process."""
    from loaders.engine.progress import Silent
    from loaders.engine.request import LoadRequest
    from loaders.loads import run_load
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
    return figures | {"bars": bars}


def section(results: Mapping[str, Market]) -> tuple[str, list[Aim]]:
    lines, wanted = [], []
    for name, market in results.items():
        cells = []
        for side in range(2):
            of = {key: median(pair[side][key] for pair in market.pairs) for key in MEASURES}
            cells.append(f"{of['seconds']:.1f} s, {of['cpu']:.1f} CPU s, {of['peak_mb']:.0f} MB")
        ratios = market.ratios()
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append([f"{name}, {market.bars:,} bars", len(ratios), *cells, spread])
        wanted.append(at_most(f"{name} bars", median(ratios), 1.5, "× tdx2db"))
    peak = max(ours["peak_mb"] for market in results.values() for ours, _ in market.pairs)
    wanted.append(at_most("peak memory", peak, 500, "MB"))
    text = (
        "`.day` files of every code into an empty database with all its keys; "
        f"{PROGRAM} {RELEASE} fills DuckDB without a key, in floating point. CPU and memory are "
        "the program's own, without the server's. Load beside load, the first one in turns."
    )
    head = ("bars", "pairs", "ours", PROGRAM, "time, × tdx2db")
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted
