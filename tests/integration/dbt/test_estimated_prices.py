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
LONG = st.integers(0, 30 * 10**6).map(lambda n: n / Decimal(10**6))
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


def expected(events: list[dict[str, Any]], day: int, price: int, decimals: int) -> Decimal:
    """The price of `day` step by step over each later event, rounded once, half away from zero."""
    value = Fraction(price, 1000)
    for event in sorted(events, key=lambda event: event["at"]):
        if event["at"] > day:
            rights = Fraction(event["rights_per10"])
            shares = (10 + Fraction(event["bonus_total_per10"]) + rights) / 10
            paid = rights * Fraction(event["rights_price_yuan"])
            value = (value - (Fraction(event["cash_per10_yuan"]) - paid) / 10) / shares
    units = abs(value) * 10**decimals
    whole = (2 * units.numerator + units.denominator) // (2 * units.denominator)
    return Decimal(whole if value > 0 else -whole).scaleb(-decimals)


@pytest.mark.long
@pytest.mark.parametrize(
    "examples", [pytest.param(2, id="few"), pytest.param(60, marks=pytest.mark.soak, id="many")]
)
def test_adjusted_days_equal_exact_fractions(
    examples: int, conn: psycopg.Connection, dbt: Dbt
) -> None:
    land(conn, "trading_day", map(trading_day, DAYS))

    @settings(
        max_examples=examples,
        database=None,
        derandomize=examples < 10,
        phases=[Phase.generate],  # to shrink would build for hours
        suppress_health_check=list(HealthCheck),
    )
    @given(codes=st.lists(CODE, min_size=40, max_size=80))
    def build(codes: list[tuple[bool, list[dict[str, Any]], list[int]]]) -> None:
        conn.execute("truncate raw_tdx.kline_daily, raw_tdx.corporate_action, raw_tdx.security")
        want = {}
        for number, (is_fund, events, prices) in enumerate(codes):
            code = f"{'sh510' if is_fund else 'sh600'}{number:03d}"
            land(conn, "security", [security(code, "fund" if is_fund else "stock")])
            rows = []
            for at, day in enumerate(DAYS):
                four = dict(zip(PRICES, prices[4 * at :], strict=False))
                rows.append(bar(code, day, "1") | four)
                want[code, day] = tuple(
                    expected(events, at, price, 3 if is_fund else 2) for price in four.values()
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
        assert dbt("run", "--full-refresh", "-s", "+kline_daily_qfq").success
        rows = conn.execute(
            "select code, trade_date, open, high, low, close from market.kline_daily_qfq"
        ).fetchall()
        assert {(code, day): tuple(prices) for code, day, *prices in rows} == want

    build()
