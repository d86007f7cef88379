"""Each page answers, in both languages, without a warehouse and with one, and shows no mark-up."""

import re
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from loaders.ib.planning.request import TASKS
from loaders.tdx import plan
from loaders.tq.request import DATASETS_BY_MODE
from orchestration.console.pages import overview
from orchestration.run import history as runs
from orchestration.schedule import ledger
from orchestration.schedule.jobs import read_jobs
from tests.bench import put_build
from tests.integration.console.conftest import NOW, Open
from tests.integration.console.pages import NASTY, open_page

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


def test_each_page_opens_without_a_warehouse(open_console: Open) -> None:
    caller = open_console()
    for path in PAGES:
        english = open_page(caller, path)
        assert f'href="{path}" aria-current="page">' in english
        chinese = open_page(caller, f"{path}?lang=zh")
        assert '<html lang="zh-CN">' in chinese
    assert not (caller.console.settings().home / "pg").exists()


def test_each_page_opens_with_a_warehouse(prepared_dsn: str, open_console: Open) -> None:
    service = {"QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9"}
    caller = open_console(service | {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    for path in PAGES:
        open_page(caller, path)


def test_a_wrong_address_is_a_page_for_people_and_a_document_for_scripts(
    open_console: Open,
) -> None:
    caller = open_console()
    wrong = {"/nothing": 404, "/jobs/x": 422, "/prices?end=x": 422, "/jobs/%00?lang=zh": 422}
    for path, status in wrong.items():
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
    assert "loads-table" not in open_page(caller, "/load")
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
        assert f'name="command" value="{ledger.name_install()}">' in text
        assert "2026-11-2" not in text  # no start is dated
    jobs = read_jobs(caller.console.settings()).values()
    with psycopg.connect(prepared_dsn) as conn:
        ledger.register_jobs(conn, jobs, NOW)
    assert ledger.name_install() not in open_page(caller, "/schedules")
    assert "2026-11-23 17:30:00 Shanghai" in open_page(caller, "/schedules")
    part = open_page(caller, "/starts")
    assert "<html" not in part
    assert "tdx_daily" in part
    with psycopg.connect(prepared_dsn) as conn:  # as a timer leaves it that was removed
        conn.execute("update ops.schedules set next_run_at = %s", (NOW - timedelta(hours=1),))
    assert ledger.name_install() in open_page(caller, "/starts")


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
    assert "written" in refused.json()["error"]
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
        put_build(conn, "by-steps", NOW, exit_code=0)
        conn.execute("insert into ops.schedules (name) values ('ib_close')")
        runs.begin(conn, "a", "ib_close", "run ib", NOW)
    history = open_page(caller, "/history")
    at = '<time datetime="2026-11-20T12:00:00+00:00">2026-11-20 12:00:00 UTC</time>'
    for path, count in (("/history", 4), ("/load", 2), ("/", 3)):
        assert open_page(caller, path).count(f'<td class="d">{at}</td>') == count
    assert history.count('</th><td><span class="good">succeeded</span></td>') == 3  # by the name
    assert "2026-11-20 20:00:00 Shanghai" in open_page(caller, "/jobs/1")
    assert "2026-11-20 07:00:00 New York" in open_page(caller, "/schedules")


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
    assert '<p class="faint">' in rows["questdb.java"]
    assert "<input" not in rows["questdb.java"]
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

    monkeypatch.setattr(overview, "gather", fail)
    caller = open_console()
    answer = caller.get("/")
    assert answer.status_code == 500
    assert "internal " in answer.text
    folder = caller.console.settings().home / "logs"
    assert len(list(folder.glob("error-*.log"))) == 1
    assert str(folder) in answer.text
