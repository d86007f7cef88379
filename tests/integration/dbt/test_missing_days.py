"""A gap that most codes of an exchange have is one of the download, not a suspension."""

from datetime import date, timedelta

import psycopg

from tests.dbt_parse import Dbt
from tests.integration.dbt import raw

MODELS = ("+qa_missing_days", "+suspensions")
FIRST = date(2024, 6, 3)


def test_days_that_most_codes_lack_are_an_error_that_names_the_span(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    days = [FIRST + timedelta(n) for n in range(5)]
    codes = [f"{exchange}{n:06d}" for exchange in ("sh", "sz") for n in range(1, 25)]
    raw.land(conn, "trading_day", [{"trade_date": day, "source": "client"} for day in days])
    raw.land(conn, "security", [raw.security(code) for code in codes])
    bar = dict.fromkeys(("open", "high", "low", "close", "volume", "amount"), 10_000)
    ends = (days[0], days[4])
    raw.land(conn, "kline_daily", [{"code": c, "trade_date": d} | bar for c in codes for d in ends])
    gap = {"last_bar_date": days[0], "trade_date": days[4]}
    lacking = [code for code in codes if code[:2] == "sh" or int(code[2:]) < 20]
    raw.land(conn, "answer_gap", [{"code": code} | gap for code in lacking])

    built = dbt("build", "--select", *MODELS)

    assert built.success, built.statuses
    assert conn.execute(
        "select severity, subject, trade_date, evidence from qa.qa_missing_days"
    ).fetchall() == [
        (
            "error",
            "sh",
            days[1],
            "3 trading days from 2024-06-04 to 2024-06-06: 24 of 24 codes have no bar though they "
            "have earlier and later ones, so the days were not downloaded",
        )
    ]
    suspended = conn.execute("select left(code, 2), count(*) from market.suspensions group by 1")
    assert suspended.fetchall() == [("sz", 19)]
