"""Prices by the console's API equal the tables, in each format."""

import io
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pytest

from quotemill.readers import klines
from tests.integration.console.conftest import Caller, open_console  # noqa: F401
from tests.integration.console.price_tables import REFUSALS, check_refusal
from tests.integration.dbt.price_market import CODE, DAYS
from tests.integration.dbt.raw_futures import VARIETY

NASTY = "<script>alert(1)</script>"
CELL = r'<td class="n">([\d.]+)</td>'


@pytest.fixture
def caller(
    price_market: str,
    open_console: Callable[..., Caller],  # noqa: F811
) -> Caller:
    return open_console({"QUOTEMILL_WAREHOUSE_URL": price_market})


def test_bars_equal_the_tables_in_each_format(caller: Caller, conn: psycopg.Connection) -> None:
    path = f"/api/klines/{CODE}"
    for adjust, table in (("none", ""), ("qfq", "_qfq"), ("hfq", "_hfq")):
        expected = conn.execute(
            f"select trade_date, open, close, volume_shares from market.kline_daily{table} "
            "where code = %s order by trade_date",
            (CODE,),
        ).fetchall()
        assert len(expected) == len(DAYS)
        document = caller.json(f"{path}?adjust={adjust}")
        assert (document["code"], document["adjust"]) == (CODE, adjust)
        shown = [
            (r["trade_date"], r["open"], r["close"], r["volume_shares"]) for r in document["rows"]
        ]
        assert shown == [(str(d), float(o), float(c), v) for d, o, c, v in expected]
    answer = caller.get(f"{path}?adjust=qfq&format=arrow")
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.schema.field("close").type == pa.decimal128(18, 3)
    assert table["close"].to_pylist()[:2] == [Decimal("9.850"), Decimal("9.860")]
    text = caller.get(f"{path}?adjust=qfq&format=csv").content
    assert pyarrow.csv.read_csv(io.BytesIO(text))["close"].to_pylist()[:2] == [9.85, 9.86]
    part = caller.json(f"{path}?start={DAYS[2]}&end={DAYS[4]}")
    assert [row["trade_date"] for row in part["rows"]] == [str(day) for day in DAYS[2:5]]
    assert caller.json("/api/klines/600000.SH")["code"] == CODE
    weeks = caller.json(f"{path}?freq=1w&adjust=qfq")["rows"]
    assert [row["trade_date"] for row in weeks] == [str(DAYS[4]), str(DAYS[9]), str(DAYS[11])]


def test_prices_as_of_a_day_know_no_later_event_or_bar(caller: Caller) -> None:
    path = f"/api/klines/{CODE}?adjust=qfq"
    newest = caller.json(path)["rows"]
    before = caller.json(f"{path}&as_of={DAYS[5]}")
    assert before["as_of"] == str(DAYS[5])
    assert [row["trade_date"] for row in before["rows"]] == [str(day) for day in DAYS[:6]]
    # the dividend of 0.15 comes on the next day
    assert [row["close"] for row in before["rows"]][:2] == [10.0, 10.01]
    assert [row["close"] for row in newest][:2] == [9.85, 9.86]
    assert caller.json(f"{path}&as_of={DAYS[-1]}")["rows"] == newest
    weeks = caller.json(f"{path}&freq=1w&as_of={DAYS[5]}")["rows"]
    assert [(week["trade_date"], week["close"], week["is_final"]) for week in weeks] == [
        (str(DAYS[4]), 10.04, True),
        (str(DAYS[5]), 10.05, False),
    ]
    minutes = caller.json(f"{path}&freq=5m&as_of={DAYS[5]}")["rows"]
    assert {row["close"] for row in minutes} == {10.5}
    assert caller.json(f"{path}&freq=5m&as_of={DAYS[2]}")["rows"] == []
    raw = caller.json(f"/api/klines/{CODE}?adjust=none&as_of={DAYS[5]}")["rows"]
    assert len(raw) == 6


def test_minutes_are_those_of_the_days_asked_for(caller: Caller) -> None:
    path = f"/api/klines/{CODE}?freq=5m&adjust=none"
    rows = caller.json(f"{path}&start={DAYS[3]}&end={DAYS[3]}")["rows"]
    assert len(rows) == 48
    assert (rows[0]["bar_end"], rows[0]["trade_date"]) == (
        f"{DAYS[3]}T01:35:00+00:00",
        str(DAYS[3]),
    )
    assert caller.json(f"{path}&start={DAYS[4]}")["rows"] == []


def test_more_rows_than_one_answer_holds_are_refused(
    caller: Caller, conn: psycopg.Connection
) -> None:
    listed = klines.find_security(conn, "market", "600000")
    with pytest.raises(klines.UsageError, match="more than 5 rows"):
        klines.read_klines(conn, "market", listed, most=5)
    assert klines.read_klines(conn, "market", listed, most=len(DAYS)).num_rows == len(DAYS)
    actions = klines.read_actions(conn, "market", CODE, None, None)
    assert actions["ex_date"].to_pylist() == [DAYS[6]]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        *REFUSALS,
        ("option-chain/NOPE/2026-11-24", 404, "symbols: AAPL, BRK B"),
        ("option-chain/AAPL/2026-11-30", 404, "days near it: 2026-11-24, 2026-11-25"),
        ("option-chain/AAPL/2026-11-24?slot=03:00", 404, "slots of the day:"),
    ],
)
def test_what_is_not_there_or_wrong_is_named(
    caller: Caller, path: str, status: int, says: str
) -> None:
    check_refusal(caller, path, status, says)


def test_main_contracts_have_their_rolls(caller: Caller) -> None:
    rows = caller.json(f"/api/main-contracts/{VARIETY}")["rows"]
    assert [row["trading_day"] for row in rows] == [str(day) for day in DAYS]
    [roll] = [row for row in rows if row["is_switch"] and row["prev_contract"]]
    assert (roll["trading_day"], roll["underlying_contract"]) == (str(DAYS[7]), "SHFE.au2410")
    assert {row["close"] for row in rows} == {500.0}
    assert caller.get(f"/api/main-contracts/{VARIETY}?format=csv").text.count("\n") == 13


def test_a_chain_is_that_of_the_close_or_of_a_slot(
    caller: Caller, conn: psycopg.Connection
) -> None:
    close = caller.json("/api/option-chain/AAPL/2026-11-24")
    expected = conn.execute(
        "select strike, iv from options.chain_daily_clean where symbol = 'AAPL' "
        "and trade_date = '2026-11-24' order by expiry, option_right, strike"
    ).fetchall()
    assert [(row["strike"], row["iv"]) for row in close["rows"]] == [
        (float(strike), iv) for strike, iv in expected
    ]
    slot = close["slots"][0]
    rows = caller.json(f"/api/option-chain/AAPL/2026-11-24?slot={slot}")["rows"]
    assert {row["slot_label"] for row in rows} == {slot}
    assert caller.json("/api/option-chain/BRK%20B/2026-11-24")["symbol"] == "BRK B"
    arrow = caller.get("/api/option-chain/AAPL/2026-11-24?format=arrow").content
    assert pa.ipc.open_stream(arrow).read_all().num_rows == len(expected)
    assert "," in caller.get("/api/option-chain/AAPL/2026-11-24?format=csv").text


def test_before_the_first_build_the_answer_says_so(
    open_console: Callable[..., Caller],  # noqa: F811
    prepared_dsn: str,
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    for path in (f"klines/{CODE}", f"main-contracts/{VARIETY}", "option-chain/AAPL/2026-11-24"):
        answer: Any = caller.get(f"/api/{path}")
        assert (answer.status_code, answer.json()["hint"]) == (422, "quotemill build")
    nowhere = open_console().get(f"/api/klines/{CODE}")
    assert (nowhere.status_code, nowhere.json()["exit_code"]) == (409, 3)


def test_the_page_has_the_rows_of_the_tables(caller: Caller, conn: psycopg.Connection) -> None:
    shown = re.compile(r'<tr><th scope="row" class="d">([\d-]+)</th>' + 4 * CELL)
    for freq, adjust, table in (
        ("1d", "none", "kline_daily"),
        ("1d", "qfq", "kline_daily_qfq"),
        ("1d", "hfq", "kline_daily_hfq"),
        ("1w", "qfq", "kline_weekly_qfq"),
    ):
        text = caller.get(f"/prices?code={CODE}&freq={freq}&adjust={adjust}").text
        expected = conn.execute(
            f"select trade_date, open, high, low, close from market.{table} where code = %s "
            "order by trade_date desc".encode(),
            (CODE,),
        ).fetchall()
        assert shown.findall(text) == [tuple(map(str, row)) for row in expected]
        assert "data-chart" in text
    assert f"{DAYS[6]}: cash 1.5/10" in text  # the action, marked
    text = caller.get(f"/prices?code=600000&freq=5m&adjust=qfq&end={DAYS[5]}").text
    assert f'data-first="{DAYS[3]}" data-last="{DAYS[3]}"' in text


def test_pages_of_futures_and_options_draw_what_the_tables_have(caller: Caller) -> None:
    text = caller.get(f"/prices/futures?variety={VARIETY}").text
    assert f"{DAYS[7]}: SHFE.au2408 → SHFE.au2410" in text
    assert text.count('<th scope="row" class="d">') == len(DAYS)
    assert "data-chart" in text
    text = caller.get("/prices/options?symbol=AAPL&day=2026-11-24").text
    assert '<svg class="candles"' in text
    points = re.findall(r'<circle class="\w+" cx="([\d.]+)".*?<title>\w+ ([\d.]+): ', text)
    assert len(points) == text.count("</tr>") - 1
    # each strike is named beneath its points
    named = re.findall(r'<text x="([\d.]+)" y="326" text-anchor="middle">([\d.]+)</text>', text)
    assert set(named) == set(points)
    for wrong in (f"futures?variety={NASTY}", f"options?symbol={NASTY}", "options?symbol=NOPE"):
        answer = caller.get(f"/prices/{wrong}")
        assert (answer.status_code, NASTY in answer.text) == (200, False)
