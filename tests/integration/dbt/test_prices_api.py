"""Prices by the console's API equal the tables, in each format."""

import io
from collections.abc import Callable
from decimal import Decimal

import psycopg
import pyarrow as pa
import pyarrow.csv
import pytest

from quotemill.warehouse.postgres import Warehouse
from tests.integration.console.conftest import Caller, open_console  # noqa: F401
from tests.integration.dbt.price_market import CODE, DAYS, PRICE_MARKET, WITH_OPTIONS

pytestmark = PRICE_MARKET


@pytest.fixture
def caller(
    open_console: Callable[..., Caller],  # noqa: F811
    warehouse: Warehouse,
) -> Caller:
    return open_console({"QUOTEMILL_WAREHOUSE_URL": warehouse.url})


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


@WITH_OPTIONS
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
    assert caller.json("/api/option-chain/BRK.B/2026-11-24")["rows"]
    arrow = caller.get("/api/option-chain/AAPL/2026-11-24?format=arrow").content
    assert pa.ipc.open_stream(arrow).read_all().num_rows == len(expected)
    assert "," in caller.get("/api/option-chain/AAPL/2026-11-24?format=csv").text
