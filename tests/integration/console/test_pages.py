"""Each page answers, in both languages, without a warehouse and with one, and shows no mark-up."""
# ruff: noqa: F811

import json
import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.engine import jobs
from loaders.ib.planning.request import TASKS
from loaders.tdx import plan
from loaders.tq.request import DATASETS_BY_MODE
from orchestration.console import watching
from orchestration.console.pages import overview
from orchestration.run import build_record
from orchestration.schedule import ledger
from orchestration.schedule.jobs import read_jobs
from tests.bench import warehouse_url
from tests.integration.console.conftest import NOW, Caller, plant_running_load
from tests.toy.bench import Toy, bench  # noqa: F401

Open = Callable[..., Caller]
PAGES = (
    "/",
    "/load",
    "/sources",
    "/schedules",
    "/history",
    "/findings",
    "/prices",
    "/prices/options",
    "/settings",
    "/chains",
    "/futures",
)
NASTY = "<script>alert(1)</script>"


def open_page(caller: Caller, path: str) -> str:
    answer = caller.get(path)
    assert answer.status_code == 200, answer.text[:2000]
    assert answer.headers["content-type"].startswith("text/html")
    text = str(answer.text)
    assert not re.search(r"<script(?! src=)|\son\w+=|style=|javascript:", text), path
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text), path
    assert not re.search(r"<option[^>]*>\s*</option>", text), path  # a choice without a word
    return text


@pytest.mark.parametrize("path", PAGES)
def test_each_page_opens_without_a_warehouse(open_console: Open, path: str) -> None:
    caller = open_console()
    english = open_page(caller, path)
    assert f'href="{path}" aria-current="page">' in english
    chinese = open_page(caller, f"{path}?lang=zh")
    assert '<html lang="zh-CN">' in chinese
    assert not (caller.console.settings().home / "pg").exists()


@pytest.mark.parametrize("path", PAGES)
def test_each_page_opens_with_a_warehouse(prepared_dsn: str, open_console: Open, path: str) -> None:
    service = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    open_page(open_console(service | {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn}), path)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/jobs/x", 422), ("/prices?end=x", 422), ("/jobs/%00?lang=zh", 422)],
)
def test_a_wrong_address_is_a_page_for_people_and_a_document_for_scripts(
    open_console: Open, path: str, status: int
) -> None:
    caller = open_console()
    answer = caller.get(path, headers={"accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.headers["content-type"][:9]) == (status, "text/html")
    assert 'id="error"' in answer.text
    assert caller.get(path).json()["exit_code"] == 2
    sent = caller.call("/nothing", accept="text/html")
    assert (sent.status_code, sent.json()["exit_code"]) == (404, 2)


def test_a_first_visit_leads_to_the_first_load(open_console: Open) -> None:
    caller = open_console()
    assert '<a href="/load">Choose a source' in open_page(caller, "/")
    assert "warehouse: none yet" in open_page(caller, "/")
    assert open_page(caller, "/starts").strip() == ""
    assert "Last loads" not in open_page(caller, "/load")
    # the form as it opens tests the embedded server, which has no port
    form = open_page(caller, "/settings").partition('id="database"')[2].partition("</form>")[0]
    given = re.findall('<input name="(\\w+)"[^>]* value="([^"]+)"', form)
    assert given == [("schema", "market")]


def test_the_next_starts_come_after_the_first_page(prepared_dsn: str, open_console: Open) -> None:
    service = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    caller = open_console(service | {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    assert '<div data-part="/starts" data-lazy></div>' in open_page(caller, "/")
    for path in ("/starts", "/schedules"):
        text = open_page(caller, path)
        assert "Nothing starts the jobs by the clock." in text
        assert f'name="command" value="{ledger.name_install()}">' in text
        assert "2026-11-2" not in text  # no start is dated
    jobs = read_jobs(caller.console.settings()).values()
    with psycopg.connect(prepared_dsn) as conn:
        ledger.register_jobs(conn, jobs, NOW)
    assert "Nothing starts the jobs" not in open_page(caller, "/schedules")
    assert "2026-11-23 17:30:00 Shanghai" in open_page(caller, "/schedules")
    part = open_page(caller, "/starts")
    assert "<html" not in part
    assert "tdx_daily" in part
    with psycopg.connect(prepared_dsn) as conn:  # as a timer leaves it that was removed
        conn.execute("update ops.schedules set next_run_at = %s", (NOW - timedelta(hours=1),))
    assert "Nothing starts the jobs by the clock." in open_page(caller, "/starts")


def test_a_home_that_cannot_be_written_is_shown(open_console: Open, tmp_path: Path) -> None:
    """As root no mode of a folder refuses: a file takes the place of the console's folder."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "console").write_text("in the way")
    caller = open_console()
    for path in PAGES:
        open_page(caller, path)
    refused = caller.call("/api/commands", {"command": "quotemill doctor"})
    assert refused.status_code == 409, refused.text
    assert "cannot be written" in refused.json()["error"]
    assert caller.call("/api/connection/test").status_code == 200


def test_a_first_run_leads_to_a_source(open_console: Open, tmp_path: Path) -> None:
    caller = open_console()
    text = open_page(caller, "/load")
    for name in ("tdx.client", "tdx.base_url"):
        assert f'name="{name}"' in text
    assert "loaders sandbox tdx" in text
    body = {"values": {"tdx.base_url": "http://127.0.0.1:9"}}
    assert caller.call("/api/settings", body, method="PUT").status_code == 200
    text = open_page(caller, "/load")
    assert 'data-call="/api/ingestion/start"' in text
    ticked = re.findall(r'name="datasets" value="(\w+)" data-each checked', text)
    assert ticked == [name for name in plan.NAMES if name in plan.DEFAULTS["init"]]
    assert '<option value="init" data-datasets=' in text
    assert "<option>sh</option>" in text
    for name in ("concurrency", "batch_size"):
        value = getattr(caller.console.settings().tdx, name)
        assert f'name="{name}" type="number" min="1" placeholder="{value}"' in text


def test_a_source_has_its_title_and_says_what_it_lacks(open_console: Open) -> None:
    settings = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    caller = open_console(settings)
    text = open_page(caller, "/load")
    assert "<h2><code>tdx</code> TDX, China A-shares</h2>" in text
    lacking = text.partition('id="missing"')[2].partition("</ul>")[0]
    for name, title, why in (
        ("tq", "TqSdk, China futures", "QUOTEMILL_TQ__ACCOUNT is not set"),
        ("ib", "IB, US option chains", "IB_HOST is not set"),
    ):
        assert f"<code>{name}</code> {title}: {why}" in lacking
        assert f'href="/settings?section={name}#section-{name}"' in lacking
    assert "<code>tdx</code>" not in lacking
    assert "<h2><code>ib</code> IB 美股期权链</h2>" in open_page(caller, "/sources?lang=zh")


def test_the_form_has_the_modes_of_each_source_and_what_they_load(open_console: Open) -> None:
    variables = {"QUOTEMILL_IB__HOST": "127.0.0.1", "QUOTEMILL_TQ__ACCOUNT": "me"}
    text = open_page(open_console(variables | {"QUOTEMILL_TQ__PASSWORD": "x"}), "/load")
    chains, futures = text.split('id="load-')[1:]
    if chains.startswith("tq"):
        chains, futures = futures, chains
    assert re.findall(r'<option value="(\w+)"', chains) == ["incremental", *TASKS]
    assert "data-datasets>" not in chains  # its tasks stand for them
    assert 'name="symbols"' in chains
    for mode, names in DATASETS_BY_MODE.items():
        assert f'value="{mode}" data-datasets="{" ".join(names)}"' in futures


def test_a_running_load_shows_its_tasks_and_which_is_the_last(
    bench: Toy, open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FRESH", 0.0)
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
        "QUOTEMILL_HOME": str(bench.settings.home),
    }
    caller = open_console(settings)
    with ThreadPoolExecutor() as pool:
        reach = bench.block("dd")
        load = pool.submit(bench.load, keys=("AA", "Bb", "cc", "dd"))
        release = reach()
        try:
            text = open_page(caller, "/jobs/1")
            assert 'data-call="/api/tasks/1-1/cancel"' in text
            assert "quotemill cancel 1 --after-task 1" in text
            assert 'id="asked"' not in text
            assert caller.call("/api/tasks/1-1/cancel").json() == {"job_id": 1}
            text = caller.get("/jobs/1/part").text
            assert "asked to stop after task 1" in text
            assert 'data-call="/api/tasks/' not in text
            assert caller.call("/api/ingestion/cancel", {"job_id": 1}).json() == {"job_id": 1}
            assert "asked to stop after its batch" in caller.get("/jobs/1/part").text
        finally:
            release()
        load.result()
    ended = open_page(caller, "/jobs/1")
    assert 'data-call="/api/tasks/' not in ended
    assert "quotemill cancel" not in ended


def test_a_load_is_shown_with_its_failures_and_the_retry(bench: Toy, open_console: Open) -> None:
    (bench.folder / "cc.csv").unlink()
    bench.load(keys=("AA", "Bb", "cc", "dd"))
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse_url(bench.settings),
        "QUOTEMILL_HOME": str(bench.settings.home),
    }
    caller = open_console(settings)
    text = open_page(caller, "/jobs/1")
    assert "cc.csv is not there" in text
    assert 'data-call="/api/ingestion/retry"' in text
    assert "data-events" not in text  # it has ended
    part = caller.get("/jobs/1/part").text
    assert "<html" not in part
    assert "cc.csv is not there" in part
    assert '<a href="/jobs/1">1</a>' in open_page(caller, "/history")
    findings = open_page(caller, "/findings")
    assert 'value="price cc"' in findings
    assert 'value="price cc"' not in open_page(caller, "/findings?state=new")
    assert 'value="price cc"' not in open_page(caller, "/findings?text=nothing")
    for path in ("/jobs/2", "/jobs/2/part", "/commands/x", "/commands/x/part"):
        assert caller.get(path).status_code == 404
    for path in ("/jobs/0", "/jobs/x"):
        assert caller.get(path).status_code == 422


def test_all_tasks_and_failures_of_a_load_are_one_click_away(
    prepared_dsn: str, open_console: Open
) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, finished_at) values ('tdx', 'tdx', 'init', 'failed', 'me', '{}', now(), now())"
        )
        conn.execute(
            "insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status) "
            "select 1, n, 'kline_daily', '{sh600000}', 'pending' from generate_series(1, 50) as n"
        )
        conn.execute(
            "update ops.ingestion_job_tasks set failures = (select jsonb_object_agg(n, 'gone') "
            "from generate_series(1, 300) as n) where task_no = 1"
        )
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    some = open_page(caller, "/jobs/1")
    assert some.count('<th scope="row" class="n">') == 10
    assert '<a href="/jobs/1?tasks=all">and 40 more</a>' in some
    assert '<a href="/jobs/1?tasks=all">and 260 more</a>' in some
    assert some.count('<td class="t">gone</td>') == 40
    every = open_page(caller, "/jobs/1?tasks=all")
    assert every.count('<td class="t">gone</td>') == 300
    assert every.count('<th scope="row" class="n">') == 50
    assert 'data-part="/jobs/1/part?tasks=all"' in every


def test_the_plan_of_ticks_says_that_their_store_is_away(
    prepared_dsn: str, open_console: Open
) -> None:
    settings = {"QUOTEMILL_TQ__ACCOUNT": "me", "QUOTEMILL_TQ__PASSWORD": "secret"}
    settings |= {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn}
    assert "no schedule is built yet" in open_console(settings).get("/futures/due").text
    away = settings | {"QUOTEMILL_QUESTDB_URL": "http://127.0.0.1:9"}
    text = open_console(away).get("/futures/due").text
    assert "QuestDB" in text
    assert "no schedule is built yet" not in text


def test_times_are_in_the_zone_of_the_exchange_and_of_several_in_one(
    prepared_dsn: str, open_console: Open
) -> None:
    settings = {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn, "QUOTEMILL_IB__HOST": "127.0.0.1"}
    settings |= {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    caller = open_console(settings)
    with psycopg.connect(prepared_dsn) as conn:
        for source in ("tdx", "ib"):
            conn.execute(
                "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, "
                "parameters, as_of, started_at, finished_at) "
                "values (%s, %s, 'init', 'succeeded', 'me', '{}', %s, %s, %s)",
                (source, source, NOW, NOW, NOW),
            )
        conn.execute(
            "insert into ops.builds (status, command, fingerprint, started_at, finished_at) "
            "values ('succeeded', 'by-steps', '', %s, %s)",
            (NOW, NOW),
        )
        conn.execute("insert into ops.schedules (name, last_run_at) values ('ib_close', %s)", [NOW])
    history = open_page(caller, "/history")
    at = '<time datetime="2026-11-20T12:00:00+00:00">2026-11-20 12:00:00 UTC</time>'
    for path, count in (("/history", 3), ("/load", 2), ("/", 3)):
        assert open_page(caller, path).count(f'<td class="d">{at}</td>') == count
    assert history.count('</th><td><span class="good">succeeded</span></td>') == 3  # by the name
    assert "2026-11-20 20:00:00 Shanghai" in open_page(caller, "/jobs/1")
    assert "2026-11-20 07:00:00 New York" in open_page(caller, "/schedules")


def test_a_load_leads_to_its_command_which_may_run_longer(
    prepared_dsn: str, open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is this process, which holds its lock as long as `held` is open."""
    monkeypatch.setattr(watching, "FRESH", 0.0)
    held: list[int] = []

    def spawn(_: Any, __: Any, ___: Any, files: Any) -> int:
        held.append(os.dup(files.lock))
        return os.getpid()

    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn}, spawn=spawn)
    run_id = caller.call("/api/commands", {"command": "quotemill build"}).json()["run_id"]
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        plant_running_load(conn, "tdx", "tdx", "init", jobs.requester())
        link = f'href="/commands/{run_id}"'
        assert "Its command still runs" not in open_page(caller, "/jobs/1/part")
        assert link in open_page(caller, "/jobs/1")
        assert '<a href="/jobs/1">load 1: tdx init</a>' in open_page(caller, "/load")
        conn.execute("update ops.ingestion_jobs set status = 'succeeded', finished_at = now()")
    page = open_page(caller, "/jobs/1")
    assert page.count(link) == 2
    assert "data-poll" in page
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", (build_record.LOCK,))
        conn.execute(
            "insert into ops.builds (status, command, fingerprint, nodes_done, nodes, node) values "
            "('running', 'build --select source:raw_tdx.kline_daily+', '', 12, 1340, "
            "'kline_daily_qfq')"
        )
        page = open_page(caller, "/jobs/1")
        assert "data-poll" in page
        build = page.partition('<p id="build" data-running>')[2].partition("</p>")[0]
        assert '<a href="/builds/1">1</a> <span class="warn">running</span>' in build
        assert "12 / 1,340 · <code>kline_daily_qfq</code>" in build
        assert '<progress max="1340" value="12">' in build
        page = open_page(caller, "/builds/1")
        assert 'data-part="/builds/1/part" data-poll' in page
        state = page.partition('<p id="state" data-running>')[2].partition("</p>")[0]
        assert '<span class="warn">running</span> · ' in state
        assert "12 / 1,340 · <code>kline_daily_qfq</code>" in state
        conn.execute(
            "update ops.builds set status = 'succeeded', models_built = 7, rows_written = 1000, "
            "finished_at = started_at + interval '90 s'"
        )
    ended = open_page(caller, "/jobs/1").partition('<p id="build">')[2].partition("</p>")[0]
    assert '<span class="good">succeeded</span> · started ' in ended
    assert " Shanghai</time> · 1 min 30 s · 7 models, 1,000 rows" in ended
    page = open_page(caller, "/builds/1")
    assert " UTC</time> · 1 min 30 s · 7 models, 1,000 rows</p>" in page
    assert "<p>what is made from kline_daily</p>" in page
    assert "data-poll" not in page
    history = open_page(caller, "/history")
    assert "what is made from kline_daily</td>" in history
    assert f'<a href="/commands/{run_id}"><code>quotemill build</code></a>' in history
    assert "<h1><code>quotemill build</code></h1>" in open_page(caller, f"/commands/{run_id}")
    assert "Its command still runs" in open_page(caller, "/jobs/1")
    os.close(held[0])
    page = open_page(caller, "/jobs/1")
    assert page.count(link) == 1
    assert "data-poll" not in page
    assert '<a href="/jobs/1">load 1' not in open_page(caller, "/load")


def test_what_others_wrote_is_text_on_every_page(open_console: Open, tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text(
        f'backup_folder = "/srv/{NASTY}"\n[schedule.mine]\ncommand = "run {NASTY}"\n'
        'when = "daily 10:00"\n[tdx]\nbase_url = "http://127.0.0.1:9"\n'
    )
    caller = open_console()
    for path in (
        "/settings",
        "/schedules",
        f"/findings?text={NASTY}",
        f"/settings?section={NASTY}",
    ):
        assert NASTY not in open_page(caller, path)
    assert "&lt;script&gt;" in open_page(caller, "/settings")


def test_no_page_shows_a_secret(open_console: Open) -> None:
    caller = open_console(
        {
            "QUOTEMILL_WAREHOUSE_URL": "postgresql://me:very-secret@127.0.0.1:9/market",
            "QUOTEMILL_TQ__PASSWORD": "very-secret",
            "QUOTEMILL_TDX__BASE_URL": "http://me:very-secret@127.0.0.1:9",
        }
    )
    for path in PAGES:
        assert "very-secret" not in caller.get(path).text
    settings = open_page(caller, "/settings")
    assert "environment <code>QUOTEMILL_WAREHOUSE_URL</code>" in settings
    assert 'value="127.0.0.1"' in settings


def test_a_setting_that_is_not_changed_here_says_why(open_console: Open) -> None:
    page = open_page(open_console({"QUOTEMILL_TQ__PASSWORD": "x"}), "/settings")
    rows = {row.partition("</code>")[0]: row for row in page.split('<tr><th scope="row"><code>')}
    assert "set it in a file</p></td>" in rows["questdb.java"]
    assert "<td>is set</td>" in rows["tq.password"]
    assert "QUOTEMILL_TQ__PASSWORD</code>" in rows["tq.password"]


def test_each_section_of_the_settings_says_what_it_is(open_console: Open) -> None:
    for language in ("en", "zh"):
        page = open_page(open_console(), f"/settings?lang={language}")
        about = re.findall(r'<summary><code>\w+</code> <span class="faint">(.+?)</span>', page)
        assert len(set(about)) == page.count("<details") > 5


def test_a_fault_is_logged_in_the_home_of_the_console(
    open_console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    caller = open_console()
    monkeypatch.setattr(overview, "gather", fail)
    answer = caller.get("/")
    assert answer.status_code == 500
    assert "internal error" in answer.text
    folder = caller.console.settings().home / "logs"
    assert len(list(folder.glob("error-*.log"))) == 1
    assert str(folder) in answer.text


def write_log(caller: Caller, *lines: Mapping[str, Any] | str | bytes) -> Path:
    """A file of the log of the day NOW; texts are lines that are damaged."""
    folder = caller.console.settings().home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"run-{NOW:%F}.jsonl"
    texts = (json.dumps(line) if isinstance(line, Mapping) else line for line in lines)
    path.write_bytes(b"\n".join(t if isinstance(t, bytes) else t.encode() for t in texts))
    return path


def test_a_run_of_the_history_has_its_lines_of_the_log(
    prepared_dsn: str, open_console: Open
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    runs = {"20261120T113000-00aa": "one", "20261120T113000-00bb": "two"}
    with psycopg.connect(prepared_dsn) as conn:
        for run_id in runs:
            conn.execute(
                "insert into ops.runs "
                "(run_id, host, pid, command, started_at, finished_at, exit_code, error) values "
                "(%s, 'here', 1, 'run tdx --as-of 2026-11-20', %s, %s, 4, 'password=very-secret')",
                (run_id, NOW - timedelta(minutes=30), NOW),
            )
    written = [
        {"at": f"{NOW:%FT%T}.1Z", "level": "error", "run": run_id, "event": f"{word} {NASTY}"}
        for run_id, word in runs.items()
    ]
    write_log(caller, *written, '"run": "20261120T113000-00aa" torn', "{}")
    assert 'href="/runs/20261120T113000-00aa"' in open_page(caller, "/history")
    text = open_page(caller, "/runs/20261120T113000-00aa")
    assert "error   one &lt;script&gt;" in text
    assert "two" not in text.partition("<pre")[2]
    assert "very-secret" not in text
    assert "no line of it" not in text
    assert "UTC</time> · 30 min 0 s</p>" in text
    assert "<code>quotemill run tdx --as-of" in re.sub("</?span[^>]*>", "", text)
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("update ops.runs set command = 'backup' where run_id like '%bb'")
        conn.execute(
            "insert into ops.builds (status, command, fingerprint, started_at, finished_at, "
            "models_built) values ('succeeded', 'build', '', %s, %s, 7)",
            (NOW - timedelta(minutes=2), NOW),
        )
    for run_id, count in (("20261120T113000-00aa", 1), ("20261120T113000-00bb", 0)):
        part = open_page(caller, f"/runs/{run_id}/part")
        assert part.count('<a href="/builds/1">1</a></th><td><span class="good">') == count
        assert part.count("7 models, 0 rows") == count
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("update ops.runs set started_at = '2020-01-01', finished_at = '2020-01-02'")
    assert "no line of it" in open_page(caller, "/runs/20261120T113000-00bb")
    for unknown in ("x", "..%2f..%2fsecret", "%00", "'; drop table ops.runs; --"):
        assert caller.get(f"/runs/{unknown}").status_code in (404, 422)


def test_a_build_of_the_history_has_its_lines_of_the_log(
    prepared_dsn: str, open_console: Open
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    at = f"{NOW:%FT%T}.1Z"
    line = {"at": at, "level": "error", "source": "dbt"}
    path = write_log(
        caller,
        line | {"build": 1, "event": f"one {NASTY} 收盘 password=of-the-log"},
        line | {"build": 11, "event": "eleven"},
        line | {"build": "1", "event": "no number"},
        line | {"job": 1, "event": "of a load", "detail": {"build": 1}},
        line | {"build": 1, "event": "earlier", "at": f"{NOW:%F}T02:00:00.000Z"},
        line | {"build": 1, "event": None},
        f'{{"at": "{at}", "level": "info", "build": 1, "event": "收盘"}}'.encode("gbk"),
    )
    assert "builds/1" not in open_page(caller, "/history")
    assert caller.get("/builds/1").status_code == 404
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "insert into ops.builds (status, command, fingerprint, started_at, finished_at, error) "
            "values ('failed', 'by-steps', '', %s, %s, 'password=very-secret')",
            (NOW - timedelta(minutes=3), NOW),
        )
    assert '<a href="/builds/1">1</a>' in open_page(caller, "/history")
    text = open_page(caller, "/builds/1?lang=zh")
    assert "<p>by-steps</p>" in text
    shown = text.partition('<pre id="log"')[2].partition("</pre>")[0]
    assert shown.partition(">")[2].splitlines() == [
        f"{NOW:%F %T} UTC 错误      one &lt;script&gt;alert(1)&lt;/script&gt; 收盘 password=***"
    ]
    assert "very-secret" not in text
    assert "of-the-log" not in text
    for unknown in ("2", "0", str(2**63), "x", "1'--"):
        assert caller.get(f"/builds/{unknown}").status_code in (404, 422)
    path.unlink()
    path.mkdir()
    text = re.sub("</?span[^>]*>", "", open_page(caller, "/builds/1?lang=en"))
    assert f"{path} cannot be read" in text
    assert "failed" in text
