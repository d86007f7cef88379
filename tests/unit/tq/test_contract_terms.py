"""Which trading day the terms in a quote are of."""

from datetime import UTC, date, datetime
from decimal import Decimal

from loaders.tq.client import answers
from loaders.tq.client.answers import Quote
from loaders.tq.datasets.contract_terms import find_days
from loaders.tq.landed import Figures

THURSDAY, FRIDAY, MONDAY = date(2025, 10, 23), date(2025, 10, 24), date(2025, 10, 27)
CALENDAR = [date(2025, 10, 22), THURSDAY, FRIDAY, MONDAY]
OLD: Figures = (Decimal(80), 100)  # the bar of Thursday
NEW: Figures = (Decimal("81.5"), 110)  # that of Friday
FRIDAY_CLOSE, FRIDAY_NIGHT = "2025-10-24 06:59:59", "2025-10-24 13:00"  # UTC


def quote(contract: str, at: str | None, figures: Figures) -> Quote:
    close, interest = figures
    oi = None if interest is None else Decimal(interest)
    quoted_at = None if at is None else datetime.fromisoformat(at).replace(tzinfo=UTC)
    return Quote(contract, quoted_at, {"pre_close": close, "pre_open_interest": oi})


def days_of(quotes: list[Quote], *still: str, ended: date | None = FRIDAY) -> dict[str, date]:
    """The days, where the bars of some contracts stood still."""
    closes = {
        q.contract: {THURSDAY: OLD, FRIDAY: OLD if q.contract in still else NEW} for q in quotes
    }
    return find_days(quotes, CALENDAR, closes, ended)


def test_terms_are_of_the_trading_day_of_their_quote() -> None:
    quotes = [quote("A", FRIDAY_CLOSE, OLD), quote("B", FRIDAY_NIGHT, NEW)]
    assert days_of(quotes) == {"A": FRIDAY, "B": MONDAY}
    # in Friday's session the day is not over
    assert days_of(quotes[:1], ended=THURSDAY) == {"A": FRIDAY}
    assert days_of(quotes[:1], ended=None) == {"A": FRIDAY}


def test_a_quote_that_stands_still_has_no_day() -> None:
    quotes = [quote("A", "2025-10-23 06:59:59", OLD), quote("B", None, OLD)]
    assert days_of(quotes) == {}
    assert days_of([*quotes, quote("C", FRIDAY_CLOSE, OLD)]) == {"C": FRIDAY}


def test_figures_of_the_next_day_decide_before_its_first_quote() -> None:
    """For a contract whose bars do not tell too: the servers turn to a day with all of them."""
    quotes = [quote("A", FRIDAY_CLOSE, NEW), quote("B", FRIDAY_CLOSE, OLD)]
    assert days_of(quotes, "B") == {"A": MONDAY, "B": MONDAY}
    # nothing tells: equal bars, other figures, no bar
    assert days_of(quotes[1:], "B") == {"B": FRIDAY}
    assert days_of([quote("A", FRIDAY_CLOSE, (Decimal(7), None))]) == {"A": FRIDAY}
    assert find_days(quotes, CALENDAR, {}, FRIDAY) == {"A": FRIDAY, "B": FRIDAY}
    # a day beyond the calendar has no date
    closes = {"A": {THURSDAY: OLD, FRIDAY: NEW}}
    assert find_days(quotes[:1], CALENDAR[:3], closes, FRIDAY) == {}


def test_a_term_has_nine_places() -> None:
    terms = {"margin": "18249.000000000004", "commission": None, "volume_multiple": "5"}
    quoted = answers.quote({"contract": "SHFE.cu2512", "quoted_at": None} | terms)
    assert quoted.terms == {"margin": 18249, "commission": None, "volume_multiple": 5}
