"""`make bench`: measure, then write docs/benchmarks.md."""

import argparse
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import (
    databases,
    frames,
    increments,
    landing,
    nights,
    page,
    peers,
    reads,
    tdx2db,
    tick_store,
)
from tests.benchmarks.processes import ROOT
from tests.benchmarks.real_market import MADE_UP, REAL, STOCKS
from tests.benchmarks.rows import DAYS

Options = argparse.Namespace
Sections = Iterator[tuple[str, str, list[page.Aim]]]  # title, text, aims
ORDER = (
    nights.TITLE,
    landing.TITLE,
    increments.TITLE,
    reads.TITLE,
    frames.TITLE,
    tick_store.TITLE,
    peers.TITLE,
    tdx2db.TITLE,
)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    # as Ctrl-C does: servers end with the process that started them
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    before = options.out.read_text("utf-8") if options.out.is_file() else ""
    texts, aims = page.read_sections(before), page.read_aims(before)
    with databases.scratch() as (folder, server):
        for name in options.only:
            load_before = page.load_average()
            for title, text, aims[title] in PARTS[name](server, folder, options):
                texts[title] = page.with_facts(text, server, load_before)
                # after each section: a run that breaks off keeps what it measured
                options.out.write_text(page.write_page(texts, aims, ORDER), "utf-8")
    say(f"written: {options.out}")
    return 0


def measure_landing(server: str, folder: Path, options: Options) -> Sections:
    results = landing.compare_paths(server, folder, options.codes, rounds=options.rounds, say=say)
    small = landing.compare_small_loads(
        server, folder, options.tables, rounds=options.rounds, loads=options.loads, say=say
    )
    yield landing.TITLE, *landing.section(results, small)


def measure_increments(server: str, folder: Path, options: Options) -> Sections:
    results = increments.compare_sizes(
        server, folder, options.market, DAYS // 4, count=options.days, say=say
    )
    yield increments.TITLE, *increments.section(results)


def measure_nights(_: str, folder: Path, options: Options) -> Sections:
    stocks = {REAL: options.real_stocks, MADE_UP: options.folder_codes}
    results = nights.compare_markets(folder, stocks, days=DAYS, repeats=options.nights, say=say)
    yield nights.TITLE, *nights.section(results)


def measure_reads(server: str, folder: Path, options: Options) -> Sections:
    results = reads.compare_stores(server, folder, options.read_codes, DAYS, say=say)
    yield reads.TITLE, *reads.section(results)


def measure_frames(server: str, _: Path, options: Options) -> Sections:
    results = frames.compare_readers(server, options.frame_codes, DAYS, rounds=1, say=say)
    yield frames.TITLE, *frames.section(results)


def measure_ticks(_: str, folder: Path, options: Options) -> Sections:
    results = tick_store.compare_paths(
        folder, rounds=options.saves, with_peer="peers" in options.only, say=say
    )
    yield tick_store.TITLE, *tick_store.section(results)


def measure_peers(server: str, folder: Path, options: Options) -> Sections:
    bars = peers.compare_bars(server, folder, options.codes, DAYS, rounds=1, say=say)
    yield peers.TITLE, *peers.section(bars)


def measure_tdx2db(server: str, folder: Path, options: Options) -> Sections:
    if shutil.which(tdx2db.PROGRAM) is None:
        return say(tdx2db.NOT_INSTALLED)
    stocks = {REAL: options.real_stocks, MADE_UP: options.folder_codes}
    pairs = {REAL: options.real_pairs, MADE_UP: options.pairs}
    results = tdx2db.compare_loads(server, folder, stocks, pairs, days=DAYS, say=say)
    yield tdx2db.TITLE, *tdx2db.section(results)


PARTS = {
    "nights": measure_nights,
    "landing": measure_landing,
    "increments": measure_increments,
    "reads": measure_reads,
    "frames": measure_frames,
    "ticks": measure_ticks,
    "peers": measure_peers,
    "tdx2db": measure_tdx2db,
}

# beside others: in environments filled from the package index, or by what is on PATH
OTHERS = ("ticks", "peers", "frames", "tdx2db")


def parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=[p for p in PARTS if p not in OTHERS]
    )
    sizes = {
        "codes": (120, f"codes of {DAYS:,} rows to write"),
        "rounds": (3, "rounds of the write paths"),
        "loads": (5, "small loads a round"),
        "market": (125, "codes of the smallest market"),
        "days": (2, "new days and events"),
        "read-codes": (5_000, "codes to read from"),
        "frame-codes": (5_400, "codes to read into Python"),
        "saves": (7, "saves of a day of ticks by each path"),
        "folder-codes": (5_400, "made-up stocks of a client's folder"),
        "real-stocks": (STOCKS, "real stocks of a client's folder"),
        "real-pairs": (5, "loads of real stocks beside tdx2db's"),
        "pairs": (2, "loads of made-up stocks beside tdx2db's"),
        "nights": (3, "empty nights, and calls of what tells of them"),
    }
    for name, (default, text) in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=text, metavar="N")
    tables = {"nargs": 2, "type": int, "metavar": "N", "default": [100_000, 1_000_000]}
    parser.add_argument("--tables", help="rows before small loads", **tables)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    return parser.parse_args(arguments)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
