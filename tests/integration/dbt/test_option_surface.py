"""The volatility surface of a smile with a slope, by hand, and the view for backtests beside it."""

import math
from collections.abc import Iterator
from datetime import date, timedelta
from statistics import NormalDist

import psycopg
import pytest

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_options import Option, Session, failed, land_sessions

pytestmark = MODELS
DAY, SPOT, SLOT = Session(date(2026, 11, 25)), 5000.0, 13
# by expiry: ln(strike / forward) and the volatility there
SMILES = {
    date(2026, 12, 18): {-0.1: 0.34, -0.06: 0.28, -0.02: 0.24, 0.02: 0.22, 0.05: 0.2, 0.08: 0.19},
    date(2027, 1, 15): {-0.15: 0.32, -0.09: 0.28, -0.03: 0.25, 0.01: 0.24, 0.06: 0.22, 0.12: 0.21},
}
# Expiries after 23 and 51 days. At the money 0.24 and 0.22 are as far away on either side: 0.23;
# 0.25 and 0.24 are as 3 to 1: 0.2425. Puts of 0.24 and 0.28 have deltas of 0.358641 and 0.187059,
# so 0.25 is at 0.24 + 0.04 * (0.358641 - 0.25) / (0.358641 - 0.187059); the others likewise.
ATM = {"2026-12-18": 0.23, "2027-01-15": 0.2425}
WINGS = {"2026-12-18": (0.2653269, 0.2082868), "2027-01-15": (0.2681889, 0.2203886)}
# (23 * 0.23^2 + 7 / 28 * (51 * 0.2425^2 - 23 * 0.23^2)) / 30, and its root
AFTER_30_DAYS = 0.2353936


def priced(option: Option, iv: float, **changes: object) -> dict[str, object]:
    """A European option at this volatility, two cents wide."""
    years = (option.expiry - DAY.day).days / 365
    forward, width = SPOT * math.exp(Option.RATE * years), iv * math.sqrt(years)
    sign, cdf = (1 if option.right == "C" else -1), NormalDist().cdf
    d1 = math.log(forward / option.strike) / width + width / 2
    value = forward * cdf(sign * d1) - option.strike * cdf(sign * (d1 - width))
    price = round(sign * math.exp(-Option.RATE * years) * value, 4)
    return option.quote(DAY, SLOT, SPOT, bid=price - 0.01, ask=price + 0.01, **changes)


def chain() -> Iterator[tuple[Option, float]]:
    for n, (expiry, smile) in enumerate(SMILES.items()):
        forward = SPOT * math.exp(Option.RATE * (expiry - DAY.day).days / 365)
        for m, (away, iv) in enumerate(smile.items()):
            strike = round(forward * math.exp(away), 4)
            for right in "CP":
                yield Option(100 * n + 2 * m + (right == "P") + 1, "IDX", expiry, strike, right), iv


@pytest.fixture
def landed(conn: psycopg.Connection, dbt: Dbt) -> psycopg.Connection:
    """The last slot with both smiles, and calls at the money that stand for nothing."""
    terms = list(chain())
    wrong = [
        Option(900 + n, "IDX", date(2026, 12, 18), strike, "C")
        for n, strike in enumerate((5010.0, 5012.0, 5014.0))
    ]
    land_sessions(conn, [DAY])
    land(
        conn,
        "raw_ib.underlying",
        [{"symbol": "IDX", "conid": 1, "exchange": "X", "currency": "USD", "sec_type": "IND"}],
    )
    DAY.land_contracts(conn, [*(option for option, _ in terms), *wrong])
    at, much = DAY.at(SLOT), 0.6
    rows = [priced(option, iv) for option, iv in terms]
    rows += [
        priced(wrong[0], much, captured_at=at + timedelta(minutes=16), capture_lag_s=960),
        priced(wrong[1], much) | {"bid": 0},
        failed(priced(wrong[2], much)),
    ]
    land(conn, "raw_ib.chain_snapshot", rows)
    # the close view comes an hour later, with a far higher volatility
    hour = timedelta(hours=1)
    later = {"capture_lag_s": 3605, "slot_30m": None, "slot_label": None}
    closing = [
        priced(option, 0.5) | later | {"captured_at": at + hour + option.conid * timedelta(0, 1)}
        for option, _ in terms
    ]
    land(conn, "raw_ib.chain_close", closing)
    land(conn, "raw_ib.open_interest", [terms[0][0].open_interest(date(2026, 11, 24), 7)])
    dbt("run", "--select", "forwards", "int_option_smiles__interpolated")
    return conn


def test_a_smile_with_a_slope_gives_the_surface_that_hand_does(landed: psycopg.Connection) -> None:
    slot = "rollup_source_view = 'intraday'"
    atm = landed.execute(
        f"select expiry::text, atm_iv from options.atm_term_structure where {slot}".encode()
    )
    assert dict(atm.fetchall()) == pytest.approx(ATM, abs=2e-6)
    wings = landed.execute(
        "select expiry::text, put_25delta_iv, call_25delta_iv, skew, butterfly "
        f"from options.skew_25delta where {slot}".encode()
    ).fetchall()
    assert len(wings) == len(WINGS)
    for expiry, *figures in wings:
        put, call = WINGS[expiry]
        middle = (put + call) / 2 - ATM[expiry]
        assert figures == pytest.approx([put, call, put - call, middle], abs=5e-6)
    # 60 and 90 days lie after the last expiry
    maturities = landed.execute(
        "select days, iv, near_expiry::text, far_expiry::text "
        f"from options.constant_maturity_iv where {slot}".encode()
    ).fetchall()
    assert maturities == [(30, pytest.approx(AFTER_30_DAYS, abs=2e-6), *ATM)]


def test_a_backtest_stands_at_a_moment_when_all_of_a_row_was_known(
    landed: psycopg.Connection,
) -> None:
    times = (
        "select rollup_source_view, to_char(quote_datetime at time zone 'UTC', 'HH24:MI:SS'), "
        "count(*)::int, max(implied_volatility) "
        "from options.backtest where underlying_symbol = 'IDX' and quote_date = '2026-11-25' "
        "group by 1, 2 order by 2"
    )
    # the slot when its last quote in time was there: late and failed ones are no part of it
    slot, close = ("intraday", "21:00:05", 25, 0.25), ("close", "22:01:52", 24, 0.25)
    assert landed.execute(times.encode()).fetchall() == [slot, close]
    # each shows a quote that had landed by then
    columns = "conid, sample_time, captured_at, bid, ask"
    known = (
        f"select count(*)::int from options.backtest as b join (select {columns} from "
        f"raw_ib.chain_snapshot union all select {columns} from raw_ib.chain_close) as k "
        f"using ({columns}) where captured_at <= b.quote_datetime"
    )
    assert landed.execute(known.encode()).fetchall() == [(25 + 24,)]
    twice = "select 1 from options.backtest group by conid, quote_datetime having count(*) > 1"
    assert landed.execute(twice.encode()).fetchall() == []
    known = "select distinct open_interest from options.backtest where conid = 1"
    assert landed.execute(known.encode()).fetchall() == [(7,)]
    for as_of, seen in (("21:00:04", []), ("21:00:05", [slot]), ("22:00:01", None)):
        with landed.transaction():
            landed.execute(f"set local quotemill.as_of = '2026-11-25 {as_of}+00'".encode())
            rows = landed.execute(times.encode()).fetchall()
            assert rows == (seen if seen is not None else [slot, ("close", "22:00:01", 1, 0.25)])
    # a filter reaches the landed rows through the window
    plan = landed.execute(("explain " + times).encode()).fetchall()
    scans = [line for (line,) in plan if "Filter:" in line or "Index Cond:" in line]
    assert (
        len([line for line in scans if "symbol = 'IDX'" in line and "trade_date = " in line]) >= 2
    )
