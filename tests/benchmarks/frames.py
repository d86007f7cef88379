"""Day bars read into Python: ours beside pandas.read_sql, connectorx and psycopg.

The peers have one environment of their own, made at first use. Each reading is a process.
"""

import json
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from tests.benchmarks import databases
from tests.benchmarks.page import Aim, at_least, paragraph, table
from tests.benchmarks.peers import ENVIRONMENTS
from tests.benchmarks.processes import measured, peak_mb

TITLE = "Rows into Python"
CONNECTORX, READ_SQL, PSYCOPG = "connectorx", "pandas.read_sql", "psycopg"
PACKAGES = (
    "connectorx==0.4.6",
    "pandas==3.0.6",
    "psycopg[binary]==3.3.9",
    "pyarrow==26.0.1",
    "sqlalchemy==2.0.51",
)
PROGRAM = Path(__file__).with_name("frame_peer.py")
# those that make an object of each value would need some ten GB for the whole market
PART = 10
COLUMNS = "code, trade_date, open, high, low, close, volume_shares, amount_cny, is_final"
Figures = dict[str, Any]


@dataclass
class Results:
    """Figures by reader and share of the codes: seconds, cpu, rows, peak_mb; one of each round."""

    codes: int
    days: int
    figures: dict[tuple[str, int], list[Figures]] = field(default_factory=dict)

    def median(self, reader: str, part: int, name: str) -> float:
        return median(float(figures[name]) for figures in self.figures[reader, part])

    def rate(self, reader: str, part: int) -> float:
        return self.median(reader, part, "rows") / self.median(reader, part, "seconds")


def compare_readers(
    server: str, codes: int, days: int, *, rounds: int, say: Callable[[str], None]
) -> Results:
    """Read the same bars by each reader: the whole market, and a tenth of it by all."""
    results = Results(codes, days)
    python = environment()
    with databases.database(server) as url:
        fill(url, codes, days)
        say(f"{codes * days:,} bars are stored")
        readings: list[tuple[str, int, Callable[[str], Figures]]] = []
        for part in (PART, 1):
            for way in ("exact", "float", "batches"):
                readings.append((way, part, lambda query, way=way: _read_ours(url, query, way)))
            for peer in (CONNECTORX, READ_SQL, PSYCOPG)[: 3 if part == PART else 1]:
                readings.append(
                    (peer, part, lambda query, peer=peer: _read_by_peer(python, peer, url, query))
                )
        for number in range(rounds):
            for reader, part, read in readings:
                wanted = max(1, codes // part)
                query = f"select {COLUMNS} from bars where code < 'sh{600_000 + wanted}'"
                figures = read(query)
                if figures["rows"] != wanted * days:
                    raise RuntimeError(f"{reader}: {figures['rows']:,} rows")
                results.figures.setdefault((reader, part), []).append(figures)
                rate = figures["rows"] / figures["seconds"]
                say(f"round {number + 1}: {reader} 1/{part}: {rate:,.0f} rows/s")
    return results


def fill(url: str, codes: int, days: int) -> None:
    """Day bars with the types of market.kline_daily_qfq, in key order."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "create table bars (code text, trade_date date, open numeric(18, 3), "
            "high numeric(18, 3), low numeric(18, 3), close numeric(18, 3), volume_shares bigint, "
            "amount_cny numeric(20, 3), is_final boolean)"
        )
        conn.execute(
            "insert into bars select 'sh' || (600000 + k), date '2010-01-04' + d, p, p + 0.21, "
            "p - 0.17, p + 0.05, v * 100, round(v * 100 * p, 3), true "
            "from generate_series(0, %s - 1) as k, generate_series(0, %s - 1) as d, "
            "lateral (select round(5 + (k * 37 + d * 11) %% 9000 / 100.0, 2) as p, "
            "1000 + (k * 7919::bigint + d * 104729::bigint) %% 99991 as v) as x",
            (codes, days),
        )
        conn.execute("create index on bars (code)")
        conn.execute("vacuum analyze bars")


def read_bars(url: str, query: str, way: str) -> Figures:
    """Read by our package, in this process; batches are dropped as they come."""
    import quotemill

    with quotemill.open(url=url) as market:
        market.sql("select 1 as one")  # what is imported once is not counted
        began, used = time.perf_counter(), time.process_time()
        if way == "batches":
            rows = sum(batch.num_rows for batch in market.sql(query, batches=True))
        else:
            rows = len(market.sql(query, float=way == "float"))
        figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    return figures | {"rows": rows, "peak_mb": peak_mb()}


def _read_ours(url: str, query: str, way: str) -> Figures:
    figures: Figures = measured("frames", "read_bars", url=url, query=query, way=way)
    return figures


def _read_by_peer(python: Path, peer: str, url: str, query: str) -> Figures:
    done = subprocess.run([python, PROGRAM, peer, url, query], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{peer} failed: {done.stderr.strip()[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def environment() -> Path:
    """The Python of the peers."""
    folder = ENVIRONMENTS / "frames"
    python, done = folder / "bin" / "python", folder / ".installed"
    wanted = " ".join(PACKAGES)
    if not done.exists() or done.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES], check=True, stdout=sys.stderr)
        done.write_text(wanted)
    return python


def section(results: Results) -> tuple[str, list[Aim]]:
    names = {
        "exact": "**ours**: an Arrow table, exact decimals",
        "float": "**ours**, `float=True`",
        "batches": "**ours**, `batches=True`",
        CONNECTORX: f"{PACKAGES[0].replace('==', ' ')}: an Arrow table, decimals",
        READ_SQL: "pandas.read_sql (SQLAlchemy, psycopg)",
        PSYCOPG: "psycopg: tuples",
    }
    lines = list(_lines(results, names))
    floats = results.rate("float", PART)
    wanted = [
        at_least("pandas.read_sql", floats / results.rate(READ_SQL, PART), 5),
        at_least("connectorx", results.rate("exact", 1) / results.rate(CONNECTORX, 1), 1),
    ]
    bars = results.codes * results.days
    text = (
        f"{bars:,} day bars of nine columns, five of them numeric, by one connection; a tenth of "
        "them also by what makes an object of each value. CPU and memory are the client's."
    )
    head = ["reader", "rows/s, a tenth", "CPU µs a row", "peak MB", "rows/s, all", "CPU", "peak MB"]
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted


def _lines(results: Results, names: dict[str, str]) -> Iterator[list[str]]:
    for reader, name in names.items():
        cells = [name]
        for part in (PART, 1):
            if (reader, part) not in results.figures:
                cells += [""] * 3
                continue
            cpu = 1e6 * results.median(reader, part, "cpu") / results.median(reader, part, "rows")
            peak = results.median(reader, part, "peak_mb")
            cells += [f"{results.rate(reader, part):,.0f}", f"{cpu:.2f}", f"{peak:.0f}"]
        yield cells
