"""A client's folder from nothing to adjusted prices, then the nights after it.

Two markets: real bars with their events, and more bars that are made up and have none.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import psycopg

from loaders.sandbox.tdx.client_files import encode_gbbq
from loaders.tdx.files import gbbq
from loaders.trading_time import published_days
from loaders.warehouse.embedded import server as embedded
from tests.benchmarks.builds import Home
from tests.benchmarks.loads import settle
from tests.benchmarks.page import Aim, at_most, paragraph, table
from tests.benchmarks.server_cpu import cpu_seconds, rewrite_results
from tests.client_folder import RECORD, write_folder
from tests.real_market import read_records, write_real_market

REAL, MADE_UP = "real", "made up"  # markets
TITLE = "From a client's folder to adjusted prices"
LOAD, BUILD, EMPTY = "load", "first build", "an empty night"
PRICES = "folder to adjusted, weekly and monthly prices"
PRICE_TABLES = [f"market.kline_{period}_qfq" for period in ("daily", "weekly", "monthly")]
DAY, EVENT = "one new day", "one new event"
STATUS, SCHEDULE = "`status`", "`schedule run`, nothing due"
LIMIT = "limit of a command: imports and `select 1`"
QUESTION = """
import sys, psycopg, typer
from pydantic import BaseModel
with psycopg.connect(sys.argv[1]) as conn:
    conn.execute("select 1").fetchone()
"""
LIMIT_AIMS = {STATUS: 2.0, SCHEDULE: 1.3}  # times the limit, as seconds depend on the machine
CPU = "first build's server CPU beside writing its own results"
CPU_AIM = 3.0  # times the CPU of `create table as`, keys and indexes
# seconds
AIMS = {
    (MADE_UP, LOAD): 40.0,
    (MADE_UP, PRICES): 100.0,
    **{(market, EMPTY): 2.5 for market in (REAL, MADE_UP)},
    **{(market, DAY): 20.0 for market in (REAL, MADE_UP)},
}


class Measured(NamedTuple):
    """Seconds by what ran: load and build of a day and an event apart.

    cpu: the server's seconds in the first build, and for writing its results again
    """

    stocks: int
    bars: int
    seconds: Mapping[str, tuple[float, ...]]
    cpu: tuple[float, float]


def compare_markets(
    scratch: Path,
    stocks: Mapping[str, int],
    *,
    days: int,
    repeats: int,
    say: Callable[[str], None],
) -> dict[str, Measured]:
    """Measure each market of so many stocks; those that are made up have so many days.

    Each has a home with its embedded server, as a new user has.
    """
    results = {}
    for market, count in stocks.items():
        with new_home(scratch) as home:
            client = home.folder / "client"
            if market == REAL:
                codes = write_real_market(client, count)
            else:
                codes = write_folder(client, count, days)
            results[market] = measure_market(home, client, codes, repeats=repeats)
        build = results[market].seconds[BUILD][0]
        say(f"{market}: {results[market].bars:,} bars built in {build:.0f} s")
    return results


@contextmanager
def new_home(scratch: Path) -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root the server runs as another user
        settings = {"QUOTEMILL_TDX__CLIENT": f"{name}/client", "QUOTEMILL_WAREHOUSE_URL": ""}
        try:
            yield Home(folder, embedded.ensure_running(folder).url, settings)
        finally:
            embedded.stop(folder)


def measure_market(home: Home, client: Path, codes: list[str], *, repeats: int) -> Measured:
    """Load, build, then repeat what comes after; the first of each repetition is not measured.

    That one makes what the next ones find made: dbt compiles SQL, the schedule its next start.
    """
    files = sorted(client.glob("vipdoc/*/lday/*.day"))
    bars = sum(file.stat().st_size for file in files) // RECORD.itemsize
    last = max(_last_day(file) for file in files)
    days = [day for day in published_days(last, last + timedelta(30)) if day >= last]

    def as_of(day: date) -> str:
        return f"--as-of={day}T20:00"

    def run(stage: str, day: date) -> float:
        return home.run("quotemill", "run", "tdx", f"--only={stage}", as_of(day))

    def change(day: date) -> tuple[float, float]:
        return run("load", day), run("build", day)

    def repeat(commands: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[float]]:
        """Medians of commands that take turns."""
        rounds = [
            {name: home.run(*command) for name, command in commands.items()}
            for _ in range(repeats + 1)
        ][1:]
        return {name: (median(seconds[name] for seconds in rounds),) for name in commands}

    def add_day(day: date) -> tuple[float, float]:
        append_day(files, day)
        return change(day)

    def add_event(code: str) -> tuple[float, float]:
        append_event(client, code, days[2])
        return change(days[2])

    with await_tables(home.dsn, PRICE_TABLES) as seconds_to_prices:
        load = run("load", days[0])
        before = cpu_seconds(home.dsn)
        build = run("build", days[0])
        cpu = cpu_seconds(home.dsn) - before
    settle(home.dsn)  # else the server cleans up beside what is measured next
    rewritten = rewrite_results(home.dsn)
    seconds: dict[str, tuple[float, ...]] = {
        LOAD: (load,),
        BUILD: (build,),
        PRICES: tuple(seconds_to_prices),
        **repeat({EMPTY: ("quotemill", "run", "tdx", as_of(days[0]))}),
        **repeat(
            {
                STATUS: ("quotemill", "status", as_of(days[0])),
                SCHEDULE: ("quotemill", "schedule", "run"),
                LIMIT: ("python", "-c", QUESTION, home.dsn),
            }
        ),
        DAY: [add_day(day) for day in days[1:3]][-1],
    }
    if (client / gbbq.PLACE).exists():
        seconds[EVENT] = [add_event(code) for code in codes[:2]][-1]
    return Measured(len(codes), bars, seconds, (cpu, rewritten))


@contextmanager
def await_tables(dsn: str, tables: list[str]) -> Iterator[list[float]]:
    """A list that gets the seconds from here until all tables are there, once they are."""
    started, seconds, ended = time.perf_counter(), list[float](), threading.Event()
    query = "select bool_and(to_regclass(name) is not null) from unnest(%s::text[]) as name"

    def watch() -> None:
        with psycopg.connect(dsn, autocommit=True) as conn:
            is_last = False
            while not is_last:
                is_last = ended.wait(0.1)
                if conn.execute(query, (tables,)).fetchone() == (True,):
                    seconds.append(time.perf_counter() - started)
                    break

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seconds
    finally:
        ended.set()
        watcher.join()
    assert seconds, f"not all of {', '.join(tables)} are there"


def append_day(files: list[Path], day: date) -> None:
    """Give the files that reach the market's last day the same bar on `day`."""
    last = max(_last_day(file) for file in files)
    for file in (file for file in files if _last_day(file) == last):
        bar = np.fromfile(file, RECORD)[-1:]
        bar["day"] = int(f"{day:%Y%m%d}")
        with file.open("ab") as target:
            target.write(bar.tobytes())


def append_event(client: Path, code: str, day: date) -> None:
    """Give a code a dividend of 5 yuan for 10 shares, which changes its prices before `day`."""
    file = client / gbbq.PLACE
    event = (code, int(f"{day:%Y%m%d}"), 1, (5.0, 0.0, 0.0, 0.0))
    file.write_bytes(encode_gbbq([*read_records(file), event]))


def _last_day(file: Path) -> date:
    day = int(np.fromfile(file, RECORD)[-1]["day"])
    return date(day // 10_000, day // 100 % 100, day % 100)


def section(results: Mapping[str, Measured]) -> tuple[str, list[Aim]]:
    names = [LOAD, BUILD, PRICES, EMPTY, DAY, EVENT, STATUS, SCHEDULE, LIMIT]
    lines = []
    for name in names:
        cells = (" + ".join(f"{s:.2f}" for s in m.seconds.get(name, ())) for m in results.values())
        lines.append([f"{name}, s", *cells])
    cells = (f"{m.cpu[0]:.1f} / {m.cpu[1]:.1f} s" for m in results.values())
    lines.append([CPU, *cells])
    wanted = [
        at_most(f"{market}: {name}", sum(results[market].seconds[name]), aim, "s")
        for (market, name), aim in AIMS.items()
        if market in results
    ]
    wanted += [
        at_most(f"{market}: {name}", m.seconds[name][0] / m.seconds[LIMIT][0], aim, "× its limit")
        for market, m in results.items()
        for name, aim in LIMIT_AIMS.items()
    ]
    wanted += [
        at_most(f"{market}: {CPU}", m.cpu[0] / m.cpu[1], CPU_AIM) for market, m in results.items()
    ]
    text = (
        "Seconds per command. The real market repeats 130 stocks with all their events under "
        "other codes, and the made-up one has no events. A new day for all stocks and an event "
        "for one are load + build. An empty night is a `quotemill run` with nothing new. The last "
        "row compares the first build with `create table as` from the built tables, with their "
        "keys and indexes. The limit is a process that imports psycopg, typer and the pydantic "
        "models and sends one query, in turns with `status` and `schedule run`."
    )
    head = [f"{market}: {m.stocks:,} stocks, {m.bars:,} bars" for market, m in results.items()]
    return f"{paragraph(text)}\n\n{table(['', *head], lines)}", wanted
