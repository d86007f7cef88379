"""Adjusted days equal exact fractions, also where the estimate cannot decide the rounding."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS
from tests.integration.dbt.raw import action, bar, land, security, trading_day, weekdays

DAYS = weekdays(date(2024, 6, 3), 12)
PRICES = ("open", "high", "low", "close")
pytestmark = MODELS

# round terms put many prices on half a unit, long ones next to none
ROUND = st.sampled_from((0, 2, 3, 5, 6, 10))
LONG = st.integers(0, 30 * 10**9).map(lambda n: n / Decimal(10**9))
EVENT = st.fixed_dictionaries(
    {
        "at": st.integers(1, len(DAYS) - 1),
        "cash_per10_yuan": st.one_of(ROUND, LONG),
        "bonus_total_per10": st.one_of(ROUND, LONG),
        "rights_per10": st.one_of(st.just(0), ROUND),
        "rights_price_yuan": ROUND,
    }
)
PRICE = st.one_of(st.integers(1, 20_000), st.sampled_from((10**9, 2**30, 2**30 + 5)))
CODE = st.tuples(
    st.booleans(),
    st.lists(EVENT, max_size=8, unique_by=lambda event: event["at"]),
    st.lists(PRICE, min_size=4 * len(DAYS), max_size=4 * len(DAYS)),
)


def expected(
    events: list[dict[str, Any]], day: int, price: int, *, decimals: int, is_hfq: bool
) -> Decimal:
    """The price of `day` step by step, rounded once, half away from zero.

    Over each later event to the newest day; or back over each event up to it to the first day.
    """
    value = Fraction(price, 1000)
    for event in sorted(events, key=lambda event: event["at"], reverse=is_hfq):
        rights = Fraction(event["rights_per10"])
        shares = (10 + Fraction(event["bonus_total_per10"]) + rights) / 10
        paid = rights * Fraction(event["rights_price_yuan"])
        cash = (Fraction(event["cash_per10_yuan"]) - paid) / 10
        if is_hfq and event["at"] <= day:
            value = value * shares + cash
        elif not is_hfq and event["at"] > day:
            value = (value - cash) / shares
    units = abs(value) * 10**decimals
    whole = (2 * units.numerator + units.denominator) // (2 * units.denominator)
    return Decimal(whole if value > 0 else -whole).scaleb(-decimals)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_adjusted_days_equal_exact_fractions(conn: psycopg.Connection, dbt: Dbt) -> None:
    land(conn, "trading_day", map(trading_day, DAYS))

    @settings(
        max_examples=60,
        database=None,
        phases=[Phase.generate],  # to shrink would build for hours
        suppress_health_check=list(HealthCheck),
    )
    @given(codes=st.lists(CODE, min_size=40, max_size=80))
    def build(codes: list[tuple[bool, list[dict[str, Any]], list[int]]]) -> None:
        conn.execute("truncate raw_tdx.kline_daily, raw_tdx.corporate_action, raw_tdx.security")
        want: dict[str, dict[tuple[str, date], tuple[Decimal, ...]]] = {"qfq": {}, "hfq": {}}
        for number, (is_fund, events, prices) in enumerate(codes):
            code = f"{'sh510' if is_fund else 'sh600'}{number:03d}"
            land(conn, "security", [security(code, "fund" if is_fund else "stock")])
            rows = []
            for at, day in enumerate(DAYS):
                four = dict(zip(PRICES, prices[4 * at :], strict=False))
                rows.append(bar(code, day, "1") | four)
                for way in want:
                    how = {"decimals": 3 if is_fund else 2, "is_hfq": way == "hfq"}
                    want[way][code, day] = tuple(
                        expected(events, at, price, **how) for price in four.values()
                    )
            land(conn, "kline_daily", rows)
            changes = [{name: event[name] for name in event if name != "at"} for event in events]
            land(
                conn,
                "corporate_action",
                [
                    action(code, DAYS[event["at"]], **terms)
                    for event, terms in zip(events, changes, strict=True)
                ],
            )
        dbt("run", "--full-refresh", "-s", "+kline_daily_qfq")
        for way, prices_by_day in want.items():
            columns = f"code, trade_date, {', '.join(PRICES)}"
            rows = conn.execute(f"select {columns} from market.kline_daily_{way}".encode())
            assert {(code, day): tuple(p) for code, day, *p in rows} == prices_by_day, way

    build()
