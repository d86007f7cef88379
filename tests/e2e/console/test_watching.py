"""The page of a running load, as a browser keeps it: its stream, its log, what is announced."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from loaders.warehouse.lock import LOCK
from tests.browser import Browser, Page
from tests.e2e.commands import Place
from tests.e2e.console.conftest import Server
from tests.faults.scene import wait_until

Start = Callable[..., Server]
LANE = "tdx"


@pytest.fixture
def conn(prepared_dsn: str) -> Iterator[psycopg.Connection]:
    """A load that runs as long as this connection holds its lock."""
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (f"{LOCK}{LANE}",))
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of) values ('tdx', %s, 'init', 'running', 'me', '{}', now())",
            (LANE,),
        )
        add_messages(conn, 200)
        yield conn


def add_messages(conn: psycopg.Connection, count: int) -> None:
    conn.execute(
        "insert into ops.ingestion_logs (job_id, level, event) select 1, 'info', 'message ' || n "
        "from generate_series(1, %s) as n",
        (count,),
    )


def show(page: Page, *, is_hidden: bool) -> None:
    """Let the page be seen, or not, as another tab in front of it does."""
    hidden = str(is_hidden).lower()
    page.ask(
        f"(() => {{ Object.defineProperty(document, 'hidden', {{configurable: true, "
        f"get: () => {hidden}}}); document.dispatchEvent(new Event('visibilitychange')); }})()"
    )


def count_streams(page: Page) -> int:
    page.ask("1")  # events of the browser come with an answer
    return sum(url.endswith("/events") for url in page.requests)


def test_a_hidden_page_keeps_no_stream_and_a_seen_one_has_the_end(
    prepared_dsn: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    start_console: Start,
    chromium: Browser,
) -> None:
    place = Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    url = start_console(place, "--port", "0").url
    page = chromium.open(f"{url}/jobs/1")
    log = "document.querySelector('#log')"
    assert page.ask(f"{log}.textContent.includes('message 200')")
    end = f"{log}.scrollTop + {log}.clientHeight >= {log}.scrollHeight - 4"
    assert page.ask(f"{log}.scrollHeight > {log}.clientHeight")
    assert page.ask(end)
    assert count_streams(page) == 1
    show(page, is_hidden=True)
    show(page, is_hidden=True)
    assert count_streams(page) == 1
    show(page, is_hidden=False)
    # what has happened since is there, the log at its end
    page.wait_for(f"{log}.textContent.includes('message 200')")
    assert count_streams(page) == 2
    page.ask(f"void ({log}.scrollTop = 0)")
    add_messages(conn, 201)
    conn.execute("update ops.ingestion_jobs set status = 'succeeded', finished_at = now()")
    page.wait_for("document.querySelector('#state > span').textContent === 'succeeded'")
    assert page.ask(f"{log}.textContent.includes('message 201')")
    assert page.ask(f"{log}.scrollTop") == 0  # who reads further up stays there
    assert page.texts("[data-said]") == ["succeeded"]
    assert page.console == []


def test_a_page_whose_console_is_another_one_leads_to_the_way_in(
    tmp_path: Path, start_console: Start, chromium: Browser
) -> None:
    place = Place(tmp_path, tmp_path / "home")
    first = start_console(place, "--port", "0")
    page = chromium.open(f"{first.url}/settings")
    first.process.terminate()
    first.process.wait(60)
    start_console(place, "--port", first.url.rpartition(":")[2]).client.close()
    chromium.set_cookies(first.url, dict(first.client.cookies))  # those of before
    page.ask("void document.querySelector('#database button').click()")
    page.wait_for("location.pathname === '/sign-in' && !!document.querySelector('[name=token]')")


def test_a_reader_who_leaves_in_the_middle_of_a_log_holds_no_connection(
    prepared_dsn: str, conn: psycopg.Connection, tmp_path: Path, start_console: Start
) -> None:
    add_messages(conn, 100_000)
    place = Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    client = start_console(place, "--port", "0").client
    for _ in range(3):
        with client.stream("GET", "/api/jobs/1/log") as answer:
            assert '"event": "starts"' in next(answer.iter_lines())
    held = (
        "select count(*) from pg_stat_activity where application_name = 'quotemill console' "
        "and state <> 'idle' and datname = current_database()"
    )
    wait_until("no reading goes on", lambda: conn.execute(held).fetchone() == (0,))
    assert client.get("/api/jobs/1/log").text.count("\n") == 100_202
