"""Trading days from the published calendar."""

from datetime import date

import pandas_market_calendars
import pytest

from loaders.trading_time import published_days


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (date(1990, 12, 1), date(2040, 12, 31)),  # beyond the announced holidays too
        (date(2024, 2, 9), date(2024, 2, 19)),  # Spring Festival between two trading days
        (date(2024, 2, 10), date(2024, 2, 18)),  # all closed
        (date(2024, 6, 3), date(2024, 6, 3)),
        (date(2024, 6, 3), date(2024, 6, 2)),
    ],
)
def test_published_days_are_those_of_the_library(start: date, end: date) -> None:
    published = pandas_market_calendars.get_calendar("SSE").valid_days(start, end)
    assert published_days(start, end) == tuple(stamp.date() for stamp in published)
