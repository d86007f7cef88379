"""The price that the demo asks to check: its figures differ, so that a mistake would show."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from loaders.cli import shell
from loaders.settings import Settings
from loaders.warehouse.sql_files import read_sql
from orchestration import demo

TABLES = """
create schema market;
create table market.corporate_actions (
    code text, ex_date date, seq int, category int, is_active boolean, cash_per10_yuan numeric,
    bonus_total_per10 numeric, rights_per10 numeric, rights_price_yuan numeric
);
create table market.kline_daily (code text, trade_date date, close numeric);
create table market.kline_daily_qfq (like market.kline_daily);
insert into market.corporate_actions values ('sz1', '2026-08-05', 1, 1, true, 7.03, 4, 2, 24.61);
insert into market.kline_daily values ('sz1', '2026-08-03', 36), ('sz1', '2026-08-04', 35.16);
insert into market.kline_daily_qfq values ('sz1', '2026-08-03', 25.14), ('sz1', '2026-08-04', 24.61)
"""


def test_a_day_whose_figures_differ_is_preferred_to_the_newest(
    new_database: Callable[..., str],
) -> None:
    with psycopg.connect(new_database()) as conn:
        conn.execute(TABLES)
        example = conn.execute(read_sql("orchestration", "demo_example").encode()).fetchone()
    assert example is not None
    figures = [figure for figure in example if not isinstance(figure, str)]
    assert len(set(figures)) == len(figures)
    assert str(example[1]) == "2026-08-03"


def test_what_a_demo_says_of_its_data_fits_into_80_columns(
    new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(url := new_database()) as conn:
        conn.execute(TABLES)
    monkeypatch.chdir(tmp_path)
    lines = [
        printed
        for line in demo.describe_data(Settings(home=tmp_path, warehouse_url=url))
        for printed in shell.wrap_line(line, 80).splitlines()
    ]
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 80
    assert [line.split()[-1] for line in lines if "quotemill " in line] == ["console", "psql"]
