"""A real chain of SPX options, 3 January 2011, against Black's formula and its vendor's figures."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from math import exp, log, sqrt
from statistics import NormalDist, median

import psycopg
import pytest
from scipy.optimize import brentq

from tests.conftest import shared_folder
from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import land
from tests.integration.dbt.raw_options import Option, Session, land_sessions

pytestmark = MODELS
DAY, RATE = Session(date(2011, 1, 3)), 0.003
INDEX: dict[str, object] = {
    "symbol": "SPX",
    "conid": 1,
    "exchange": "CBOE",
    "currency": "USD",
    "sec_type": "IND",
}
_cdf = NormalDist().cdf


def opens_at(expiry: date) -> datetime:
    """When a monthly option settles."""
    return datetime.combine(expiry, time(9, 30), Session.ZONE).astimezone(UTC)


def years_to(expiry: date) -> float:
    return (opens_at(expiry) - DAY.at(13)).total_seconds() / 86400 / 365


def implied_volatility(option: Option, mid: float, forward: float) -> float:
    years, sign = years_to(option.expiry), 1 if option.right == "C" else -1

    def miss(iv: float) -> float:
        width = iv * sqrt(years)
        d1 = log(forward / option.strike) / width + width / 2
        value = forward * _cdf(sign * d1) - option.strike * _cdf(sign * (d1 - width))
        return sign * exp(-RATE * years) * value - mid

    return float(brentq(miss, 1e-3, 5, xtol=1e-10))


def parity_forward(expiry: date, pairs: Sequence[tuple[float, float, float]]) -> float:
    """The median of the five pairs (strike, call less put, half spreads) that say most."""
    nearest = sorted(pairs, key=lambda pair: abs(pair[1]) + pair[2])[:5]
    growth = exp(RATE * years_to(expiry))
    return median(
        strike + distance * growth
        for strike, distance, spreads in nearest
        if spreads <= 3 * nearest[0][2]
    )


def test_a_real_chain_has_the_volatilities_of_blacks_formula(
    conn: psycopg.Connection, dbt: Dbt
) -> None:
    file = shared_folder("cases") / "ib" / "12-spx-2011-replay" / "spx_2011-01-03.csv"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    options = [
        Option(
            n,
            "SPX",
            datetime.strptime(row["option_expiration"], "%m/%d/%y").date(),
            float(row["strike"]),
            row["call/put"],
        )
        for n, row in enumerate(rows, 1)
    ]
    land_sessions(conn, [DAY])
    land(conn, "raw_ib.underlying", [INDEX])
    DAY.land_contracts(conn, options)
    conn.execute(
        "update raw_ib.contract set settlement = 'AM', expiration_date = expiry, "
        "expires_at = (expiry + time '09:30') at time zone 'America/New_York'"
    )
    conn.execute(
        "insert into ops.settings (key, value) values ('ib_risk_free_rate', %s) "
        "on conflict (key) do update set value = excluded.value",
        (f"{RATE}",),
    )
    land(
        conn,
        "raw_ib.chain_snapshot",
        [
            o.quote(DAY, 13, 1271.87)
            | {"bid": row["bid"], "ask": row["ask"], "captured_at": DAY.at(13)}
            for o, row in zip(options, rows, strict=True)
        ],
    )

    dbt("run", "--select", "forwards", "chain_daily_clean")

    prices = {
        o.conid: (float(r["bid"]), float(r["ask"])) for o, r in zip(options, rows, strict=True)
    }
    sides: dict[tuple[date, float], dict[str, tuple[float, float]]] = defaultdict(dict)
    for option in options:
        sides[option.expiry, option.strike][option.right] = prices[option.conid]
    pairs: dict[date, list[tuple[float, float, float]]] = defaultdict(list)
    for (expiry, strike), rights in sides.items():
        call, put = rights["C"], rights["P"]
        distance = (sum(call) - sum(put)) / 2
        pairs[expiry].append((strike, distance, (call[1] - call[0] + put[1] - put[0]) / 2))
    forwards = {expiry: parity_forward(expiry, listed) for expiry, listed in pairs.items()}
    stored = conn.execute("select expiry, forward::float8 from options.forwards").fetchall()
    assert dict(stored) == pytest.approx(forwards, abs=1e-3)

    compared = 0
    for conid, mid, spread, iv in conn.execute(
        "select conid, mid::float8, (ask - bid)::float8, iv_from_mid from options.chain_daily_clean"
    ):
        option, (bid, ask) = options[conid - 1], prices[conid]
        assert (mid, spread) == pytest.approx(((bid + ask) / 2, ask - bid), abs=1e-9)
        forward = forwards[option.expiry]
        if (option.strike > forward) == (option.right == "C"):  # out of the money
            compared += 1
            assert iv == pytest.approx(implied_volatility(option, mid, forward), abs=1e-6)
            # the vendor has another forward; two of its volatilities are of no price
            if not rows[conid - 1]["isinterpolated"]:
                assert iv == pytest.approx(float(rows[conid - 1]["iv"]), abs=0.011)
    assert compared == len(options) / 2 == 35
