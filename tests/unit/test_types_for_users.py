"""Types of `import quotemill`, as a user's own checker sees them."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import quotemill
from tests.conftest import ROOT

SCRIPT = """
import datetime
from typing import assert_type, cast

import numpy as np

import quotemill

print(quotemill.__version__.upper())


def count(market: quotemill.Reader, freq: quotemill.Frequency, how: quotemill.Adjustment) -> int:
    return len(market.klines("600000", freq=freq, adjust=how).to_zone())


def read(market: quotemill.Reader, kind: quotemill.Kind, is_large: bool) -> None:
    futures: quotemill.FuturesFrequency = "5m"
    how: quotemill.FuturesAdjustment = "back_ratio"
    assert_type(market.futures_klines("SHFE.cu", freq=futures, adjust=how), quotemill.Rows)
    assert_type(market.symbols(kind=kind), quotemill.Rows)
    word = cast(quotemill.Frequency, input())
    rows = market.klines("600000", freq=word, batches=is_large)
    if isinstance(rows, quotemill.Rows):
        rows.head()
    else:
        rows.read_all()
    assert_type(market.limits("600000", batches=False), quotemill.Rows)


with quotemill.open(exact=True) as market:
    assert_type(market, quotemill.Reader)
    assert_type(market.klines("600000", "2024-06-03", freq="1w", adjust="qfq"), quotemill.Rows)
    assert_type(market.ticks(["600000"], columns="price", exact=False), quotemill.Rows)
    assert_type(market.daily_basic(), quotemill.Rows)
    assert_type(market.corporate_actions("600000", float=True), quotemill.Rows)
    assert_type(market.futures_ticks("SHFE.cu"), quotemill.Rows)
    assert_type(market.sql("select %s", ["1"]), quotemill.Rows)
    assert_type(market.symbols(), quotemill.Rows)
    assert_type(market.klines("600000", 20240603, freq="daily", adjust="pre"), quotemill.Rows)
    assert_type(market.klines(["600000"], count=5, freq="1min", adjust="none"), quotemill.Rows)
    assert_type(market.table("stock_limits", on="2024-06-03", count=1), quotemill.Rows)
    assert_type(market.limits("600000", on=datetime.date(2024, 6, 3)), quotemill.Rows)
    assert_type(market.sector_members("x", on=np.datetime64("2024-06-03")), quotemill.Rows)
    assert_type(market.symbols(kind="etf", exchange="sh", columns="code"), quotemill.Rows)
    assert_type(market.futures_klines("SHFE.cu", freq="5m", adjust="back_diff"), quotemill.Rows)
    assert_type(market.option_chains("AAPL"), quotemill.Rows)
    chain = market.option_chain("AAPL", "2026-11-24", columns="strike", exact=True)
    assert_type(chain, quotemill.Rows)
    assert_type(market.main_contracts("SHFE.cu", columns=["trading_day"]), quotemill.Rows)
    for row in market.calendar().head():
        print(row["trade_date"])
    for batch in market.klines(batches=True):
        print(batch.num_rows)
    for batch in market.sql("select 1", batches=True):
        print(batch.num_rows)
    market.ticks(batches=True).read_all()
    market.table("kline_daily", batches=True).read_all()
    market.futures_ticks("SHFE.cu", batches=True).read_all()
    market.klines("600000").to_pandas(index=True).describe()
    print(market.klines("600000").to_polars()["close"].mean())
"""
WRONG = """
import quotemill

market = quotemill.opened()
market = quotemill.open()
market.klines(600000)
market.klines("600000", adjust="pre-adjusted")
market.daily_basics()
word: str = "1d"
market.klines("600000", freq=word)
market.limits("600000", flt=True)
"""


def test_mypy_strict_knows_every_method_and_finds_mistakes(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(SCRIPT)
    (tmp_path / "wrong.py").write_text(WRONG)
    # a cache of its own: that of `make lint` is of other options
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "users")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *cache, "right.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    places = re.findall(r"^(\w+\.py:\d+): error: ", done.stdout, re.MULTILINE)
    expected = ["wrong.py:4", "wrong.py:6", "wrong.py:7", "wrong.py:8"]
    expected += ["wrong.py:10", "wrong.py:11"]
    assert places == expected, done.stdout + done.stderr


def test_the_package_names_its_version() -> None:
    assert quotemill.__version__ == version("quotemill")
