"""The page in a real browser: no errors, no requests, and the figures of the tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from loaders.settings import Settings
from orchestration.report import gather, page
from orchestration.report.gather import Report
from quotemill.warehouse.postgres import Warehouse
from tests import browser
from tests.bench import put_build, settings_at
from tests.browser import Browser, Page
from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt import raw
from tests.integration.dbt.option_days import AAPL, FRIDAY, TABLES, TUESDAY, build_days
from tests.integration.dbt.raw_options import (
    Option,
)
from tests.integration.dbt.report.test_coverage import SHARES, land_bars

AS_OF = datetime(2026, 11, 27, 22, tzinfo=UTC)  # Friday's session is over in New York
DAYS = raw.weekdays(TUESDAY.day, 4)
NASTY = "<script>console.error('no')</script>"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser.running(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, warehouse: Warehouse) -> Settings:
    return settings_at(warehouse.url, tmp_path)


def build_used(conn: psycopg.Connection, dbt: Dbt) -> None:
    """A warehouse of shares and option chains with loads, builds and findings on record."""
    january = Option.chain("AAPL", 300, [date(2027, 1, 15)], [95, 100, 105])
    FRIDAY.land(conn, [*AAPL, *january], 102)
    land_bars(conn, {"sh600000": DAYS, "sz000001": DAYS[:-1]}, DAYS)
    dbt(*SHARES, *TABLES[2:])
    for source, status, seconds, failed in (
        ("tdx", "succeeded", 61, 0),
        ("ib", "partial", 5, 1),
        ("tdx", "failed", 3, 2),
    ):
        [(job,)] = conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, "
            "started_at, finished_at, error) values (%(of)s, %(of)s, 'incremental', %(status)s, "
            "'test', '{}', "
            "%(at)s, %(at)s, %(at)s + %(seconds)s * interval '1 second', %(error)s) returning "
            "job_id",
            {
                **{"of": source, "status": status, "seconds": seconds, "at": AS_OF},
                "error": NASTY if status == "failed" else None,
            },
        ).fetchall()
        failures = {f"sh60000{n}": f"timeout {NASTY}" for n in range(failed)}
        conn.execute(
            "insert into ops.ingestion_job_tasks (job_id, task_no, dataset, status, done, failed, "
            "rows_read, rows_new, failures) values (%s, 1, 'kline_daily', %s, 4, %s, 1234, 1234, "
            "%s)",
            (job, status, failed, psycopg.types.json.Jsonb(failures)),
        )
    conn.execute(
        "insert into ops.ingestion_state (source, dataset, key, cursor) values "
        "('ib', 'chain_snapshot', 'AAPL', '2026-11-27'), ('tdx', 'kline_daily', 'sh600000', "
        "'2026-11-27')"
    )
    for at in (AS_OF - timedelta(days=1), AS_OF):  # two times make a chart
        figures = {"models_built": 7, "rows_written": 5678}
        put_build(conn, "build", at, exit_code=0, seconds=90, figures=figures)
    conn.execute(
        "insert into ops.runs (run_id, command, schedule, host, pid, started_at, finished_at, "
        "exit_code, error) "
        "values ('20261127T220000-4f2a', 'run tdx', 'tdx_daily', 'here', 1, %(at)s, "
        "%(at)s + interval '2 minutes', 5, %(error)s)",
        {"at": AS_OF, "error": NASTY},
    )
    conn.execute(
        "insert into ops.runs (run_id, command, host, pid, started_at, finished_at, exit_code) "
        "values ('20261126T220000-0000', 'run', 'here', 1, %(at)s, %(at)s, 0)",
        {"at": AS_OF - timedelta(days=1)},
    )
    conn.execute(
        "insert into ops.metrics (run_id, stage, source, name, value, unit) values "
        "('20261126T220000-0000', 'load', 'tdx', 'retries', 1, ''), "
        "('20261126T220000-0000', 'load', 'tdx', 'seconds', 60, ''), "
        "('20261126T220000-0000', 'space', '', 'bytes', 1048576, 'B')"
    )
    for source, name, value in (
        ("tdx", "retries", 3),
        ("ib", "retries", 4),
        ("tdx", "seconds", 61),
    ):
        conn.execute(
            "insert into ops.metrics (run_id, stage, source, name, value, unit) "
            "values ('20261127T220000-4f2a', 'load', %s, %s, %s, '')",
            (source, name, value),
        )
    # as the report of an earlier run measured it
    for table, size in (("raw_ib.chain_snapshot", 8192), ("", 2**20)):
        conn.execute(
            "insert into ops.metrics (run_id, stage, source, name, value, unit, measured_at) "
            "values ('20261127T220000-4f2a', 'space', %s, 'bytes', %s, 'B', "
            "now() - interval '15 days')",
            (table, size),
        )
    conn.execute(
        "insert into ops.alerts (cause, severity, message, command, first_at, last_at) "
        "values ('load:tdx', 'error', 'load of tdx failed', 'quotemill status', %(at)s, %(at)s), "
        "('disk', 'error', 'full', 'quotemill doctor', %(at)s, %(at)s)",
        {"at": AS_OF},
    )
    conn.execute("update ops.alerts set recovered_at = now() where cause = 'disk'")
    conn.execute(
        "insert into ops.schedules (name, source, kind) values ('tdx_daily', 'tdx', 'run')"
    )


pytestmark = pytest.mark.warehouse(Parsed.build_models, build_days, build_used)


@pytest.fixture
def report(settings: Settings, warehouse: Warehouse) -> Report:
    return gather.gather(settings, warehouse, TUESDAY.day, AS_OF)


@pytest.fixture
def opened(report: Report, chromium: Browser, tmp_path: Path) -> Page:
    page.write(report, tmp_path / "report.html")
    return chromium.open((tmp_path / "report.html").as_uri())


def test_the_page_opens_without_errors_or_other_requests(
    opened: Page, report: Report, tmp_path: Path
) -> None:
    assert opened.console == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in opened.requests if url.startswith("file:")]) == 1
    assert opened.ask("document.scripts.length") == 1
    # a picture of each grid and chart, each as wide as the page and with something in it
    assert len(report.grids) == 3
    boxes = opened.ask(
        "[...document.querySelectorAll('svg')].map(e => [e.getBoundingClientRect().width, "
        "e.querySelectorAll('path, circle').length])"
    )
    assert len(boxes) == len(report.grids)
    assert all(width > 600 and marks > 2 for width, marks in boxes)
    drawn = opened.ask(
        "[...document.querySelectorAll('[data-lines]')].map(e => [e.id, "
        "e.querySelector('canvas').getBoundingClientRect().width, "
        "e.chart.lines.flatMap(({line}) => line.data()).length])"
    )
    # the loads are of one time: no chart
    assert [key for key, _, _ in drawn] == [
        "build-seconds",
        "stage-seconds",
        "trouble-chart",
        "space-chart",
    ]
    assert all(width > 600 and points >= 2 for _, width, points in drawn)


def test_what_to_do_is_never_nothing_beside_an_alert(report: Report) -> None:
    def what_to_do(alerts: Sequence[Mapping[str, Any]]) -> str:
        runs = replace(report.runs, alerts=alerts)
        text = page.render(replace(report, runs=runs, status=replace(report.status, problems=())))
        return text.partition('id="fixes"')[2].partition('id="freshness"')[0]

    assert "Nothing." in what_to_do([])
    assert "Nothing." not in what_to_do(report.runs.alerts)
    assert "load of tdx failed" in what_to_do(report.runs.alerts)


def test_the_window_ends_at_the_newest_data(settings: Settings, warehouse: Warehouse) -> None:
    years_later = AS_OF + timedelta(days=3650)
    late = gather.gather(settings, warehouse, None, years_later)
    newest = max(row["last_date"] for row in late.status.freshness if row["last_date"])
    assert late.since == newest - gather.YEAR
    assert late.grids
    assert all(grid.there for grid in late.grids)


def test_the_numbers_of_the_page_equal_the_tables(opened: Page, conn: psycopg.Connection) -> None:
    conn.execute("select set_config('quotemill.as_of', %s, false)", (AS_OF.isoformat(),))

    fresh = conn.execute(
        "select source, dataset, case when is_stale then 'stale' else 'fresh' end, "
        "coalesce(last_date::text, '–'), "
        "expected_date::text, coalesce(lag_trading_days::text, '–') from qa.freshness order by "
        "dataset"
    ).fetchall()
    assert opened.table("freshness-table") == [list(row) for row in fresh]
    assert fresh

    findings = conn.execute(
        "select check_name, severity, to_char(count(*), 'FM999,999') from qa.findings group by 1, 2"
    ).fetchall()
    shown = {tuple(row[:3]) for row in opened.table("findings-table")}
    assert shown == set(findings)
    assert {severity for _, severity, _ in shown} == {"error", "warning"}

    loads = conn.execute(
        "select job_id::text, source, status from ops.ingestion_jobs order by 1 desc"
    )
    # the lock of one that runs is held; of these none is
    assert [[r[0], r[2], r[1].partition(":")[0]] for r in opened.table("loads-table")] == [
        list(row) for row in loads
    ]
    assert {row[8] for row in opened.table("loads-table")} == {"1,234"}
    build = ["succeeded", "1 min 30 s", "7", "5,678"]
    assert [[row[1], *row[3:6]] for row in opened.table("builds-table")] == [build, build]

    assert [[row[n] for n in (0, 2, 5, 1, 6)] for row in opened.table("runs-table")] == [
        ["20261127T220000-4f2a", "run tdx", "2 min 0 s", f"failed: {NASTY}", "5"],
        ["20261126T220000-0000", "run", "0.0 s", "succeeded", "0"],
    ]
    # of both sources together
    assert [text for text in read_points(opened, "trouble-chart") if text.endswith(": 7")] == [
        "run 20261127T220000-4f2a, 2026-11-27 22:00:00 UTC: 7"
    ]
    assert [row[0] for row in opened.table("alerts-table")] == ["load:tdx"]
    [job] = opened.table("jobs-table")
    assert job[:5] == ["tdx_daily", "manual", "2026-11-28 06:00:00 Shanghai", job[3], "5"]

    [(bars,)] = conn.execute("select count(*) from market.kline_daily")
    lines = opened.table("day-bars-lines")
    assert sum(int(row[2]) for row in lines) == bars
    assert opened.table("day-bars-worst") == [["sz000001", "1", "75.0 %", f"{DAYS[-1]}"]]
    [(quotes,)] = conn.execute(
        "select count(*) from options.chain_intraday where not snapshot_error "
        "and coalesce(bid, ask, last) is not null"
    )
    assert sum(int(row[2].replace(",", "")) for row in opened.table("contracts-lines")) == quotes
    assert quotes

    [(largest,)] = conn.execute(
        "select n.nspname || '.' || c.relname from pg_class as c join pg_namespace as n on "
        "n.oid = c.relnamespace where c.relkind = 'r' and n.nspname in (select schema_name from "
        "ops.owned_schema) order by pg_total_relation_size(c.oid) desc, 1 limit 1"
    )
    sizes = opened.table("space-table")
    assert sizes[0][0] == largest
    [(size,)] = conn.execute("select pg_total_relation_size('raw_ib.chain_snapshot')")
    grown = {row[0]: row[2] for row in sizes}
    assert grown.pop("raw_ib.chain_snapshot") == f"+{2 * (size - 8192) / 1024:,.1f} kiB"
    assert set(grown.values()) == {"–"}
    assert opened.texts("#space-table tfoot td.n")[2].startswith("+")
    assert "Table sizes, MiB" in opened.texts("h3")
    past = "run 20261126T220000-0000, 2026-11-26 22:00:00 UTC: 1,048,576"
    assert past in read_points(opened, "space-chart")


def read_points(opened: Page, key: str) -> list[str]:
    """What pointing at each point of a chart says."""
    texts = "flatMap(({texts}) => [...texts.values()])"
    return list(opened.ask(f"document.getElementById('{key}').chart.lines.{texts}"))


def test_foreign_values_are_escaped(opened: Page) -> None:
    assert opened.ask("document.scripts.length") == 1
    [failed] = [row for row in opened.table("loads-table") if row[1].startswith("failed")]
    assert NASTY in failed[1]


def test_the_page_is_readable_in_the_dark_on_paper_and_aloud(opened: Page) -> None:
    colours = "getComputedStyle(document.body)"
    seen = {}
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
        opened.set_media(media, scheme)
        seen[media, scheme] = (
            opened.ask(f"{colours}.backgroundColor"),
            opened.ask(f"{colours}.color"),
            opened.ask("getComputedStyle(document.querySelector('path.c0')).fill"),
        )
    white, black = "rgb(255, 255, 255)", "rgb(0, 0, 0)"
    assert seen["screen", "light"][0] == white
    assert seen["screen", "dark"][0] not in (white, seen["screen", "light"][0])
    assert seen["screen", "dark"][2] != seen["screen", "light"][2]
    assert seen["print", "dark"][:2] == (white, black)
    # on paper a picture stands for each chart, which would paint too late
    assert opened.wait_for("document.querySelectorAll('.canvas > canvas').length") == 4
    assert opened.print().startswith(b"%PDF")
    opened.set_media()

    assert opened.ask("document.documentElement.lang") == "en"
    heads = opened.ask("[...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1])")
    assert heads[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(heads))
    unnamed = (
        "[...document.querySelectorAll('svg')].filter(e => !e.querySelector('title').textContent)"
    )
    assert opened.ask(f"{unnamed}.length") == 0
    assert opened.ask("document.querySelectorAll('th:not([scope])').length") == 0
    targets = "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
    lost = f"{targets}.filter(h => !h.startsWith('#') || !document.getElementById(h.slice(1)))"
    assert opened.ask(lost) == ["https://www.tradingview.com/"]
    ids = "[...document.querySelectorAll('[id]')].map(e => e.id)"
    assert opened.ask(f"{ids}.length") == opened.ask(f"new Set({ids}).size")


def test_on_a_phone_freshness_is_read_without_scrolling(opened: Page) -> None:
    box = "document.getElementById('freshness-table').parentElement"
    assert opened.table("freshness-table")
    for width, labels in ((1280, []), (390, ["up to: ", "expected: ", "days behind: "])):
        opened.set_width(width)
        assert opened.ask(f"{box}.scrollWidth <= {box}.clientWidth")
        contents = (
            f"[...{box}.querySelector('tbody tr').cells].map("
            "cell => getComputedStyle(cell, '::before').content).filter(c => c !== 'none')"
        )
        assert [label.replace('"', "") for label in opened.ask(contents)] == labels


def test_before_the_first_load_the_page_says_what_to_do(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.cli import app

    monkeypatch.setenv("QUOTEMILL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["report", "--out", "page.html"])
    assert (done.exit_code, done.stdout.strip()) == (0, "page.html")
    opened = chromium.open((tmp_path / "page.html").as_uri())
    assert opened.table("problems") == [["warn load nothing was loaded yet", "quotemill init"]]
    assert opened.console == []
    assert not (tmp_path / "home").exists()
