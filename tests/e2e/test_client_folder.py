"""A real client's folder without a service: adjusted prices, capital and sectors."""

from collections.abc import Iterator
from datetime import date
from itertools import groupby
from pathlib import Path

import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest

from loaders.settings import load_settings
from tests.client_folder import RECORD
from tests.constant_columns import check_constant_columns
from tests.dbt_parse import Parsed
from tests.e2e.commands import Place
from tests.homes import new_home
from tests.integration.dbt.raw import bar, land, trading_day

PRICES = ("open", "high", "low", "close")
NO_TESTS = ("resource_type:unit_test", "resource_type:test")
MODELS = ("+kline_daily_qfq", "+kline_daily", "+corporate_actions", "+index_kline_daily")
Cents = dict[tuple[str, date], tuple[int, ...]]


@pytest.fixture(scope="module")
def place(
    real_client: Path, tmp_path_factory: pytest.TempPathFactory, parsed: Parsed
) -> Iterator[Place]:
    """After `quotemill run`, with nothing configured but the folder."""
    with new_home() as home:
        made = Place(
            tmp_path_factory.mktemp("client"), home, {"QUOTEMILL_TDX__CLIENT": str(real_client)}
        )
        parsed.give(load_settings(made.environment(), made.folder))
        done = made.forked("quotemill", "run")
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(scope="module")
def market(place: Place) -> Iterator[psycopg.Connection]:
    """Its warehouse."""
    address = place.forked("quotemill", "warehouse", "url").stdout.strip()
    with psycopg.connect(address) as conn:
        yield conn


@pytest.fixture(scope="module")
def expected_cents(real_client: Path) -> Cents:
    """The prices of 130 stocks as of 2017-04-18."""
    expected = pq.read_table(real_client / "expected_qfq_cents.parquet").to_pylist()
    return {
        (row["code"].lower(), row["trade_date"]): tuple(row[name] for name in PRICES)
        for row in expected
    }


def stored_cents(conn: psycopg.Connection, relation: str, expected: Cents) -> Cents:
    rows = conn.execute(
        "select code, trade_date, 100 * open, 100 * high, 100 * low, 100 * close "
        f"from market.{relation} where code = any(%s)",
        (sorted({code for code, _ in expected}),),
    )
    return {(code, day): tuple(prices) for code, day, *prices in rows}


def test_every_adjusted_price_is_the_expected_one(
    market: psycopg.Connection, expected_cents: Cents
) -> None:
    assert len(expected_cents) == 170_452
    assert stored_cents(market, "kline_daily_qfq", expected_cents) == expected_cents


def test_funds_do_not_jump_at_splits_but_on_two_days_with_findings(
    market: psycopg.Connection,
) -> None:
    """Both moves are real, see docs/adjustment.md: over two trading days, one of them suspended.

    One fund fell from a price a fifth above its net value, at the lower limit.
    """
    moves = market.execute(
        "with bars as (select code, trade_date, close, "
        "lag(close) over (partition by code order by trade_date) as last "
        "from market.kline_daily_qfq) "
        "select b.code, b.trade_date::text, round(100 * (b.close / b.last - 1), 1) "
        "from bars as b join market.corporate_actions as a "
        "on a.code = b.code and a.ex_date = b.trade_date and a.category = 11 "
        "where b.last is not null order by 1, 2"
    ).fetchall()
    assert len(moves) == 17
    beyond = [(code, day, float(by)) for code, day, by in moves if abs(by) > 10.5]
    assert beyond == [("sh502005", "2016-02-02", -13.3), ("sh502006", "2015-08-28", 11.7)]
    findings = market.execute(
        "select subject, trade_date::text from qa.findings where check_name = 'price_jump'"
    ).fetchall()
    assert {(code, day) for code, day, _ in beyond} <= set(findings)


def test_turnover_fits_the_volume_of_every_day(market: psycopg.Connection) -> None:
    """On nine days of two funds a file marks hands, as 32 bits cannot count their shares."""
    findings = "select count(*) from qa.findings where check_name = 'volume_mismatch'"
    assert market.execute(findings).fetchone() == (0,)
    largest = market.execute(
        "select code, trade_date::text, volume_shares from market.kline_daily "
        "where volume_shares > 2 ^ 32 and code like 'sh51%' order by 3 desc limit 1"
    ).fetchone()
    assert largest == ("sh510050", "2015-07-06", 9_146_831_430)


def test_no_number_stands_for_what_the_folder_lacks(market: psycopg.Connection) -> None:
    check_constant_columns(market, "client")


def test_index_weeks_and_months_are_those_of_its_days(market: psycopg.Connection) -> None:
    columns = "code, trade_date, open, high, low, close, volume_shares, amount_cny"
    query = f"select {columns} from market.index_kline_{{}} order by 1, 2"
    days = market.execute(query.format("daily").encode()).fetchall()
    parts = {"weekly": date.isocalendar, "monthly": lambda day: (day.year, day.month)}
    counts = []
    for name, part in parts.items():
        wanted = []
        for _, group in groupby(days, key=lambda row: (row[0], tuple(part(row[1]))[:2])):
            code, day, opened, high, low, close, volume, amount = zip(*group, strict=True)
            prices = (opened[0], max(high), min(low), close[-1])
            wanted.append((code[0], day[-1], *prices, sum(volume), sum(amount)))
        assert market.execute(query.format(name).encode()).fetchall() == wanted
        counts.append(len(wanted))
    assert (len(days), *counts) == (5_208, 1_102, 259)


def test_no_figure_in_yuan_is_of_a_b_share(market: psycopg.Connection) -> None:
    """Its turnover is shares times price, so in dollars like the price."""
    assert market.execute(
        "select code, currency, count(amount_cny), count(float_market_value_cny), count(amount), "
        "round(avg(amount / nullif(volume_shares * close, 0)), 3)::text "
        "from market.daily_basic where currency <> 'CNY' group by 1, 2"
    ).fetchall() == [("sh900901", "USD", 0, 0, 1_627, "1.000")]
    [(other,)] = market.execute(
        "select count(*) from market.daily_basic where currency = 'CNY' "
        "and (amount_cny, float_market_value_cny, total_market_value_cny) "
        "is distinct from (amount, float_market_value, total_market_value)"
    )
    assert other == 0


def test_capital_of_a_day_is_that_of_the_day(market: psycopg.Connection) -> None:
    rows = market.execute(
        "select count(*), count(float_shares), min(turnover_rate_percent), "
        "max(turnover_rate_percent) from market.daily_basic as d "
        "join market.symbol_dim as s using (code) where s.instrument_type = 'stock'"
    ).fetchone()
    assert rows is not None
    count, known, least, most = rows
    assert known > 0.99 * count
    assert least > 0
    assert most < 100


def test_members_of_past_days_are_not_those_of_today(market: psycopg.Connection) -> None:
    [(sectors, members, past)] = market.execute(
        "select count(distinct sector_id), count(*), "
        "count(*) filter (where valid_from < date '2017-04-18') from market.sector_members"
    )
    assert sectors > 300
    assert members > 5_000
    assert past == 0


def test_prices_as_of_a_day_stay_when_years_of_events_follow(
    place: Place, market: psycopg.Connection, expected_cents: Cents, real_tdx_data: Path
) -> None:
    """Later bars of one stock move T to 2025: the folder's events of all stocks to 2020 count."""
    records = np.fromfile(real_tdx_data / "vipdoc/sh/lday/sh600000.day", RECORD)
    later = records[records["day"] > 20170418]
    days = [date.fromisoformat(str(day)) for day in later["day"]]
    prices = [{name: int(record[name]) * 10 for name in PRICES} for record in later]
    bars = [bar("sh600000", day, "1") | own for day, own in zip(days, prices, strict=True)]
    market.rollback()
    land(market, "trading_day", [trading_day(day) for day in days])
    land(market, "kline_daily", bars)
    market.commit()
    done = place.forked("quotemill", "dbt", "build", "-s", *MODELS, "--exclude", *NO_TESTS)
    assert done.returncode == 0, done.stderr

    as_of = stored_cents(market, "kline_daily_qfq_as_of('2017-04-18')", expected_cents)
    assert as_of == expected_cents
    newest = stored_cents(market, "kline_daily_qfq", expected_cents)
    changed = {key[0] for key, prices in expected_cents.items() if newest[key] != prices}
    assert len(changed) > 100
