"""Loads by the API: the list, one with its tasks, its events while it runs, its log."""
# ruff: noqa: F811

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from loaders.engine import jobs
from loaders.engine.load import Load
from loaders.engine.outcome import Outcome
from loaders.engine.progress import Silent
from loaders.warehouse.postgres import open_warehouse
from orchestration.console import watching
from orchestration.console.limits import Limits
from orchestration.console.watching import JobWatch
from tests.bench import warehouse_url
from tests.faults.scene import wait_until
from tests.integration.console.conftest import Caller, Open, plant_running_load
from tests.toy import source as toy
from tests.toy.bench import Toy, bench  # noqa: F401


@pytest.fixture
def caller(bench: Toy, open_console: Open) -> Caller:
    return open_console(
        {
            "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
            "QUOTEMILL_HOME": str(bench.settings.home),
        }
    )


def test_before_the_first_load_there_is_none(caller: Caller) -> None:
    assert caller.json("/api/jobs") == {"jobs": []}
    assert caller.get("/api/jobs/1").status_code == 404
    assert caller.json("/api/health")["status"] == "ok"
    assert caller.get("/").text.lower().count("nothing was loaded yet") == 1


def test_a_load_is_listed_with_its_tasks_failures_and_log(bench: Toy, caller: Caller) -> None:
    (bench.folder / "cc.csv").unlink()
    bench.load(keys=("AA", "Bb", "cc", "dd"))

    [row] = caller.json("/api/jobs")["jobs"]
    assert (row["job_id"], row["status"], row["done"], row["failed"]) == (1, "partial", 3, 1)
    job = caller.json("/api/jobs/1")
    assert job["failures"] == [{"dataset": "price", "key": "cc", "reason": "cc.csv is not there"}]
    assert (job["progress"]["keys"], job["progress"]["reached"]) == (4, 4)
    [task] = job["tasks"]
    assert (task["id"], task["status"], task["keys"], task["rows_new"]) == ("1-1", "partial", 4, 4)
    log = caller.get("/api/jobs/1/log")
    assert log.headers["content-disposition"] == 'attachment; filename="job-1.jsonl"'
    lines = [json.loads(line) for line in log.text.splitlines()]
    assert (lines[0]["event"], lines[-1]["event"]) == ("starts", "partial")
    for path in ("/api/jobs/2", "/api/jobs/2/log", "/api/jobs/2/events"):
        answer = caller.get(path)
        assert (answer.status_code, answer.json()["exit_code"]) == (404, 2)
    for path in ("/api/jobs/0", f"/api/jobs/{2**63}", "/api/jobs/1;drop", "/api/jobs?limit=501"):
        assert caller.get(path).status_code in (404, 422)


def test_skipped_keys_are_reached_and_not_done_and_no_bar_of_a_failed_load_is_full(
    bench: Toy, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FRESH", 0)
    (bench.folder / "cc.csv").unlink()
    bench.load(keys=("AA", "Bb", "cc", "dd"))
    counted = "update ops.ingestion_job_tasks set done = 1, skipped = 2, fetched = 4"
    with psycopg.connect(warehouse_url(bench.settings)) as conn:
        conn.execute(counted)
    page = caller.get("/jobs/1").text
    cells = [re.findall(r'<td class="n"[^>]*>([^<]*)</td>', row) for row in page.split("<tr>")]
    assert [row[:3] for row in cells if len(row) > 2] == [["1 / 4", "2", "1"]] * 2
    assert re.findall(r'<progress max="4" value="(.)"', page) == ["3", "3"]
    with psycopg.connect(warehouse_url(bench.settings)) as conn:
        conn.execute(f"{counted}, failed = 0")  # the fourth was fetched and did not land
    part = caller.json("/api/jobs/1")["parts"][0]
    assert (part["reached"], part["rate"] * part["seconds"]) == (3, pytest.approx(1))


def test_no_time_left_is_given_while_a_dataset_has_no_answer(
    prepared_dsn: str, open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FRESH", 0)
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        plant_running_load(conn, "ib", "ib_snapshot", "snapshot")
        conn.execute(
            "insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status, done, "
            "fetched, rows_new, started_at) values (1, 1, 'session', '{a}', 'succeeded', 1, 1, 12, "
            "now()), (1, 2, 'chain_snapshot', '{b}', 'running', 0, 0, 230, now())"
        )
        assert caller.json("/api/jobs/1")["progress"]["left"] is None
        page = caller.get("/jobs/1").text
    assert " left" not in page.partition("<progress")[0]
    assert '<progress max="1" aria-label="chain_snapshot">' in page  # it goes on, so far unknown
    assert '<progress max="1" value="1" aria-label="session">' in page
    assert '<td class="n" data-column="new rows">230</td>' in page
    log = caller.get("/jobs/1?lang=zh").text.partition('<pre id="log"')[2].partition("</pre>")[0]
    assert re.findall("(?:纽约|New York) (.+)", log)[0] == "提示      开始"


def test_what_holds_a_load_is_said_where_it_is_watched(
    bench: Toy, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FRESH", 0)
    waits = "waiting for the futures servers since 09:30:00 Shanghai"
    pages: list[str] = []
    shown: list[str] = []

    def fetch(load: Load, symbols: Sequence[str]) -> Iterator[Outcome]:
        if "cc" in symbols:
            load.hold("service", waits)
            wait_until("it is on record", lambda: caller.json("/api/jobs")["jobs"][0]["held_by"])
            pages.extend(caller.get(path).text for path in ("/jobs/1", "/"))
            pages.append(caller.get("/jobs/1?lang=zh").text)
            assert caller.json("/api/jobs/1")["progress"]["left"] is None
            load.hold("service")
        yield from toy.fetch(load, symbols)

    price = replace(toy.SOURCE.dataset("price"), fetch=fetch)
    monkeypatch.setattr(toy, "SOURCE", replace(toy.SOURCE, datasets=(price,)))
    monkeypatch.setattr(Silent, "hold", lambda _, text: shown.append(text))
    bench.load(keys=("AA", "Bb", "cc", "dd"))
    assert [waits in page for page in pages] == [True, True, False]
    assert "自 09:30:00 上海 起等待期货服务器" in pages[-1]
    assert shown == ["storing 3 rows", "", waits, "", "storing 4 rows", ""]
    assert caller.json("/api/jobs/1")["held_by"] is None
    assert waits not in caller.get("/").text


def test_a_running_load_sends_its_progress_to_the_end(
    bench: Toy, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FRESH", 0.01)
    watch = JobWatch(caller.console)
    events: list[tuple[str, Any]] = []

    async def follow(reach: Callable[[], Callable[[], None]]) -> None:
        release: Callable[[], None] | None = None
        async for event in watch.stream(1):
            name, _, data = event.strip().partition("\n")
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
            # it can be held for a moment, and then has no time left
            if release is None and events[-1][1].get("reached") == 3 and events[-1][1]["left"]:
                release = await asyncio.to_thread(reach)
                release()

    with ThreadPoolExecutor() as pool:
        reach = bench.block("dd")
        load = pool.submit(bench.load, keys=("AA", "Bb", "cc", "dd"))
        wait_until("the load is on record", lambda: caller.json("/api/jobs")["jobs"])
        asyncio.run(follow(reach))
        assert load.result().status == "succeeded"
    names = [name for name, _ in events]
    assert (names[-2:], set(names[:-1])) == (["job", "end"], {"job"})
    running = next(d for _, d in events if d["reached"] == 3 and d["left"])
    assert (running["status"], running["keys"]) == ("running", 4)
    assert running["left"] == pytest.approx(1 / running["rate"])
    assert (events[-1][1]["status"], events[-1][1]["reached"]) == ("succeeded", 4)
    over = caller.get("/api/jobs/1/events")
    assert over.headers["content-type"].startswith("text/event-stream")
    assert over.text.count("event: end") == 1


def test_many_watchers_cost_the_warehouse_one_read_a_second(
    bench: Toy, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.load()
    reads: list[int] = []
    read_job = watching.job_status.read_job

    def counted(*arguments: Any) -> Any:
        reads.append(1)
        return read_job(*arguments)

    monkeypatch.setattr(watching.job_status, "read_job", counted)
    monkeypatch.setattr(watching.time, "monotonic", lambda: 100.0)
    watch = JobWatch(caller.console)
    with ThreadPoolExecutor(20) as pool:
        views = list(pool.map(watch.read, [1] * 20))
    assert len({id(view) for view in views}) == len(reads) == 1
    monkeypatch.setattr(watching.time, "monotonic", lambda: 102.0)
    watch.read(1)
    assert len(reads) == 2


def test_no_more_pages_watch_than_may(bench: Toy, open_console: Open) -> None:
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
        "QUOTEMILL_HOME": str(bench.settings.home),
    }
    bench.load()
    full = open_console(settings, limits=Limits(watchers=0))
    answer = full.get("/api/jobs/1/events")
    assert (answer.status_code, " watching " in answer.json()["error"]) == (429, True)


def test_requests_cannot_write_and_wait_for_no_query_long(bench: Toy, open_console: Open) -> None:
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
        "QUOTEMILL_HOME": str(bench.settings.home),
    }
    bench.load()
    console = open_console(settings, limits=Limits(statement=0.05)).console
    with pytest.raises(Exception, match="read-only transaction"):
        console.read(lambda conn: conn.execute("delete from ops.ingestion_jobs"))
    with pytest.raises(Exception, match=r" 0\.05 s$"):
        console.read(lambda conn: conn.execute("select pg_sleep(60)"))
    assert open_warehouse(bench.settings).ask(lambda conn: jobs.has_relation(conn, jobs.JOBS))


def test_a_warehouse_that_is_away_is_said_and_comes_back(bench: Toy, open_console: Open) -> None:
    url = warehouse_url(bench.settings)
    gone = url.replace("5432", "1") if "5432" in url else f"{url}&port=1"
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": gone})
    answer = caller.get("/api/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "away")
    answer = caller.get("/api/jobs")
    assert (answer.status_code, answer.json()["exit_code"]) == (502, 4)
    assert "cannot be reached" in caller.get("/").text


def test_loads_of_a_source_are_shown_after_many_of_another(
    prepared_dsn: str, open_console: Open
) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of) select case n when 1 then 'ib' else 'tdx' end, 'x', 'init', 'succeeded', 'me', "
            "'{}', now() from generate_series(1, 300) as n"
        )
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    assert re.findall('href="/jobs/([0-9]+)"', caller.get("/chains").text) == ["1"]
    # and the history goes back to the first of them
    shown, address = [], "/history"
    while address:
        page = caller.get(address).text
        shown += [int(number) for number in re.findall('href="/jobs/([0-9]+)"', page)]
        address = next(iter(re.findall('rel="prev" href="([^"#]+)', page)), "")
    assert shown == list(range(300, 0, -1))
    jobs_before = caller.json("/api/jobs?before=3")["jobs"]
    assert [job["job_id"] for job in jobs_before] == [2, 1]
