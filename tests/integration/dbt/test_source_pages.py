"""The pages of option chains and of futures show what built tables and the commands say."""
# ruff: noqa: F811

import html
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt, Parsed
from tests.integration.console.conftest import Caller, open_console  # noqa: F401
from tests.integration.dbt.option_days import OPTION_DAYS, TUESDAY, WEDNESDAY
from tests.integration.dbt.raw import land, weekdays
from tests.integration.dbt.raw_futures import (
    VARIETY,
    contract,
    day_bar,
    land_days,
    land_schedule,
    stored_day,
)
from tests.integration.dbt.raw_options import (
    slot_run,
)
from tests.languages import check_languages

pytestmark = OPTION_DAYS

Open = Callable[..., Caller]
DAYS = weekdays(date(2024, 6, 3), 10)
OLD, NEW = "SHFE.au2408", "SHFE.au2410"
MIDDAY = "2026-11-25T13:10:00-05:00"


def read_rows(text: str, key: str) -> list[list[str]]:
    """The cells of a table of a page, by its id."""
    [table] = re.findall(rf'<table id="{key}".*?<tbody>(.*?)</tbody>', text, re.DOTALL)
    rows = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in table.split("</tr>")
    ]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in rows if row]


def strip_tags(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", text))


@pytest.fixture
def chains(
    conn: psycopg.Connection, tmp_path: Path, open_console: Open, warehouse: Warehouse
) -> Caller:
    """Two symbols, of which one was captured in the first slot of Wednesday."""
    run = slot_run("AAPL", WEDNESDAY) | {"planned": 6, "captured": 5, "status": "partial"}
    land(conn, "raw_ib.slot_run", [run])
    conn.execute(
        "update raw_ib.chain_snapshot set snapshot_error = true where (conid, sample_time) = "
        "(select conid, sample_time from raw_ib.chain_snapshot where symbol = 'AAPL' "
        "and trade_date = %s order by sample_time, conid limit 1)",
        (WEDNESDAY.day,),
    )
    conn.commit()
    (tmp_path / "universe.csv").write_text(
        "symbol,weight,group,enabled\nAAPL,2,a,yes\nBRK B,1,b,yes\n"
    )
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse.url,
        "QUOTEMILL_IB__HOST": "127.0.0.1",
        "QUOTEMILL_IB__PORT": "9",
        "QUOTEMILL_IB__STAGE": "3",
        "QUOTEMILL_IB__UNIVERSE": str(tmp_path / "universe.csv"),
    }
    return open_console(settings, as_of=MIDDAY)


def test_chains_show_what_is_due_and_the_slots_of_the_session(chains: Caller) -> None:
    plan = chains.json("/api/ingestion/plan?source=ib")
    part = chains.get("/chains/due").text
    assert "<html" not in part
    said = strip_tags(part)
    for line in plan["lines"]:
        assert line.strip() in said
    assert plan["detail"]["trade_date"] == str(WEDNESDAY.day)
    assert (plan["refusal"], plan["left"]) == (None, [])
    head = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', part)
    assert head == ["symbol", *plan["detail"]["slots"], "close"]
    rows = {row[0]: row[1:] for row in read_rows(part, "slots")}
    assert rows["AAPL"][0] == "5 / 6"
    assert set(rows["AAPL"][1:]) == {"–"}
    assert set(rows["BRK B"]) == {"–"}


def test_pages_of_chains_are_in_one_language(chains: Caller) -> None:
    check_languages(chains.client)


def test_chains_show_the_checks_and_the_stages(chains: Caller, conn: psycopg.Connection) -> None:
    text = chains.get("/chains").text
    assert 'data-part="/chains/due" data-lazy' in text
    assert re.search(f'<h2>[^<]*<span class="d">{TUESDAY.day}</span></h2>', text)
    checked = {row[0]: row[1:] for row in read_rows(text, "checks")}
    assert set(checked) == {"AAPL", "BRK B"}
    assert {word for row in checked.values() for word in row} <= {"PASS", "FAIL", "PENDING", "–"}
    stages = conn.execute("select stage, state from qa.qa_option_gates order by 1").fetchall()
    shown = [(int(row[0]), row[1].replace("opened", "open")) for row in read_rows(text, "stages")]
    assert shown == stages
    for command in (
        "quotemill selfcheck ib",
        "quotemill gate list",
        "loaders run ib --dry-run",
    ):
        assert f"<code>{command}</code>" in text


def test_a_plan_that_cannot_be_made_says_why(open_console: Open, prepared_dsn: str) -> None:
    bare = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    answer = bare.get("/api/ingestion/plan?source=ib")
    assert (answer.status_code, answer.json()["exit_code"]) == (409, 3)
    assert "no IB gateway is configured" in bare.get("/chains/due").text
    assert "IB_HOST is not set" in bare.get("/chains").text
    assert bare.get("/api/ingestion/plan?source=tdx").status_code == 422
    assert bare.get("/api/ingestion/plan?source=x").status_code == 422
    assert bare.get("/api/ingestion/plan").status_code == 422


def build_futures(conn: psycopg.Connection, dbt: Dbt) -> None:
    """Ten days of a variety with a roll; six have ticks, one of them is short."""
    land_days(conn, DAYS)
    land_schedule(conn, {day: OLD if n < 7 else NEW for n, day in enumerate(DAYS)})
    bars = [
        day_bar(name, day, close, 1)
        for name, close in ((OLD, "500"), (NEW, "502.5"))
        for day in DAYS
    ]
    land(conn, "raw_tq.contract_daily", bars)
    months = {OLD: 8, NEW: 10}
    land(
        conn,
        "raw_tq.contract",
        [contract(name, VARIETY, 2024, month) for name, month in months.items()],
    )
    dbt("run", "-s", "main_schedule", "main_segments")
    names = ("symbol", "underlying_contract", "trading_day", "segment_id", "schedule_hash")
    rows = conn.execute(
        f"select {', '.join(names)} from futures.main_schedule order by trading_day".encode()
    ).fetchall()
    scheduled = [dict(zip(names, row, strict=True)) for row in rows]
    whole, short = ({"status": x, "volume": v} for x, v in (("complete", 100), ("short", 90)))
    ticks = [stored_day(row, **(short if n == 5 else whole)) for n, row in enumerate(scheduled[:6])]
    land(conn, "raw_tq.symbol_day", ticks)


FUTURES = pytest.mark.warehouse.with_args(Parsed.build_models, build_futures)


@pytest.fixture
def futures(open_console: Open, warehouse: Warehouse) -> Caller:
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": warehouse.url,
        "QUOTEMILL_TQ__ACCOUNT": "me",
        "QUOTEMILL_TQ__PASSWORD": "secret",
        "QUOTEMILL_TQ__VARIETIES": VARIETY,
    }
    return open_console(settings)


@FUTURES
def test_futures_show_varieties_days_and_rolls(futures: Caller, conn: psycopg.Connection) -> None:
    first = futures.get("/futures").text
    assert '<select name="variety" required><option value="">choose one</option>' in first
    assert "no_data" not in re.sub("<code>.*?</code>", "", first)
    [variety] = read_rows(first, "varieties")
    assert variety[:4] == [VARIETY, NEW, str(DAYS[0]), str(DAYS[-1])]
    assert variety[4:9] == ["10", "6", "1", "0", "4"]
    text = futures.get(f"/futures?variety={VARIETY.lower()}").text
    days = read_rows(text, "days")
    expected = conn.execute(
        "select trading_day, underlying_contract, coverage from futures.tick_coverage "
        "order by trading_day desc"
    ).fetchall()
    assert [tuple(row[:3]) for row in days] == [(str(d), c, state) for d, c, state in expected]
    assert [row[2] for row in days] == ["missing"] * 4 + ["short"] + ["complete"] * 5
    lacking = read_rows(futures.get(f"/futures?variety={VARIETY}&lacking=yes").text, "days")
    assert [row[2] for row in lacking] == ["missing"] * 4 + ["short"]
    older = futures.get(f"/futures?variety={VARIETY}&until={DAYS[1]}").text
    assert [row[0] for row in read_rows(older, "days")] == [str(DAYS[1]), str(DAYS[0])]
    [roll] = read_rows(text, "rolls")
    assert roll[:4] == [str(DAYS[7]), VARIETY, OLD, NEW]
    assert Decimal(roll[4]) == Decimal("2.5")
    unknown = futures.get("/futures?variety=SHFE.xx").text
    assert "no schedule for SHFE.xx" in unknown
    assert 'id="varieties"' in unknown  # what there is stays to choose from


@FUTURES
def test_pages_of_futures_are_in_one_language(futures: Caller) -> None:
    check_languages(futures.client)


@FUTURES
def test_futures_show_what_is_missing_and_the_load_of_it(futures: Caller) -> None:
    plan = futures.json("/api/ingestion/plan?source=tq")
    assert plan["detail"]["days"] == {VARIETY: 5}
    assert any("loaders run tq" in line for line in plan["left"])
    said = strip_tags(futures.get("/futures/due").text)
    for line in (*plan["lines"], *plan["left"]):
        assert line.replace("`", "") in said
    text = futures.get(f"/futures?variety={VARIETY}").text
    assert 'data-call="/api/ingestion/start"' in text
    assert f"<code>quotemill load tq --codes {VARIETY}</code>" in text


@pytest.mark.parametrize("path", ["/chains", "/chains/due", "/futures", "/futures/due"])
def test_the_pages_open_before_any_load(
    open_console: Open, path: str, prepared_dsn: str, new_database: Callable[[], str]
) -> None:
    ready = {"QUOTEMILL_TQ__ACCOUNT": "me", "QUOTEMILL_TQ__PASSWORD": "secret"}
    for made in (None, new_database(), prepared_dsn):
        settings = ready | ({"QUOTEMILL_WAREHOUSE_URL": made} if made else {})
        answer = open_console(settings).get(path)
        assert answer.status_code == 200, answer.text
