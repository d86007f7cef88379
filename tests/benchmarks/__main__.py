"""`make bench`: measure, then write docs/benchmarks.md."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loaders.warehouse.embedded import server as embedded
from tests.benchmarks import builds, first_loads, loads, nights, page, servers, ticks
from tests.benchmarks.loads import DAYS
from tests.benchmarks.nights import MADE_UP, REAL
from tests.real_market import STOCKS

Options = argparse.Namespace
Section = tuple[str, list[page.Aim]]
ORDER = (nights.TITLE, first_loads.TITLE, loads.TITLE, builds.TITLE, ticks.TITLE, servers.TITLE)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    # as Ctrl-C does: servers end with the process that started them
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    before = options.out.read_text("utf-8") if options.out.is_file() else ""
    texts, aims = page.read_sections(before), page.read_aims(before)
    with new_server() as (folder, server):
        for name in options.only:
            load_before = page.load_average()
            title, measure = PARTS[name]
            text, aims[title] = measure(server, folder, options)
            texts[title] = page.with_facts(text, server, load_before)
            # after each section: a run that breaks off keeps what it measured
            options.out.write_text(page.write_page(texts, aims, ORDER), "utf-8")
    say(f"written: {options.out}")
    return 0


@contextmanager
def new_server() -> Iterator[tuple[Path, str]]:
    """A folder, and the URL of an embedded server in it with its default settings."""
    home = Path(tempfile.mkdtemp(prefix="qm-bench-"))
    home.chmod(0o755)  # as root the server runs as another user
    try:
        yield home, embedded.ensure_running(home).url
    finally:
        embedded.stop(home)
        shutil.rmtree(home)


def measure_loads(server: str, folder: Path, options: Options) -> Section:
    results = loads.compare_paths(server, folder, options.codes, rounds=options.rounds, say=say)
    small = loads.compare_small_loads(
        server, folder, options.tables, rounds=options.rounds, loads=options.loads, say=say
    )
    return loads.section(results, small)


def measure_builds(server: str, folder: Path, options: Options) -> Section:
    results = builds.compare_sizes(
        server, folder, options.market, DAYS // 4, count=options.days, say=say
    )
    return builds.section(results)


def measure_nights(_: str, folder: Path, options: Options) -> Section:
    stocks = {REAL: options.real_stocks, MADE_UP: options.folder_codes}
    results = nights.compare_markets(folder, stocks, days=DAYS, repeats=options.nights, say=say)
    return nights.section(results)


def measure_first_loads(_: str, folder: Path, options: Options) -> Section:
    stocks = {REAL: options.real_stocks, MADE_UP: options.folder_codes}
    results = first_loads.compare_markets(
        folder, stocks, days=DAYS, rounds=options.first_loads, say=say
    )
    return first_loads.section(results)


def measure_ticks(_: str, folder: Path, options: Options) -> Section:
    return ticks.section(ticks.compare_paths(folder, rounds=options.saves, say=say))


def measure_servers(_: str, __: Path, options: Options) -> Section:
    return servers.section(servers.compare_clients(options.asked, rounds=options.rounds, say=say))


PARTS = {
    "nights": (nights.TITLE, measure_nights),
    "first-loads": (first_loads.TITLE, measure_first_loads),
    "loads": (loads.TITLE, measure_loads),
    "builds": (builds.TITLE, measure_builds),
    "ticks": (ticks.TITLE, measure_ticks),
    "servers": (servers.TITLE, measure_servers),
}


def parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    sizes = {
        "codes": (120, f"codes of {DAYS:,} rows to write"),
        "rounds": (3, "rounds of the write paths"),
        "loads": (5, "small loads a round"),
        "first-loads": (5, "first loads of a client's folder"),
        "market": (125, "codes of the smallest market"),
        "days": (2, "new days and events"),
        "asked": (60, "codes asked of a quote server"),
        "saves": (7, "saves of a day of ticks by each path"),
        "folder-codes": (5_400, "made-up stocks of a client's folder"),
        "real-stocks": (STOCKS, "real stocks of a client's folder"),
        "nights": (3, "empty nights, and calls of what tells of them"),
    }
    for name, (default, text) in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=text, metavar="N")
    tables = {"nargs": 2, "type": int, "metavar": "N", "default": [100_000, 1_000_000]}
    parser.add_argument("--tables", help="rows before small loads", **tables)
    parser.add_argument("--out", type=Path, default=page.ROOT / "docs" / "benchmarks.md")
    return parser.parse_args(arguments)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
