"""Quotes by batches: what of a batch that fails, and what of a quote can be true."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from loaders.engine.outcome import Outcome, SourceGone, records
from loaders.engine.window import Window
from loaders.landing.screening import screen
from loaders.tdx.client.answers import RESTART, NeedsRestart
from loaders.tdx.client.answers_quotes import Quote
from loaders.tdx.context import Context
from loaders.tdx.datasets import quote_snapshot
from loaders.tdx.settings import TdxSettings
from loaders.tdx.tables import QUOTE
from quotemill.errors import UpstreamError
from tests.unit.tdx.fake_context import fake_context

BEGAN = datetime(2024, 11, 8, 6, 0, tzinfo=UTC)
FRIDAY = date(2024, 11, 8)
CODES = [f"sh{600000 + i}" for i in range(120)]


def quote(code: str, **changes: Any) -> Quote:
    made = Quote(
        code=code,
        previous_close=10_000,
        open=10_100,
        high=10_300,
        low=10_000,
        close=10_200,
        total_hand=1235,
        current_hand=4,
        amount_yuan=Decimal("1260000.000"),
        inside_dish=600,
        outer_disc=635,
        bids=tuple((10_190 - i, 5 + i) for i in range(5)),
        asks=tuple((10_200 + i, 7 + i) for i in range(5)),
        server_time="14585643",
        active1=9,
        active2=9,
        fetched_at=BEGAN,
    )
    return replace(made, **changes)


class Service:
    """Answers unless `fails` raises for the codes of a call; the calls are kept."""

    def __init__(self, fails: Callable[[Sequence[str]], None] = lambda codes: None) -> None:
        self.fails = fails
        self.batches: list[int] = []
        self.singles: list[str] = []

    async def quotes(self, codes: Sequence[str]) -> list[Quote]:
        self.batches.append(len(codes))
        self.fails(codes)
        return [quote(code) for code in codes]

    async def quote(self, codes: Sequence[str]) -> list[Quote]:
        self.singles += codes
        self.fails(codes)
        return [quote(code) for code in codes]


def context(service: Service, funds: Sequence[str] = ()) -> Context:
    window = Window(
        days=[date(2024, 11, 7), FRIDAY],
        due=FRIDAY,
        overlap=10,
        closed=lambda day: False,
        today=date(2024, 11, 9),
    )
    return fake_context(
        client=service,
        settings=TdxSettings(),
        window=window,
        began=BEGAN,
        instrument_type=lambda code: "fund" if code in funds else "stock",
    )


def outcomes(run: Context, codes: Sequence[str] = CODES) -> list[Outcome]:
    return list(quote_snapshot.fetch(run, codes))


def poisoned_by(*culprits: str) -> Callable[[Sequence[str]], None]:
    def fails(codes: Sequence[str]) -> None:
        if set(culprits) & set(codes):
            raise UpstreamError(f"{len(codes)} codes: not found")

    return fails


def test_quotes_come_in_batches_of_fifty_and_in_the_order_of_the_codes() -> None:
    service = Service()

    result = outcomes(context(service, funds=CODES[3:5]))

    assert [o.key for o in result] == CODES
    assert sorted(service.batches) == [2, 18, 50, 50]


@pytest.mark.parametrize(
    ("today", "day"),
    [
        (date(2024, 11, 9), FRIDAY),  # a Saturday
        (FRIDAY, FRIDAY),  # the session runs: its day bar is not due yet
        (date(2024, 11, 7), date(2024, 11, 7)),
    ],
)
def test_a_snapshot_is_about_the_newest_day_that_has_begun(today: date, day: date) -> None:
    thursday = date(2024, 11, 7)
    window = Window([thursday, FRIDAY], thursday, 10, lambda day: False, today)
    assert quote_snapshot.find_session_date(window) == day


def test_a_row_has_one_moment_for_all_the_day_and_five_levels() -> None:
    table = screen(records(outcomes(context(Service()))), QUOTE).rows

    rows = table.to_pylist()
    assert {(r["sampled_at"], r["trade_date"], r["is_final"]) for r in rows} == {
        (BEGAN, FRIDAY, True)
    }
    assert (rows[0]["bid5_price"], rows[0]["bid5_volume"]) == (10_186, 9)
    assert (rows[0]["ask1_price"], rows[0]["ask1_volume"]) == (10_200, 7)


@pytest.mark.parametrize("position", [0, 1, 24, 49])
def test_a_poisoned_batch_is_halved_until_its_culprit_stands_alone(position: int) -> None:
    culprit = CODES[position]
    service = Service(poisoned_by(culprit))

    result = outcomes(context(service), CODES[:50])

    assert [o.key for o in result if o.failure] == [culprit]
    assert [o.key for o in result if o.rows] == [c for c in CODES[:50] if c != culprit]
    (named,) = [o.fallback for o in result if o.failure]
    assert culprit in (named or "")
    # every code that was requested alone on the way has a reason
    assert {o.key for o in result if o.fallback} == set(service.singles)
    assert len(service.batches) + len(service.singles) <= 13
    assert culprit in service.singles


def test_two_culprits_of_one_batch_are_both_isolated() -> None:
    service = Service(poisoned_by(CODES[7], CODES[33]))
    result = outcomes(context(service), CODES[:50])
    assert [o.key for o in result if o.failure] == [CODES[7], CODES[33]]


def test_an_outage_is_not_halved() -> None:
    def fails(codes: Sequence[str]) -> None:
        raise SourceGone("gone")

    service = Service(fails)
    result = outcomes(context(service), CODES[:50])

    assert service.batches == [50]
    assert all(o.gone and o.failure == "gone" for o in result)


def test_a_half_initialised_service_serves_stocks_and_fails_funds_at_once() -> None:
    funds = CODES[:20]

    def fails(codes: Sequence[str]) -> None:
        if set(funds) & set(codes):
            raise NeedsRestart("no cache", hint=RESTART)

    service = Service(fails)
    result = outcomes(context(service, funds))

    assert [o.key for o in result if o.failure] == funds
    assert {o.failure for o in result if o.failure} == {f"no cache ({RESTART})"}
    assert sorted(service.batches) == [20, 50, 50]
    assert service.singles == []


def test_zeros_of_a_suspended_stock_are_kept() -> None:
    zeros = dict.fromkeys(("open", "high", "low", "close", "total_hand"), 0)
    assert quote_snapshot.find_broken_rules(quote("sh600000", **zeros)) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"high": 9_000}, "high must not be below low"),
        ({"close": -10}, "close must not be negative"),
        ({"total_hand": -1}, "total_hand must not be negative"),
    ],
)
def test_a_quote_that_cannot_be_true_is_refused_with_the_rule(
    changes: dict[str, int], rule: str
) -> None:
    (refused,) = quote_snapshot.find_broken_rules(quote("sh600000", **changes))
    assert refused.rule == rule
    assert refused.row_key == "sh600000 2024-11-08T06:00:00Z"
