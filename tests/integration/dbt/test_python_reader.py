"""`import quotemill`: its rows equal the tables, in each form, and stream in little memory."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import psycopg
import pyarrow as pa
import pytest

import quotemill
from quotemill.warehouse.postgres import Warehouse
from tests.conftest import ROOT
from tests.integration.dbt.price_market import CODE, DAYS, PRICE_MARKET, WITH_OPTIONS
from tests.integration.dbt.raw_futures import VARIETY
from tests.requirements import require

pytestmark = PRICE_MARKET

STREAM = """
import json, re, sys
import quotemill
rows = 0
with quotemill.open(url=sys.argv[1], home=sys.argv[2]) as market:
    query = "select 'sh600000' as code, n, (n * 0.01)::numeric(18, 3) as close from {}(1, %s) as n"
    for batch in market.sql(query.format("generate_series"), [int(sys.argv[3])], batches=True):
        rows += batch.num_rows
heavy = [name for name in ("dlt", "dbt", "tqsdk", "ib_insync", "pandas") if name in sys.modules]
# getrusage would count the process that this one was forked from
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps({"rows": rows, "peak_mb": peak, "heavy": heavy}))
"""


def test_bars_equal_the_tables_whatever_form_a_code_has(
    market: quotemill.Reader, conn: psycopg.Connection
) -> None:
    for adjust, table in ((None, ""), ("qfq", "_qfq"), ("hfq", "_hfq")):
        expected = conn.execute(
            "select code, trade_date, open, high, low, close, volume_shares, amount_cny, is_final "
            f"from market.kline_daily{table} where code = %s order by trade_date",
            (CODE,),
        ).fetchall()
        assert len(expected) == len(DAYS)
        for code in ("600000", "600000.SH", "sh600000", "SHSE.600000"):
            bars = market.klines(code, adjust=adjust).to_arrow()
            assert [tuple(row.values()) for row in bars.to_pylist()] == expected
        assert bars.schema.field("close").type == pa.decimal128(18, 3)
    days = market.klines([CODE, "sh600000"], DAYS[2], str(DAYS[4]), columns=["trade_date", "close"])
    assert days.to_arrow().to_pylist() == [
        {"trade_date": day, "close": Decimal(f"10.0{n}0")} for n, day in enumerate(DAYS[2:5], 2)
    ]
    floats = market.klines(CODE, float=True).to_arrow()
    assert floats.schema.field("close").type == pa.float64()
    assert floats["close"].to_pylist()[:2] == [10.0, 10.01]
    minutes = market.klines(CODE, DAYS[3], DAYS[3], freq="5m", adjust="qfq").to_arrow()
    assert minutes.num_rows == 48
    assert minutes["bar_end"][0].as_py().isoformat() == f"{DAYS[3]}T01:35:00+00:00"
    weeks = market.klines(CODE, freq="1w", adjust="qfq").to_arrow()
    assert weeks["trade_date"].to_pylist() == [DAYS[4], DAYS[9], DAYS[11]]


def test_bars_as_of_a_day_know_no_later_event(market: quotemill.Reader) -> None:
    for freq in ("1d", "1w", "5m"):
        newest = market.klines(CODE, freq=freq, adjust="qfq").to_arrow()
        assert market.klines(CODE, freq=freq, adjust="qfq", as_of=DAYS[-1]).to_arrow() == newest
    assert market.klines(adjust="qfq", as_of=DAYS[-1]).to_arrow().num_rows == len(DAYS)
    before = market.klines(CODE, adjust="qfq", as_of=DAYS[5]).to_arrow()
    assert before["close"].to_pylist() == [Decimal(f"10.0{n}0") for n in range(6)]
    assert before.schema.field("close").type == pa.decimal128(18, 3)
    assert market.klines(CODE, adjust="hfq", as_of=DAYS[5]).to_arrow().num_rows == 6


def test_a_whole_market_comes_in_batches(market: quotemill.Reader) -> None:
    reader = market.klines(adjust="qfq", batches=True)
    assert reader.schema.names[:2] == ["code", "trade_date"]
    assert sum(batch.num_rows for batch in reader) == len(DAYS)
    # one that is left early costs the next reading nothing
    left = market.sql("select generate_series(1, 1000000) as n", batches=True)
    assert next(iter(left)).num_rows > 0
    del left
    assert market.sql("select 1 as one").to_arrow().to_pylist() == [{"one": 1}]


@pytest.mark.long
def test_a_stream_takes_the_same_memory_however_long_it_is(
    market: quotemill.Reader, tmp_path: Path, warehouse: Warehouse
) -> None:
    peaks = {}
    for rows in (1_000_000, 3_000_000):  # the first hundreds of thousands warm allocators up
        done = subprocess.run(
            [sys.executable, "-c", STREAM, warehouse.url, str(tmp_path), str(rows)],
            capture_output=True,
            text=True,
            env=os.environ,
        )
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert (answer["rows"], answer["heavy"]) == (rows, [])
        peaks[rows] = answer["peak_mb"]
    # 2 million further rows are 64 MB in Arrow
    assert peaks[3_000_000] - peaks[1_000_000] < 30, peaks


def test_every_type_of_a_query_is_exact(market: quotemill.Reader) -> None:
    rows = market.sql(
        "select 1.50::numeric(18, 3) as price, ''::text as empty, E'a\\n\"b\",c' as text, "
        "null::text as nothing, true as yes, date '2024-06-03' as day, "
        "timestamptz '2024-06-03 09:31:00.000001+08' as at, '{a,\"b c\"}'::text[] as flags, "
        "2::numeric as free, %(n)s as n",
        {"n": 7},
    ).to_arrow()
    [row] = rows.to_pylist()
    assert row["price"] == Decimal("1.500")
    assert (row["empty"], row["text"], row["nothing"]) == ("", 'a\n"b",c', None)
    assert (row["yes"], row["day"], row["n"]) == (True, date(2024, 6, 3), 7)
    assert row["at"].isoformat() == "2024-06-03T01:31:00.000001+00:00"
    assert (row["flags"], row["free"]) == (["a", "b c"], "2")
    assert market.sql("select 2::numeric as free", float=True).to_arrow()["free"][0].as_py() == 2.0
    assert market.sql("select null::text as x from generate_series(1, 3)").to_arrow().num_rows == 3


@WITH_OPTIONS
def test_other_tables_come_by_their_methods(
    market: quotemill.Reader, conn: psycopg.Connection
) -> None:
    assert market.symbols().to_arrow()["code"].to_pylist() == [CODE, "sh600004"]
    assert market.calendar(DAYS[1], DAYS[2]).to_arrow()["trade_date"].to_pylist() == DAYS[1:3]
    [event] = market.corporate_actions("600000").to_arrow().to_pylist()
    assert (event["ex_date"], event["cash_per10_yuan"]) == (DAYS[6], Decimal("1.5"))
    assert len(market.daily_basic(CODE, columns=["code", "previous_close"])) == len(
        conn.execute("select from market.daily_basic").fetchall()
    )
    assert len(market.ticks(CODE)) == 0
    assert len(market.main_contracts(VARIETY)) == len(DAYS)
    names = ["close", "trading_day"]
    assert market.main_contracts(VARIETY, columns=names).schema.names == names
    strikes = market.option_chain("AAPL", "2026-11-24", columns="strike", exact=True)
    assert strikes.schema.names == ["strike"]
    assert isinstance(strikes.to_pandas()["strike"][0], Decimal)
    chain = market.option_chain("AAPL", "2026-11-24").to_arrow()
    assert chain.select(["symbol", "trade_date"]).slice(0, 1).to_pylist() == [
        {"symbol": "AAPL", "trade_date": date(2026, 11, 24)}
    ]
    assert chain.num_rows > 0
    assert chain.schema.field("data_quality_flag").type == pa.list_(pa.string())
    changes = market.changes().to_arrow()
    newest = max(changes["change_no"].to_pylist())
    assert "market.kline_daily_qfq" in set(changes["table_name"].to_pylist())
    assert len(market.changes(newest)) == 0


def test_frames_of_other_libraries_have_the_same_figures(market: quotemill.Reader) -> None:
    rows = market.klines(CODE, adjust="qfq", float=True)
    closes = rows.to_arrow()["close"].to_pylist()
    frame = rows.to_pandas()
    assert (list(frame["close"]), str(frame["close"].dtype)) == (closes, "float64")
    relation = rows.to_duckdb("bars")
    assert relation.aggregate("sum(close)").fetchall() == [(pytest.approx(sum(closes)),)]
    exact = market.klines(CODE, adjust="qfq").to_duckdb("exact")
    assert exact.order("trade_date").limit(1).fetchall()[0][5] == Decimal("9.850")
    require("polars", importlib.util.find_spec("polars") is not None, "polars is not installed")
    assert market.klines(CODE, adjust="qfq").to_polars()["close"].to_list()[0] == Decimal("9.850")


def test_a_frame_of_pandas_works_as_those_of_other_libraries(market: quotemill.Reader) -> None:
    bars = market.klines(CODE, adjust="qfq").to_pandas()
    kinds = [str(bars[name].dtype) for name in ("trade_date", "close", "volume_shares")]
    assert kinds == ["datetime64[us]", "float64", "int64"]
    doubles = market.klines(CODE, adjust="qfq", exact=False).to_arrow()["close"].to_pylist()
    assert list(bars["close"]) == doubles  # the nearest ones, to the last bit
    days = bars.set_index("trade_date")
    assert list(days["close"].resample("W").last()) == [doubles[4], doubles[9], doubles[11]]
    assert len(days.loc["2024-06"]) == len(DAYS)
    assert list(bars.describe()["close"][["count", "max"]]) == [len(DAYS), max(doubles)]
    other = market.daily_basic(CODE, columns=["code", "trade_date", "previous_close"]).to_pandas()
    assert len(bars.merge(other, on=["code", "trade_date"])) == len(other)
    indexed = market.klines(adjust="qfq").to_pandas(index=True)
    assert indexed.index.names == ["code", "trade_date"]
    assert indexed.loc[CODE].loc["2024-06-03":"2024-06-05"]["close"].tolist() == doubles[:3]
    minutes = market.klines(CODE, freq="5m").to_pandas(index=True)
    assert minutes.index.names == ["code", "bar_end"]
    average = market.sql(
        "select avg(close) as mean, date '9999-12-31' as day from market.kline_daily"
    )
    [(mean, forever)] = average.to_pandas().itertuples(index=False)
    assert (mean, forever.year) == (pytest.approx(10.055), 9999)
    with pytest.raises(quotemill.Error, match="no code or time"):
        average.to_pandas(index=True)


def test_decimals_stay_exact_where_they_are_asked_for(
    market: quotemill.Reader, tmp_path: Path, warehouse: Warehouse
) -> None:
    first = Decimal("9.850")
    assert market.klines(CODE, adjust="qfq", exact=True).to_pandas()["close"][0] == first
    for exact, in_arrow, in_pandas in (
        (None, Decimal, float),
        (True, Decimal, Decimal),
        (False, float, float),
    ):
        with quotemill.open(url=warehouse.url, home=tmp_path, exact=exact) as opened:
            rows = opened.klines(CODE, adjust="qfq")
            assert isinstance(rows.to_arrow()["close"][0].as_py(), in_arrow)
            assert isinstance(rows.to_pandas()["close"][0], in_pandas)
            batches = opened.klines(CODE, adjust="qfq", batches=True)
            assert isinstance(batches.read_all()["close"][0].as_py(), in_arrow)
            again = opened.klines(CODE, adjust="qfq", exact=True).to_pandas()["close"][0]
            assert isinstance(again, Decimal)
    roll = market.main_contracts(VARIETY, exact=True).to_pandas()
    assert isinstance(roll["close"][0], Decimal)
    assert isinstance(market.main_contracts(VARIETY).to_pandas()["close"][0], float)
    with pytest.raises(quotemill.Error, match="exact=True and float=True"):
        market.klines(CODE, exact=True, float=True)


def test_times_bound_minutes_and_a_day_is_a_whole_day(market: quotemill.Reader) -> None:
    day = DAYS[3]

    def count(start: Any = None, end: Any = None, freq: Any = "1m") -> int:
        return len(market.klines(CODE, start, end, freq=freq))

    shanghai = timezone(timedelta(hours=8))
    for ten in (
        f"{day} 10:00",
        f"{day}T02:00:00Z",
        datetime.combine(day, time(10)),
        datetime.combine(day, time(10), shanghai),
        np.datetime64(f"{day}T10:00", "ns"),
        pandas.Timestamp(f"{day} 10:00"),
        pandas.Timestamp(f"{day} 02:00", tz="UTC"),
    ):
        # minutes are named by their ends, 09:31 to 11:30 and 13:01 to 15:00
        assert (count(ten), count(end=ten), count(ten, ten)) == (211, 30, 1)
        assert count(ten, day, "5m") == 43
        assert len(market.ticks(CODE, ten)) == 0
        with pytest.raises(quotemill.Error, match="bars of 1d only has days, so start") as no:
            market.klines(CODE, ten)
        assert f'start="{day}"' in no.value.__notes__[0]
        with pytest.raises(quotemill.Error, match=r"market\.daily_basic only has days, so end"):
            market.daily_basic(CODE, end=ten)
        with pytest.raises(quotemill.Error, match=r"not a day.*:"):
            market.klines(CODE, adjust="qfq", as_of=ten)
    for whole in (day, str(day), np.datetime64(day), pandas.Timestamp(day), f"{day:%Y%m%d}"):
        assert (count(whole, whole), count(whole, whole, "1d")) == (240, 1)
    assert count(f"{day} 00:00", f"{day} 09:35") == 5
    assert count(end=f"{day} 00:00") == 0
    for wrong in (pandas.NaT, 3.5, "yesterday", np.datetime64("NaT")):
        with pytest.raises(quotemill.Error, match="not a day or a time"):
            count(wrong)
    with pytest.raises(quotemill.Error, match="is before start"):
        count(f"{day} 10:00", f"{day} 09:59")


def test_a_column_may_be_one_word(market: quotemill.Reader) -> None:
    assert market.klines(CODE, columns="close").schema.names == ["close"]
    assert market.daily_basic(CODE, columns="close").schema.names == ["close"]


def read_python_blocks(page: str) -> list[str]:
    text = (ROOT / page).read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@WITH_OPTIONS
def test_the_readme_and_the_page_answer_their_questions_as_written(
    market: quotemill.Reader,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    warehouse: Warehouse,
) -> None:
    monkeypatch.setenv("QUOTEMILL_WAREHOUSE_URL", warehouse.url)
    readme: dict[str, Any] = {}
    for block in read_python_blocks("README.md"):
        exec(block, readme)
    assert f"{DAYS[0]}   9.85" in capsys.readouterr().out.replace("  ", " ").replace("  ", "   ")
    require("polars", importlib.util.find_spec("polars") is not None, "polars is not installed")
    cell, *_ = read_python_blocks("docs/how-to/integrations.md")
    *statements, shown = ast.parse(cell).body  # a notebook shows its last expression
    assert isinstance(shown, ast.Expr)
    exec(compile(ast.Module(statements, []), "cell", "exec"), names := {})
    assert len(eval(compile(ast.Expression(shown.value), "cell", "eval"), names)) == 5
    answers: dict[str, Any] = {}
    seen = []
    for block in read_python_blocks("docs/how-to/python.md"):
        exec(block, answers)
        if "relation" in answers:
            seen.append([len(answers[name]) for name in ("frame", "polars_frame", "relation")])
    # days, days up to one, a quarter, codes of a day, days of the market, dividends, still those
    assert seen == [[rows] * 3 for rows in (len(DAYS), 6, 1, 1, len(DAYS), 1, 1)]
    assert (
        answers["turnover"]
        == answers["market"]
        .sql("select sum(amount_cny) as sum from market.kline_daily", float=True)
        .to_arrow()["sum"][0]
        .as_py()
    )


@WITH_OPTIONS
@pytest.mark.parametrize(
    ("call", "says", "hint"),
    [
        (lambda m: m.klines("sh600001"), "there is no sh600001", "sh600004"),
        (lambda m: m.klines("nonsense"), "not a code", ""),
        (lambda m: m.klines("000001"), "ambiguous", "sz000001"),
        (lambda m: m.klines([]), "codes is empty", "None"),
        (lambda m: m.klines(CODE, "2024-13-01"), "2024-13-01", ""),
        (lambda m: m.klines(CODE, "2024-06-05", "2024-06-03"), "is before start", ""),
        (lambda m: m.klines(CODE, freq="2d"), "freq 2d is unknown", "1d, 1w"),
        (lambda m: m.klines(CODE, columns=["price"]), "column price is unknown", "close"),
        (
            lambda m: m.daily_basic(CODE, columns=["price"]),
            "column price is unknown",
            "code, ",
        ),
        (lambda m: m.sql("select * from market.nothing"), "does not exist", "quotemill build"),
        (lambda m: m.sql("select 1 / 0"), "division by zero", ""),
        (lambda m: m.sql("delete from market.symbol_dim returning 1"), "syntax error", ""),
        (lambda m: m.sql("select"), "no columns", "select 1"),
        (lambda m: m.changes(None), "since .* None", "changes"),
        (lambda m: m.option_chain("AAPL", "2026-11-24", columns="x"), "column x", "strike"),
        (lambda m: m.main_contracts(VARIETY, DAYS[1], DAYS[0]), "is before start", ""),
        (lambda m: m.futures_ticks(VARIETY, DAYS[1], DAYS[0]), "is before start", ""),
        (lambda m: m.option_chain("aapl", "2026-11-01"), "aapl on 2026-11-01", "2026-11-24"),
        (lambda m: m.main_contracts(VARIETY, columns=["x"]), "column x is unknown", "trading_day"),
        (lambda m: m.sql("select %s, %s", [1]), "2 placeholders but 1 parameters", ""),
        (lambda m: m.sql("select %(n)s", {}), "parameter missing: n", ""),
        (lambda m: m.sql("select %s", 5), "params .* 5", "[5]"),
        (lambda m: m.sql("show timezone"), "syntax error", "not show or explain"),
        (lambda m: m.sql("select 'NaN'::numeric(5, 2) as x"), "column x .* NaN", '"x"::text'),
        (lambda m: m.sql("select 1, 'infinity'::date as d"), "column d .* infinity", "text"),
        (lambda m: m.klines(CODE, exact="yes"), "exact 'yes' is unknown", "None, True or False"),
        (lambda m: m.klines(CODE).to_pandas(index="code"), r"to_pandas\(\)\.set_index", ""),
        (lambda m: m.table(None), "table .* None", "stock_limits"),
        (lambda m: m.futures_ticks(["DCE.m"]), "variety .* not .'DCE.m'", "SHFE.cu"),
        (lambda m: m.futures_ticks("SHFE.cu"), "no ticks for SHFE.cu", "quotemill run tq"),
        (lambda m: m.option_chain("NOPE", "2026-11-24"), "NOPE on 2026-11-24", "AAPL"),
    ],
)
def test_an_error_says_what_to_do(
    market: quotemill.Reader, call: object, says: str, hint: str
) -> None:
    assert callable(call)
    with pytest.raises(quotemill.Error, match=says) as caught:
        call(market)
    assert hint in "".join(getattr(caught.value, "__notes__", []))
    assert "cannot be reached" not in str(caught.value)
    # and the reader reads on
    assert len(market.klines(CODE)) == len(DAYS)


def test_before_the_first_build_or_load_the_error_names_the_command(
    prepared_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        quotemill.open(url=prepared_dsn, home=tmp_path) as market,
        pytest.raises(quotemill.Error, match="not built yet") as caught,
    ):
        market.klines("sh600000")
    assert "`quotemill build`" in caught.value.__notes__[0]
    with pytest.raises(quotemill.Error, match="the reader is closed"):
        market.calendar()
    with pytest.raises(quotemill.Error, match="no warehouse yet") as missing:
        quotemill.open(home=tmp_path / "nowhere")
    assert "quotemill run" in missing.value.__notes__[0]
    with pytest.raises(quotemill.Error, match="cannot be reached"):
        quotemill.open(url="postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(quotemill.Error, match=r"url .*PostgreSQL") as folder:
        quotemill.open(str(tmp_path))
    assert "open(home=…)" in folder.value.__notes__[0]
