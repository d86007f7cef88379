"""Days without a trade are those between neighbouring bars of one answer."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loaders.tdx.client.answers import COLUMNS, Bars
from loaders.tdx.datasets.kline_daily import list_day_gaps

FETCHED = datetime(2024, 1, 31, tzinfo=UTC)
DAYS = st.sets(st.integers(0, 20)).map(
    lambda days: [date(2024, 1, 1) + timedelta(days=n) for n in sorted(days)]
)


@given(dates=DAYS, days=DAYS, first=st.integers(0, 20), last=st.integers(0, 20))
def test_gaps_are_neighbours_with_trading_days_between(
    dates: list[date], days: list[date], first: int, last: int
) -> None:
    bounds = date(2024, 1, 1) + timedelta(days=first), date(2024, 1, 1) + timedelta(days=last)
    columns = {name: [0] * len(dates) for name in COLUMNS if name != "dates"}
    bars = Bars(dates=dates, **columns, source_route="kline-all", fetched_at=FETCHED)

    landed = [day for day in dates if bounds[0] <= day <= bounds[1]]
    assert [
        (row["last_bar_date"], row["trade_date"])
        for row in list_day_gaps("sh600000", bars, days, *bounds)
    ] == [(a, b) for a, b in pairwise(landed) if any(a < day < b for day in days)]
