"""The blocks of README, quickstart, tutorial and how-tos, run in order as they are written.

Differences: the environment is this one, addresses and folders of an example are those of a test,
and markets and days are fewer. `tests/e2e/pages.py` lists the blocks that are not run.
"""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from loaders.settings import load_settings
from tests import timescale
from tests.dbt_parse import Parsed
from tests.e2e.commands import sandbox
from tests.e2e.pages import (
    ARCHIVE,
    DBT,
    FUTURES,
    IB_SANDBOX,
    IN_QUESTDB,
    INDICES,
    NOT_RUN,
    OF_A_SERVER,
    OPTIONS,
    PSQL,
    QUESTDB,
    TQ_SANDBOX,
    join,
    read_blocks,
)
from tests.e2e.terminal import checkout, environment, first_terminal, free_port, run

MAKE = 'make() { if [ "$1" = demo ]; then quotemill demo --codes 12 --days 60; fi; }\n'
SET_UP = "make() { :; }\n"  # the first way has run it

FIRST_WAY = [("README", "make demo"), ("README", ". .venv/bin/activate\nexport QUOTEMILL_HOME")]
IN_THE_DEMO = [
    ("report", "quotemill report"),
    ("exports", "quotemill export kline_daily --adjust qfq --since"),
    ("exports", "quotemill export kline_daily --adjust qfq --to"),
    ("queries", "explain"),
    ("queries", "select code"),
    ("queries", "select k.code"),
    ("dbt", "select * from qa.freshness"),
    ("dbt", "select change_no"),
    ("python", "select code, trade_date, close"),
    ("python", "select trade_date, close"),
    ("python", "select code, close, amount_cny"),
    ("python", "select date_trunc"),
    ("python", "select ex_date"),
    ("timescaledb", "select * from market"),
    ("schedule", "select s.name"),
    ("alerts", "select cause"),
    ("alerts", "select stage"),
    ("schedule", "quotemill schedule list --json"),
    ("integrations", "export RUNTIME__DLTHUB_TELEMETRY"),
    ("integrations", "url="),
    ("integrations", "select trade_date, close"),
    ("checks", "quotemill status"),
    ("checks", "select run_id"),
    ("integrations", "quotemill warehouse psql -c"),
    ("integrations", "grant quotemill"),
    ("integrations", "drop"),
]
# what a demo has logged has no error, and its warehouse goes into a file and back
OF_THE_DEMO = [
    ("checks", "quotemill logscan"),
    ("warehouse", "quotemill warehouse status"),
    ("warehouse", "quotemill warehouse start"),
    ("warehouse", "quotemill doctor"),
    ("scale", "quotemill warehouse status"),
    ("dbt", "quotemill warehouse start"),
    ("dbt", "quotemill findings"),
    ("timescaledb", "quotemill retention"),
    ("warehouse", "quotemill warehouse dump"),
]
LOG = ("checks", "jq")
SERVICE = ("tutorial", ". .venv/bin/activate\nloaders sandbox")
LOAD = [
    ("tutorial", "make demo"),
    ("tutorial", ". .venv/bin/activate\nexport"),
    ("tutorial", "loaders run tdx"),
]
BUILD_AND_QUERY = [
    ("tutorial", name)
    for name in ("cd dbt", PSQL, "select code, ex_date", "select check_name", "quotemill status")
]
WITH_A_SERVICE = [
    ("checks", "loaders selftest"),
    ("checks", "loaders verify"),
    ("checks", "quotemill loads  "),
    ("checks", "quotemill loads 12 --log"),
    ("real-service", "loaders selftest"),
    ("operations", "loaders selftest"),
    ("operations", "loaders verify"),
    ("operations", "quotemill alerts"),
    ("operations", "quotemill backup\nquotemill"),
    ("schedule", "quotemill schedule list"),
    ("schedule", "quotemill schedule disable"),
    ("schedule", "quotemill schedule install"),
    ("README", "quotemill schedule install"),
    ("install", "quotemill schedule uninstall"),
    ("alerts", "quotemill alerts test"),
    ("alerts", "quotemill alerts close"),
    ("alerts", "quotemill findings --ack"),
]
SAME_FILES = ("sandbox", "loaders sandbox tdx --data")
CLEAN_UP = [("tutorial", "QUOTEMILL_HOME=")]
INTERNET = [
    ("README", "*export QUOTEMILL_TDX__DOWNLOAD"),
    ("README", "export QUOTEMILL_TDX__SERVERS"),
]
CLIENT = [
    ("README", "*export QUOTEMILL_TDX__CLIENT"),
    *[("client-folder", beginning) for beginning in ("select code", "loaders run")],
]
OWN_SANDBOX = ("sandbox", "loaders sandbox tdx --port")
OWN_SERVICE = [
    ("sandbox", "export QUOTEMILL_TDX"),
    ("real-service", "export QUOTEMILL_TDX__BASE_URL"),
    ("real-service", "quotemill doctor"),
    *[("operations", command) for command in ("quotemill d", "quotemill w", "quotemill init")],
    ("warehouse", "export QUOTEMILL_WAREHOUSE_URL"),
    ("README", "export QUOTEMILL_TDX__BASE_URL"),
]
ON_TIMESCALEDB = [
    ("timescaledb", "create extension"),
    ("warehouse", "quotemill warehouse upgrade-timescale --dry"),
    ("warehouse", "quotemill warehouse upgrade-timescale rollback"),
]
CLOCK = ("sandbox", "curl")
SCENES = [
    *FIRST_WAY,
    *IN_THE_DEMO,
    *OF_THE_DEMO,
    LOG,
    SERVICE,
    *LOAD,
    *BUILD_AND_QUERY,
    *WITH_A_SERVICE,
    SAME_FILES,
    *CLEAN_UP,
    *INTERNET,
    *CLIENT,
    OWN_SANDBOX,
    *OWN_SERVICE,
    *ON_TIMESCALEDB,
    CLOCK,
    IB_SANDBOX,
    *OPTIONS,
    INDICES,
    *QUESTDB,
    OF_A_SERVER,
    *IN_QUESTDB,
    TQ_SANDBOX,
    *FUTURES,
    *ARCHIVE,
    *DBT,
]


@contextmanager
def channel() -> Iterator[str]:
    """The address of a webhook that takes every message."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_port}/alerts"
        server.shutdown()


def write_own_files(folder: Path) -> None:
    """Daily files of two codes and an index."""
    folder.mkdir()
    days = [date(2025, 6, 2) + timedelta(days=n) for n in range(26)]
    for code in ("SH600000", "SZ000002", "SH000001"):
        rows = [f"{day},10.00,10.50,9.90,10.20,1000,1020000" for day in days if day.weekday() < 5]
        head = "date,open,high,low,close,volume_hands,amount_yuan"
        (folder / f"daily_{code}.csv").write_text("\n".join([head, *rows, ""]))


def test_every_block_is_run_or_says_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    scenes = {(page, join((page, beginning))) for page, beginning in SCENES}
    left = [block for block in read_blocks() if (block.page, block.script) not in scenes]
    reasons = {
        block: why
        for block in left
        for (page, beginning), why in NOT_RUN.items()
        if block.page == page and block.body.startswith(beginning)
    }
    assert [block for block in left if block not in reasons] == []
    used = {(b.page, why) for b, why in reasons.items()}
    assert {(page, why) for (page, _), why in NOT_RUN.items()} == used, "a reason without a block"
    with capsys.disabled():
        print(f"\n{len(reasons)} of {len(read_blocks())} blocks are not run:")
        for block, why in reasons.items():
            print(f"  {block.page}: {block.body.splitlines()[0][:50]}: {why}")


@pytest.mark.long
def test_the_first_way_and_pages_without_a_source_run_as_written(parsed: Parsed) -> None:
    with checkout() as folder:
        home = folder / "var" / "demo"
        parsed.give(load_settings(environment(folder), folder, home=home))
        roles = f"{PSQL} -c 'create role alice' -c 'create role bob'\n"
        pages = join(*IN_THE_DEMO).replace("/srv/www", str(folder))
        pages = pages.replace("/tmp/cursors", str(folder / "cursors"))
        # the new role needs no more of it
        pages = pages.replace("quotemill build\n", "quotemill build -s kline_daily\n")
        printed = run(folder, MAKE + join(*FIRST_WAY) + roles + pages)
        [(formula, adjusted)] = re.findall(r"^  (\(.+\)) = ([\d.]+)$", printed, re.MULTILINE)
        assert round(eval(re.sub(r"[\d.]+", r"Decimal('\g<0>')", formula)), 2) == Decimal(adjusted)
        cell = printed.partition("  Python: ")[2].splitlines()[0]
        demo = run(folder, cell, QUOTEMILL_HOME=str(home))
        assert "sh600000" in demo
        assert "(5 rows)" in printed
        assert printed.count('"cursor": {') > 5  # restored by dlt from the warehouse
        assert (folder / "quotemill.html").is_file()

        log = next((home / "logs").glob("run-*.jsonl"))
        # days of a source are those of its exchange, days of the log are of UTC
        loaded = datetime.fromtimestamp(log.stat().st_mtime, ZoneInfo("Asia/Shanghai"))
        own_day = f"logscan tdx --date {loaded:%Y-%m-%d}"
        more = join(*OF_THE_DEMO).replace("logscan ib --date 2026-11-20", own_day)
        more = more.replace("2026-11-20", log.stem.removeprefix("run-"))
        for word, own in {
            "T14:00": "T00:00",
            "logscan ib": "logscan tdx",
            "/mnt/other": str(log.parent),
            "restore backup.dump": "restore backup.dump --yes",  # it asks on a terminal
        }.items():
            more = more.replace(word, own)
        run(folder, more, QUOTEMILL_HOME=str(home))

        first = json.loads(log.read_text("utf-8").splitlines()[0])["run"]
        lines = join(LOG).replace("20261120T143000-4f2a", first)
        lines = lines.replace("2026-11-20", log.stem.removeprefix("run-"))
        # an error of today: nobody serves there
        away = "QUOTEMILL_TDX__BASE_URL=http://127.0.0.1:9 QUOTEMILL_TDX__RETRIES=0"
        failing = f"! {away} loaders run tdx\n"
        if shutil.which("jq") is None:
            lines = lines[lines.index("cat") :]
        assert first in run(folder, failing + lines, QUOTEMILL_HOME=str(home))


@pytest.mark.long
def test_the_tutorial_and_pages_with_a_service_run_as_written() -> None:
    port = free_port()

    def at_port(*scene: tuple[str, str]) -> str:
        return join(*scene).replace("8080", port)

    with checkout() as folder:
        units = folder / "units"
        with first_terminal(folder, at_port(SERVICE)), channel() as urls:
            known = f"""{PSQL} <<'SQL'
insert into ops.alerts (cause, severity, message, command, first_at, last_at)
values ('load:tq', 'error', 'x', 'x', now(), now());
insert into ops.failed_keys (source, dataset, key, reason, first_job_id, job_id)
values ('tdx', 'kline_daily', 'sh600001', 'damaged', 1, 1);
SQL
"""
            first = SET_UP + at_port(*LOAD) + at_port(*BUILD_AND_QUERY) + known
            # root's are those of the machine
            pages = at_port(*WITH_A_SERVICE).replace("--systemd", f"--systemd --folder {units}")
            pages = pages.replace("loads 12", "loads 1 ")
            printed = run(folder, first + pages, QUOTEMILL_ALERTS__URLS=urls)
            assert "nothing new: no rows were written" in printed
            assert printed.count("(10 rows)") == 1
            assert list(units.iterdir()) == []
        run(folder, at_port(*CLEAN_UP).replace("rm -r", "rm -rf"))


def test_a_sandbox_serves_files_of_ones_own() -> None:
    with checkout() as folder:
        write_own_files(folder / "files")
        with first_terminal(folder, join(SAME_FILES).replace("FOLDER", "files --port 0")):
            pass


@pytest.mark.soak
def test_the_ways_through_the_internet_of_the_readme_run_as_written() -> None:
    with checkout() as folder:
        small = "loaders sandbox tdx --port 0 --control-port 0 --codes 8 --days 80\n"
        with first_terminal(folder, small, settings=1) as terminal:
            (servers,) = (value for name, value in terminal.items() if name.endswith("SERVERS"))
            words = {
                "quotemill run\n": "quotemill run --as-of 2025-06-30T18:00\n",
                "--codes sh600000,sz000002": "--codes sh600000,sz000002 --as-of 2025-06-30T18:00",
                "=public": f"={servers}",
            }
            script = join(*INTERNET)
            for word, own in words.items():
                assert word in script
                script = script.replace(word, own)
            count = "select 'days', count(*) from market.kline_daily where code = 'sh600000'"
            after = f'quotemill warehouse psql -c "{count}"\nquotemill warehouse stop\n'
            address = f"{terminal['URL']}/products/data/data"
            printed = run(folder, MAKE + script + after, QUOTEMILL_TDX__DOWNLOAD_URL=address)
    assert "2025-06-30" in printed  # of the frame
    assert re.search(r"days +\| +80\b", printed)


@pytest.mark.long
def test_the_clients_folder_of_the_readme_is_run_as_it_is_written() -> None:
    with checkout() as folder:
        written = str(folder / "client" / "vipdoc")
        small = ("--codes", "12", "--days", "60", "--vipdoc-days", "3")
        with sandbox(*small, "--write-vipdoc", written):
            pass
        printed = run(folder, MAKE + join(*CLIENT).replace("/srv/tdx", str(folder / "client")))
        assert "infoharbor_block.dat" in printed
        assert "(5 rows)" in printed
        stop = "quotemill warehouse stop"
        run(folder, stop)


@pytest.mark.soak
def test_a_service_and_a_warehouse_of_ones_own_run_as_written(
    new_database: Callable[..., str], parsed: Parsed, request: pytest.FixtureRequest
) -> None:
    port = free_port()
    url, converting = new_database(), ""
    if timescale.UNPACKED.is_dir():  # .ci/timescale; the first load makes plain tables
        url = request.getfixturevalue("database_of")("apache")
        with psycopg.connect(url) as conn:
            conn.execute("drop extension timescaledb")
        converting = join(*ON_TIMESCALEDB)
        for call in ("timescale\n", "rollback\n"):  # it asks on a terminal
            converting = converting.replace(call, f"{call.strip()} --yes\n")
    with checkout() as folder:
        parsed.give(load_settings(environment(folder), folder, warehouse_url=url))
        actions = str(folder / "actions.csv")
        words = {
            "http://tdx.example:8080": f"http://127.0.0.1:{port}",
            "127.0.0.1:8080": f"127.0.0.1:{port}",
            "/srv/tdx/corporate_actions.csv": actions,
            "postgresql://writer:secret@db.example:5432/market_data": shlex.quote(url),
        }
        script = join(*OWN_SERVICE)
        for word, own in words.items():
            script = script.replace(word, own)
        small = join(OWN_SANDBOX).replace("8080", f"{port} --control-port 0 --codes 8 --days 40")
        with first_terminal(folder, small) as terminal:
            more = join(CLOCK) + converting
            printed = run(folder, script + more, CONTROL=terminal["CONTROL"])
        assert f"{conninfo_to_dict(url)['dbname']} (environment QUOTEMILL_WAREHOUSE_URL)" in printed
        assert "/market_data" not in script
        assert "succeeded" in printed
        assert not converting or "CREATE EXTENSION" in printed
