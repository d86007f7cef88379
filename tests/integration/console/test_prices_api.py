"""Prices by the API, over tables with the columns that the models declare."""
# ruff: noqa: F811

import io
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pytest

from quotemill.readers import klines
from tests.integration.console.conftest import Caller, Open
from tests.integration.console.price_tables import CODE, DAYS, caller, insert  # noqa: F401


def test_bars_are_those_of_the_table_in_each_format(caller: Caller) -> None:
    path = f"/api/klines/{CODE}?adjust=qfq"
    document = caller.json(path)
    assert (document["code"], document["name"], document["freq"]) == (CODE, "SH600000", "1d")
    assert [row["trade_date"] for row in document["rows"]] == list(map(str, DAYS))
    assert [row["close"] for row in document["rows"]] == [(1000 + n) / 100 for n in range(300)]
    table = pa.ipc.open_stream(caller.get(f"{path}&format=arrow").content).read_all()
    assert table["close"].to_pylist() == [Decimal(1000 + n) / 100 for n in range(300)]
    assert table.schema.field("close").type == pa.decimal128(18, 3)
    text = caller.get(f"{path}&format=csv").content
    assert pyarrow.csv.read_csv(io.BytesIO(text)).num_rows == 300
    part = caller.json(f"{path}&start={DAYS[2]}&end={DAYS[4]}")["rows"]
    assert [row["trade_date"] for row in part] == list(map(str, DAYS[2:5]))
    for form in ("600000.SH", "SHSE.600000", "600000"):
        assert caller.json(f"/api/klines/{form}")["code"] == CODE
    minutes = caller.json(f"/api/klines/{CODE}?freq=5m&start={DAYS[2]}&end={DAYS[2]}")["rows"]
    assert [row["bar_end"] for row in minutes] == [f"{DAYS[2]}T03:00:00+00:00"]
    assert caller.json("/api/klines/sh000001")["rows"][0]["close"] == 3000


def test_more_rows_than_one_answer_holds_are_refused(prepared_dsn: str, caller: Caller) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        security = klines.find_security(conn, "market", CODE)
        with pytest.raises(klines.UsageError, match=" 299 rows"):
            klines.read_klines(conn, "market", security, most=299)
        assert klines.read_klines(conn, "market", security, most=300).num_rows == 300


# path, status, a word of why
REFUSALS = [
    ("klines/sh600001", 404, ": sh600000 SH600000, sh600004"),
    ("klines/sh6000", 422, "not a code"),
    ("klines/sh600000'%20or%20'1'='1", 422, "code"),
    ("klines/sh600000?freq=2d", 422, "freq"),
    ("klines/sh600000?adjust=all", 422, "adjust"),
    ("klines/sh600000?freq=1w", 422, "forward-adjusted"),
    ("klines/sh600000?start=x'%3Bdrop", 422, "start"),
    ("klines/sh600000?start=2024-06-05&end=2024-06-03", 422, "is before start"),
    ("klines/sh600000?as_of=yesterday", 422, "as_of"),
    ("klines/sh600000?format=xml", 422, "format"),
    ("main-contracts/SHFE.xx", 404, ": SHFE.au"),
    ("main-contracts/x'%20or%201=1", 422, "variety"),
    ("option-chain/BRK%20B/2026-11-24?slot=x", 422, "slot"),
    ("option-chain/BRK%20B/yesterday", 422, "day"),
    ("option-chain/..%2f..%2fx/2026-11-24", 404, ""),
    ("klines/sh600000?freq=15m", 422, "quotemill build"),
    ("klines/sh000001?adjust=qfq", 422, "never adjusted"),
    ("option-chain/NOPE/2026-11-24", 404, ": BRK B"),
    ("option-chain/BRK%20B/2026-11-30", 404, ": 2026-11-24"),
    ("option-chain/BRK%20B/2026-11-24?slot=03:00", 404, ": 10:00"),
]


def test_what_is_not_there_or_wrong_is_named(caller: Caller) -> None:
    for path, status, says in REFUSALS:
        answer = caller.get(f"/api/{path}")
        assert (answer.status_code, says in answer.text) == (status, True), f"{path}: {answer.text}"


def test_main_contracts_have_their_rolls_and_days_without_a_bar(caller: Caller) -> None:
    rows = caller.json("/api/main-contracts/shfe.AU")["rows"]
    assert [row["trading_day"] for row in rows] == list(map(str, DAYS))
    [roll] = [row for row in rows if row["prev_contract"]]
    assert (roll["trading_day"], roll["underlying_contract"]) == (str(DAYS[200]), "SHFE.au2410")
    assert (rows[0]["close"], rows[-1]["close"]) == (500.0, None)
    assert caller.get("/api/main-contracts/shfe.AU?format=csv").text.count("\n") == 301


def test_a_chain_is_that_of_the_close_or_of_a_slot(caller: Caller) -> None:
    path = "/api/option-chain/BRK%20B/2026-11-24"
    close = caller.json(path)
    assert close["slots"] == ["10:00"]
    assert [(r["option_right"], r["strike"]) for r in close["rows"]] == [
        (right, strike) for right in "CP" for strike in (90.0, 100.0, 110.0)
    ]
    assert close["rows"][0]["open_interest"] == 7
    slot = caller.json(f"{path}?slot=10:00")["rows"]
    assert {row["iv"] for row in slot} == {None}  # JSON has no NaN
    assert "late wide" in caller.get(f"{path}?format=csv").text
    arrow = caller.get(f"{path.replace('%20', '.')}?format=arrow").content
    assert pa.ipc.open_stream(arrow).read_all().num_rows == len(close["rows"])


def test_before_the_first_build_the_answer_says_so(open_console: Open, prepared_dsn: str) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    for path in (f"klines/{CODE}", "main-contracts/SHFE.au", "option-chain/AAPL/2026-11-24"):
        answer: Any = caller.get(f"/api/{path}")
        assert (answer.status_code, answer.json()["hint"]) == (422, "Run `quotemill build`.")
    nowhere = open_console().get(f"/api/klines/{CODE}")
    assert (nowhere.status_code, nowhere.json()["exit_code"]) == (409, 3)
