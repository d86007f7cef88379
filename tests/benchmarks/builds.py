"""A full build, one new day and one new event of one code, at 1 and 4 times the codes and days.

Loads and builds are our own commands, started as a user starts them.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import psycopg

from loaders.sandbox.world.actions import Action, actions_csv
from loaders.sandbox.world.market import DEFAULT_END, exchange_days
from tests.benchmarks.loads import database, settle
from tests.benchmarks.page import ROOT, Aim, at_most, paragraph, table

TITLE = "A full build, one new day, one new event"
DATASETS = ("kline_daily", "minute_1m", "corporate_actions")
CODE = "sh600000"  # trades on every day of every market
CASH = Decimal(5)  # yuan for 10 shares: changes every adjusted price before it
TIMES = (1, 4)
FULL, DAY, EVENT = "full build", "one new day", "one new event"
WRITTEN = """
    select sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint from pg_stat_user_tables
    where schemaname in ('raw_tdx', 'market') and relname not like '%dlt%'
"""
# without the calendars, of which every model reads all: one row a day of the market
READ = """
    select coalesce(sum(t.seq_tup_read), 0)::bigint + coalesce(sum(i.idx_tup_read), 0)::bigint
    from pg_stat_user_tables as t
    left join (
        select relid, sum(idx_tup_read) as idx_tup_read from pg_stat_user_indexes group by relid
    ) as i on t.relid = i.relid
    where
        t.schemaname in ('raw_tdx', 'market', 'quotemill_intermediate')
        and t.relname not in ('trading_day', 'trading_calendar')
"""
Size: TypeAlias = tuple[int, int]  # codes, days
Figures: TypeAlias = dict[str, float]  # load and build in seconds, rows written and read


@dataclass(frozen=True)
class Home:
    """A home, the warehouse and the settings of the commands."""

    folder: Path
    dsn: str
    settings: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "QUOTEMILL_WAREHOUSE_URL": self.dsn,
            "QUOTEMILL_HOME": str(self.folder),
            "DBT_PROFILES_DIR": str(self.folder / "profiles"),
            **self.settings,
        }

    def run(self, program: str, *arguments: str, **settings: str) -> float:
        """Run a program beside this Python; return its seconds. Raises RuntimeError."""
        env = self.environment | settings
        command = [str(Path(sys.executable).parent / program), *arguments]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{program} {arguments[:3]} failed: {done.stderr[-2000:]}")
        return seconds


@dataclass(frozen=True)
class Pipeline:
    """A simulated market, an empty database, and the commands between them."""

    control: str
    actions: Path
    home: Home

    def move_to(self, day: date) -> None:
        self._ask("POST", "clock", {"clock": day.isoformat(), "restart": True})

    def change(self, minute_days: int, *datasets: str) -> Figures:
        """Load and build; seconds of each, rows written by both, rows read by the build."""
        settle(self.home.dsn)
        written = self._count(WRITTEN)
        as_of = ("--as-of", f"{self._ask('GET', 'state')['clock']}+08:00")
        options = [f"--dataset={name}" for name in datasets]
        minutes = {"QUOTEMILL_TDX__MINUTE_DAYS": str(minute_days)}
        load = self.home.run("loaders", "run", "tdx", *as_of, *options, **minutes)
        read = self._count(READ)
        build = self.home.run("quotemill", "run", "tdx", "--only", "build", *as_of)
        written, read = self._count(WRITTEN) - written, self._count(READ) - read
        return {"load": load, "build": build, "written": written, "read": read}

    def add_event(self, day: date) -> None:
        row = actions_csv([Action(CODE, day, cash=CASH)]).splitlines()[1]
        with self.actions.open("a", encoding="utf-8") as file:
            file.write(f"{row}\n")

    def _count(self, query: str) -> int:
        with psycopg.connect(self.home.dsn) as conn:
            [(count,)] = conn.execute(query.encode())
        return count or 0

    def _ask(self, method: str, route: str, document: dict[str, Any] | None = None) -> Any:
        body = json.dumps(document or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.control}/{route}", body, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@contextmanager
def pipeline(server: str, scratch: Path, size: Size) -> Iterator[Pipeline]:
    """A market of so many codes and days, served by a process, its clock at its last day's end."""
    folder = scratch / f"market-{size[0]}-{size[1]}"
    folder.mkdir()
    actions = folder / "actions.csv"
    command = [str(Path(sys.executable).parent / "loaders"), "sandbox", "tdx", "--port", "0"]
    command += ["--control-port", "0", "--write-actions", str(actions)]
    command += ["--codes", str(size[0]), "--days", str(size[1])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().replace("control=", "")
        service, control = (part for part in ready.split() if "://" in part)
        with database(server) as dsn:
            settings = {
                "QUOTEMILL_TDX__BASE_URL": service,
                "QUOTEMILL_TDX__CORPORATE_ACTIONS": str(actions),
            }
            yield Pipeline(control, actions, Home(folder, dsn, settings))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def measure_size(
    server: str, scratch: Path, size: Size, *, minute_days: int, count: int
) -> dict[str, Figures]:
    """The figures of one market with so many days of minutes; days and events: of `count`."""
    last = datetime(DEFAULT_END.year, 12, 31).date()
    days = [day for day in exchange_days(DEFAULT_END, last) if day > DEFAULT_END][: count + 1]
    with pipeline(server, scratch, size) as market:

        def add_day(day: date) -> Figures:
            market.move_to(day)
            return market.change(2, *DATASETS)

        def add_event(day: date) -> Figures:
            market.add_event(day)
            return market.change(2, "corporate_actions")

        full = market.change(minute_days, *DATASETS)
        # the first of each is not measured: dbt compiles other SQL for it
        changes = {
            DAY: [add_day(day) for day in days][1:],
            EVENT: [add_event(day) for day in days][1:],
        }
    medians = {
        name: {figure: median(run[figure] for run in runs) for figure in full}
        for name, runs in changes.items()
    }
    return {FULL: full, **medians}


def sizes(codes: int, days: int) -> list[Size]:
    """More codes first, then longer histories."""
    by_codes = [(codes * times, days) for times in TIMES]
    return by_codes + [(codes, days * times) for times in TIMES[1:]]


def compare_sizes(
    server: str, scratch: Path, codes: int, days: int, *, count: int, say: Callable[[str], None]
) -> dict[Size, dict[str, Figures]]:
    results = {}
    for size in sizes(codes, days):
        minute_days = 3 * size[1] // days
        results[size] = measure_size(server, scratch, size, minute_days=minute_days, count=count)
        say(f"{size[0]} codes × {size[1]} days: built, {count} days and events")
    return results


def section(results: Mapping[Size, Mapping[str, Figures]]) -> tuple[str, list[Aim]]:
    measured = list(results)
    first, codes, days = measured[0], measured[len(TIMES) - 1], measured[-1]
    lines = []
    for change in (FULL, DAY, EVENT):
        figures = [results[size][change] for size in measured]
        seconds = (f"{of['load']:,.1f} + {of['build']:,.1f}" for of in figures)
        lines.append([f"{change}, s", *seconds])
    text = (
        "Day bars for every code and minutes for some days, in seconds of load + build. The "
        "event is one code's dividend."
    )
    wanted = [
        at_most(
            "rows touched by an event at 4 × the codes", _growth(results, EVENT, first, codes), 1.1
        ),
        at_most(
            "rows touched by a day at 4 × the history", _growth(results, DAY, first, days), 1.1
        ),
    ]
    head = ["codes × days", *(f"{size[0]:,} × {size[1]:,}" for size in measured)]
    return f"{paragraph(text)}\n\n{table(head, lines)}", wanted


def _growth(
    results: Mapping[Size, Mapping[str, Figures]], change: str, few: Size, many: Size
) -> float:
    return _touched(results[many][change]) / _touched(results[few][change])


def _touched(figures: Figures) -> float:
    return figures["written"] + figures["read"]
