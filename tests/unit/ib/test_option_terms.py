"""When options expire and how they settle, by what the gateway says of them."""

from datetime import UTC, date, datetime

import pytest

from loaders.ib.client.option_terms import find_closing_time, find_last_day, read_terms


@pytest.mark.parametrize(
    ("symbol", "last_trade_date", "expiration", "settlement", "expires_at"),
    [
        ("AAPL  261218C00200000", "2026-12-18", "2026-12-18", "PM", "2026-12-18T21:00"),
        # the day after Thanksgiving ends at 13:00
        ("AAPL  261127C00200000", "2026-11-27", "2026-11-27", "PM", "2026-11-27T18:00"),
        ("SPX   261120C06000000", "2026-11-19", "2026-11-20", "AM", "2026-11-20T14:30"),
        ("SPXW  261120C06000000", "2026-11-20", "2026-11-20", "PM", "2026-11-20T21:00"),
        ("VIX   261118C00020000", "2026-11-17", "2026-11-18", "AM", "2026-11-18T14:30"),
        # in summer; the third Friday is a holiday
        ("SPX   260618P06000000", "2026-06-17", "2026-06-18", "AM", "2026-06-18T13:30"),
        # a Saturday, as a gateway has said of stocks
        ("NFLX  260227C00090000", "2026-02-28", "2026-02-27", "PM", "2026-02-27T21:00"),
        # what is called off on a holiday settled at the close before
        ("AAPL  261225C00200000", "2026-12-24", "2026-12-25", "PM", "2026-12-24T18:00"),
        ("no clearing symbol", "2026-12-18", "2026-12-18", "PM", "2026-12-18T21:00"),
    ],
)
def test_what_expires_after_its_last_trading_settles_at_the_open(
    symbol: str, last_trade_date: str, expiration: str, settlement: str, expires_at: str
) -> None:
    terms = read_terms(symbol, date.fromisoformat(last_trade_date))
    at = datetime.fromisoformat(expires_at).replace(tzinfo=UTC)
    read = terms.expiration_date, terms.settlement, terms.expires_at
    assert read == (date.fromisoformat(expiration), settlement, at)


@pytest.mark.parametrize(
    ("symbol", "trading_class", "last_trade_date", "real"),
    [
        ("no clearing symbol", "", "2026-11-19", "2026-11-20"),
        ("SPX   261119C06000000", "", "2026-11-19", "2026-11-20"),
        ("no clearing symbol", "SPX", "2026-11-19", None),
        # listed by the day of expiration
        ("SPX   261120C06000000", "SPX", "2026-11-20", "2026-11-20"),
    ],
)
def test_any_of_three_fields_names_a_settlement_at_the_open(
    symbol: str, trading_class: str, last_trade_date: str, real: str | None
) -> None:
    terms = read_terms(
        symbol,
        date.fromisoformat(last_trade_date),
        trading_class=trading_class,
        real_expiration=date.fromisoformat(real) if real else None,
    )
    opening = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
    read = terms.settlement, terms.expiration_date, terms.expires_at
    assert read == ("AM", date(2026, 11, 20), opening)


@pytest.mark.parametrize(
    ("text", "symbol", "trading_class", "day"),
    [
        ("20261218", "AAPL  261218C00200000", "AAPL", "2026-12-18"),
        ("20261219 05:00:00 Asia/Shanghai", "AAPL  261218C00200000", "AAPL", "2026-12-18"),
        ("20261218 05:15:00 Asia/Tokyo", "SPX   261218C06000000", "SPX", "2026-12-17"),
        # a zone without a name of IANA
        ("20261219 05:00:00 China Standard Time", "AAPL  261218C00200000", "AAPL", "2026-12-18"),
        ("20261219 05:00:00", "AAPL  261219C00200000", "AAPL", "2026-12-18"),
        ("20261218 05:15:00 CST", "SPX   261218C06000000", "SPX", "2026-12-17"),
        ("202612", "", "", None),
    ],
)
def test_the_last_day_of_trading_is_one_of_the_exchange(
    text: str, symbol: str, trading_class: str, day: str | None
) -> None:
    expected = date.fromisoformat(day) if day else None
    assert find_last_day(text, symbol, trading_class) == expected


@pytest.mark.parametrize(
    ("hours", "zone", "until"),
    [
        ("20261120:0930-20261120:1600;20261121:CLOSED", "US/Eastern", "16:00"),
        ("20261127:0830-20261127:1215;20261130:0830-20261130:1515", "US/Central", "16:15"),
        # a night before, and a curb session after it
        (
            "20261119:1915-20261120:0825;20261120:0830-20261120:1515;20261120:1530-20261120:1600",
            "US/Central",
            "16:15",
        ),
        ("20261120:CLOSED", "US/Eastern", None),
        ("", "", None),
        ("20261120:0930-20261120:1600", "Mars/Olympus", None),
        ("20261120:0930-20261120:9999", "US/Eastern", None),
    ],
)
def test_a_usual_day_ends_at_the_latest_close(hours: str, zone: str, until: str | None) -> None:
    assert find_closing_time(hours, zone) == until
