"""A small market of bars, a dividend and a roll of futures, from which prices are read."""

from datetime import date

import psycopg
import pytest

from tests.dbt_parse import Dbt, Parsed
from tests.integration.dbt.option_days import build_days
from tests.integration.dbt.raw import (
    action,
    bar,
    land,
    minute,
    security,
    session_minutes,
    trading_day,
    weekdays,
)
from tests.integration.dbt.raw_futures import day_bar, land_schedule
from tests.integration.dbt.raw_futures import land_days as land_futures_days

DAYS = weekdays(date(2024, 6, 3), 12)
CODE = "sh600000"


def fill_market(conn: psycopg.Connection, dbt: Dbt) -> None:
    """Two codes with days, minutes of one and a dividend, and a roll of futures, built."""
    land(conn, "security", [security(CODE), security("sh600004")])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    prices = [f"{10 + n / 100:.2f}" for n in range(len(DAYS))]
    land(conn, "kline_daily", [bar(CODE, d, p) for d, p in zip(DAYS, prices, strict=True)])
    land(conn, "kline_minute", [minute(CODE, at, "10.5") for at in session_minutes(DAYS[3])])
    land(conn, "corporate_action", [action(CODE, DAYS[6], cash_per10_yuan="1.5")])
    land(conn, "index_kline", [])
    land_futures_days(conn, DAYS)
    land_schedule(
        conn, {day: "SHFE.au2408" if n < 7 else "SHFE.au2410" for n, day in enumerate(DAYS)}
    )
    for contract in ("SHFE.au2408", "SHFE.au2410"):
        bars = [
            day_bar(contract, day, None, 1) | dict.fromkeys(("open", "high", "low", "close"), 500)
            for day in DAYS
        ]
        land(conn, "raw_tq.contract_daily", bars)
    stocks = ("+symbol_dim", "+kline_daily_hfq", "+kline_weekly_qfq", "+kline_5m_qfq")
    dbt("run", "-s", *stocks, "main_schedule", "main_segments", "main_daily")


PRICE_MARKET = pytest.mark.warehouse.with_args(Parsed.build_models, fill_market)
WITH_OPTIONS = pytest.mark.warehouse.with_args(Parsed.build_models, fill_market, build_days)
