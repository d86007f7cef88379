"""What looking takes: `quotemill status` and `quotemill report` on a warehouse of any age, as processes of their
own, beside a bare Python.

The models are built over no row; then bars, jobs and what the report's grids read are written by SQL.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psycopg

from loaders.sources import landed_tables
from loaders.warehouse.migrate import prepare
from tests.benchmarks import databases
from tests.benchmarks.processes import ROOT
from tests.benchmarks.report import Aim, table

TITLE = "Looking: status and report"
JOBS_A_DAY = 30  # loads on record for each day of bars, of which most found nothing due
RUN = "from orchestration.cli import main; main()"
STATUS, REPORT, BARE = "`quotemill status`", "`quotemill report`", "a bare Python"
MOST_STATUS, MOST_PAGE = 2.0, 1.5  # seconds, MB

_FILL = """
    insert into raw_tdx.trading_day (trade_date, source, fetched_at, source_route, is_final)
    select day, 'service', now(), '', true from (
        select current_date - n as day from generate_series(1, 3 * %(days)s) as n
        where extract(isodow from current_date - n) < 6 order by 1 desc limit %(days)s
    ) as days;
    insert into raw_tdx.security
        (code, exchange, name, instrument_type, is_listed, fetched_at, source_route, is_final)
    select 'sh' || 600000 + n, 'sh', '', 'stock', true, now(), '', true
    from generate_series(0, %(codes)s - 1) as n;
    insert into raw_tdx.kline_daily (code, trade_date, open, high, low, close, volume, amount,
        fetched_at, source_route, is_final)
    select s.code, d.trade_date, 10000, 10000, 10000, 10000, 1000, 1000000000, now(), '', true
    from raw_tdx.security as s cross join raw_tdx.trading_day as d
    -- a hole here and there
    where abs(hashtext(s.code || d.trade_date)) %% 1000 > 0;
    insert into ops.ingestion_state (source, dataset, key, last_success_date, last_success_at)
    select 'tdx', 'kline_daily', code, current_date, now() from raw_tdx.security;
    insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, as_of,
        started_at, finished_at)
    select 'tdx', 'tdx', 'incremental', 'succeeded', 'bench', '{}', at, at, at + interval '20 seconds'
    from (
        select now() - n * interval '1 day' / %(jobs)s as at
        from generate_series(1, %(days)s::integer * %(jobs)s) as n order by 1
    ) as moments;
    insert into ops.ingestion_job_tasks (job_id, task_no, dataset, status, done, rows_read, rows_new)
    select j.job_id, n, 'kline_daily', 'succeeded', 100, 100, 100
    from ops.ingestion_jobs as j cross join generate_series(1, 4) as n;
    insert into ops.builds (status, command, fingerprint, started_at, finished_at)
    select 'succeeded', 'build', '', now() - n * interval '1 day', now() - n * interval '1 day'
    from generate_series(1, %(days)s) as n;
"""


@dataclass
class Look:
    """Median seconds by command on a warehouse of so many codes and days; bytes of the page."""

    codes: int
    days: int
    seconds: dict[str, float] = field(default_factory=dict)
    page: int = 0


def looks(
    server: str,
    folder: Path,
    sizes: Sequence[tuple[int, int]],
    rounds: int,
    say: Callable[[str], None],
) -> list[Look]:
    """Of each size in turn: codes, days."""
    found = []
    for codes, days in sizes:
        look = Look(codes, days)
        with databases.database(server) as dsn:
            home = folder / dsn.partition("/bench_")[2].partition("?")[0]
            home.mkdir()
            prepare(databases.warehouse(dsn, home), landed_tables())
            environ = {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(home)}
            environ |= {
                "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
                "DBT_PROFILES_DIR": str(home),
            }
            quotemill = [sys.executable, "-c", RUN]
            no_tests = ["--exclude", "resource_type:unit_test", "resource_type:test"]
            _took([*quotemill, "dbt", "--quiet", "build", *no_tests], environ)
            _fill(dsn, codes, days)
            again = ["--select", "symbol_dim", "trading_calendar"]
            _took([*quotemill, "dbt", "--quiet", "run", *again], environ)
            with psycopg.connect(dsn, autocommit=True) as conn:
                conn.execute("vacuum analyze")
            page, since = home / "page.html", "2000-01-01"
            commands = {
                BARE: [sys.executable, "-c", ""],
                STATUS: [*quotemill, "status"],
                REPORT: [*quotemill, "report", "--out", str(page), "--since", since],
            }
            taken = {
                name: [_took(command, environ) for _ in range(rounds)]
                for name, command in commands.items()
            }
            look.seconds = {name: median(times) for name, times in taken.items()}
            look.page = page.stat().st_size
        say(f"{codes} codes, {days} days: {look.seconds}, {look.page:,} bytes")
        found.append(look)
    return found


def _fill(dsn: str, codes: int, days: int) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("set session_replication_role = replica")
        for statement in _FILL.split(";\n")[:-1]:
            conn.execute(statement.encode(), {"codes": codes, "days": days, "jobs": JOBS_A_DAY})


def _took(command: Sequence[str], environ: dict[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environ, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{command[-3:]}: {done.stderr.strip()[-2000:]}")
    return time.perf_counter() - started


def section(found: Sequence[Look]) -> str:
    rows = [
        (
            f"{look.codes * look.days:,}",
            f"{look.days * JOBS_A_DAY:,}",
            *(f"{look.seconds[name]:.2f}" for name in (BARE, STATUS, REPORT)),
            f"{look.page / 1e6:.2f}",
        )
        for look in found
    ]
    head = ("day bars", "loads on record", *(f"{n}, s" for n in (BARE, STATUS, REPORT)), "page, MB")
    return (
        "Each a process of its own, start included. The report is of the whole history, heat maps and all.\n\n"
        + table(head, rows)
    )


def aims(found: Sequence[Look]) -> list[Aim]:
    last = found[-1]
    size = f"{last.codes * last.days:,} day bars"
    status, page = last.seconds[STATUS], last.page / 1e6
    return [
        (f"status, {size}", f"≤ {MOST_STATUS:g} s", f"{status:.2f}", status <= MOST_STATUS),
        (f"the report's page, {size}", f"≤ {MOST_PAGE:g} MB", f"{page:.2f}", page <= MOST_PAGE),
    ]
