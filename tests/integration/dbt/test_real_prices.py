"""The prices that two real stocks must have, to the cent (reference data collected elsewhere)."""

import csv
from decimal import Decimal
from pathlib import Path

import psycopg

from tests.integration.dbt.real_market import REAL_MARKET
from tests.real_bars import read_untraded_days

pytestmark = REAL_MARKET


def test_real_stocks_get_the_expected_prices(conn: psycopg.Connection, real_tdx_data: Path) -> None:
    for code in ("SH600000", "SZ000002"):
        with (real_tdx_data / f"expected_qfq_{code}.csv").open(newline="") as file:
            expected = {row["date"]: row for row in csv.DictReader(file)}
        rows = conn.execute(
            "select q.trade_date::text, q.open, q.high, q.low, q.close, h.close, "
            "round(k.close * h.ratio_factor, 2), s.forward_a, s.forward_b, s.ratio_factor "
            "from market.kline_daily_qfq as q "
            "join market.kline_daily_hfq as h using (code, trade_date) "
            "join market.kline_daily as k using (code, trade_date) "
            "join market.adjustment_segments as s on s.code = q.code "
            "and q.trade_date >= s.valid_from and q.trade_date < s.valid_to "
            "where q.code = %s",
            (code.lower(),),
        ).fetchall()
        assert {row[0] for row in rows} == expected.keys() - read_untraded_days(real_tdx_data, code)
        names = ("qfq_open", "qfq_high", "qfq_low", "qfq_close", "hfq_close", "ratio_qfq_close")
        for day, *got in rows:
            want = expected[day]
            assert got[:6] == [Decimal(want[name]) for name in names], (code, day)
            # the file's coefficients are rounded to 12 places
            for value, name in zip(got[6:], ("A", "B", "ratio_k"), strict=True):
                assert abs(value - Decimal(want[name])) <= Decimal("5.1e-13"), (code, day, name)


def test_real_bars_have_only_the_known_gaps_in_actions(conn: psycopg.Connection) -> None:
    jumps = conn.execute(
        "select subject, trade_date::text from qa.findings where check_name = 'price_jump' "
        "order by trade_date"
    ).fetchall()
    # nobody traded from 1991-05-28 to 1991-06-07, and what follows a suspension may move freely
    days = ["1991-06-12", "1991-07-19", "1992-12-03", "1993-01-11", "1993-04-05"]
    assert jumps == [("sz000002", day) for day in [*days, "1995-05-18"]]
    changed = conn.execute(
        "select count(*) from market.kline_daily as k join raw_tdx.kline_daily as r "
        "using (code, trade_date) where k.volume_shares is distinct from 100 * r.volume"
    ).fetchone()
    assert changed == (0,)
