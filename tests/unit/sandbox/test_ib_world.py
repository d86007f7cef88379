"""The synthetic market of options: the same figures for a question, and no arbitrage."""

from datetime import UTC, date, datetime, timedelta

import pytest

from loaders.sandbox.ib.dividends import Special, parse_special, until
from loaders.sandbox.ib.hours import ET, VirtualClock, session_before, session_close
from loaders.sandbox.ib.listing import Instrument, list_expiries
from loaders.sandbox.ib.option_prices import RATE
from loaders.sandbox.ib.stocks import invent_symbols
from loaders.sandbox.ib.world import Query, World
from quotemill.errors import UsageError

DAY = date(2026, 11, 19)
TEN = datetime(2026, 11, 19, 10, tzinfo=ET)


@pytest.fixture(scope="module")
def world() -> World:
    return World(["AAPL", "MSFT", "BRK B"])


def near_the_money(world: World) -> list[Instrument]:
    spot, root = world.spot("AAPL", TEN), world.stocks["AAPL"].root
    return [
        row
        for row in world.chain("AAPL", DAY).values()
        if abs(row.strike / spot - 1) < 0.1 and row.trading_class == root and row.ends_at > TEN
    ]


def test_the_order_of_questions_does_not_matter(world: World) -> None:
    contracts = near_the_money(world)
    first = [(row.conid, world.quote(row, TEN), world.open_interest(row, TEN)) for row in contracts]
    other = World(["MSFT", "AAPL"])
    other.spot("MSFT", TEN)
    again = {row.conid: row for row in near_the_money(other)}
    assert [
        (conid, other.quote(again[conid], TEN), other.open_interest(again[conid], TEN))
        for conid, *_ in reversed(first)
    ] == list(reversed(first))
    assert World(["AAPL"], seed=8).spot("AAPL", TEN) != world.spot("AAPL", TEN)


def test_a_new_market_finds_a_contract_by_its_number(world: World) -> None:
    for row in near_the_money(world)[:20]:
        assert World(["AAPL"]).find(Query(conid=row.conid), DAY) == [row]
    assert World(["MSFT"]).find(Query(conid=near_the_money(world)[0].conid), DAY) == []
    numbers = [row.conid for symbol in world.stocks for row in world.chain(symbol, DAY).values()]
    assert len(set(numbers)) == len(numbers)
    assert max(numbers) < 2**31


def test_an_expired_contract_is_not_known_on_the_next_day(world: World) -> None:
    last = next(
        row for row in world.chain("MSFT", DAY).values() if row.expiry == date(2026, 11, 20)
    )
    assert world.find(Query(conid=last.conid), date(2026, 11, 20)) == [last]
    assert world.find(Query(conid=last.conid), date(2026, 11, 23)) == []


def test_expiries_move_to_the_session_before_a_holiday() -> None:
    assert (
        list_expiries(date(2026, 5, 1))[date(2026, 6, 18)] == "M"
    )  # Juneteenth is the third Friday
    assert list_expiries(DAY)[date(2026, 12, 31)] == "Q"
    assert session_close(date(2026, 11, 27)).hour == 13
    assert session_before(date(2026, 11, 27)) == date(2026, 11, 25)


def test_calls_and_puts_agree_and_prices_are_convex_in_the_strike(world: World) -> None:
    spot = world.spot("AAPL", TEN)
    by_expiry: dict[date, dict[float, dict[str, float]]] = {}
    for row in near_the_money(world):
        assert row.expiry is not None
        strikes = by_expiry.setdefault(row.expiry, {})
        made = world.computation(row, TEN)
        strikes.setdefault(row.strike, {})[row.right] = made.price
        assert 0 < made.iv < 3
        assert (made.delta > 0) == (row.right == "C")
        quoted = world.quote(row, TEN)
        assert 0 <= quoted.bid < quoted.ask
    for expiry, strikes in by_expiry.items():
        years = (session_close(expiry) - TEN).total_seconds() / 31_557_600
        pays = sum(amount for _, amount in until(world.stocks["AAPL"], TEN, expiry))
        for strike, price in strikes.items():
            paid = strike * 2.718281828459045 ** (-RATE * years)
            # what American exercise and dividends leave of parity
            assert spot - pays - strike - 1e-6 <= price["C"] - price["P"] <= spot - paid + 1e-6


def test_a_special_dividend_is_in_prices_of_expiries_behind_it() -> None:
    special = Special("AAPL", date(2026, 12, 1), 20.0)
    plain, paying = World(["AAPL"]), World(["AAPL"], specials=[special])
    rows = [row for row in near_the_money(plain) if row.right == "P"]
    changes = {
        row.expiry: paying.computation(row, TEN).price - plain.computation(row, TEN).price
        for row in rows
    }
    assert {expiry for expiry, change in changes.items() if change > 0.5} == {
        expiry for expiry in changes if expiry and expiry >= special.ex_date
    }
    with pytest.raises(UsageError, match="no such stock"):
        World(["MSFT"], specials=[special])
    assert parse_special("aapl:2026-12-01:20") == special
    with pytest.raises(UsageError, match="cannot be read"):
        parse_special("AAPL:20")


def test_a_price_is_never_below_what_exercise_pays(world: World) -> None:
    spot = world.spot("MSFT", TEN)
    for row in world.chain("MSFT", DAY).values():
        pays = spot - row.strike if row.right == "C" else row.strike - spot
        assert world.computation(row, TEN).price >= pays


def test_open_interest_changes_at_half_past_six_of_a_session_alone(world: World) -> None:
    contracts = near_the_money(world)

    def at(*when: int) -> list[int]:
        return [world.open_interest(row, datetime(*when, tzinfo=ET)) for row in contracts]

    friday = at(2026, 11, 20, 12)
    assert at(2026, 11, 20, 6, 30) == friday
    assert at(2026, 11, 20, 6, 29) == at(2026, 11, 19, 23) != friday
    assert at(2026, 11, 21, 12) == at(2026, 11, 23, 6, 29) == friday
    assert at(2026, 11, 23, 6, 30) != friday


def test_volume_grows_within_a_day_and_prices_end_at_the_close(world: World) -> None:
    row = max(near_the_money(world), key=lambda r: world.quote(r, session_close(DAY)).volume)
    volumes = [world.quote(row, TEN + timedelta(minutes=30 * n)).volume for n in range(13)]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 0
    close = session_close(DAY)
    assert world.spot("AAPL", close) == world.close_price("AAPL", DAY)
    assert world.spot("AAPL", close + timedelta(hours=12)) == world.close_price("AAPL", DAY)


def test_the_clock_runs_in_utc_over_a_change_of_the_clocks() -> None:
    clock = VirtualClock(datetime(2026, 3, 6, 9, 30))
    assert clock.now().astimezone(UTC).hour == 14
    clock.set(datetime(2026, 3, 9, 9, 30))
    assert clock.now().astimezone(UTC).hour == 13
    assert clock.now() == clock.now()


def test_fifty_invented_stocks_have_chains_and_a_wrong_symbol_is_refused() -> None:
    world = World(invent_symbols(50))
    assert len(world.stocks) == 50
    assert min(len(world.chain(symbol, DAY)) for symbol in ("SYN001", "SYN025", "SYN050")) > 100
    with pytest.raises(UsageError, match="not a symbol"):
        World(["aapl"])
