"""Batches, back-off and fallback, against a gateway whose answers are scripted."""

from datetime import timedelta
from typing import Any

import pytest

from loaders.errors import UpstreamError
from loaders.ib.capture.batches import Captured, Capturer
from loaders.ib.client.gateway import OptionContract, Quote
from loaders.ib.errors import GatewayGone
from loaders.ib.pacing import TokenBucket
from tests.unit.ib.gateways import TEN, Answer, ScriptedGateway, Time, contract, failed, quote

CONTRACTS = [contract(n) for n in range(1, 26)]
WAITS = [30.0, 60.0, 120.0, 240.0]


def capture(
    answer: Answer,
    time: Time | None = None,
    contracts: list[OptionContract] = CONTRACTS,
    **given: Any,
) -> tuple[Captured, ScriptedGateway, Time]:
    time, gateway = time or Time(), ScriptedGateway(answer)
    plain: dict[str, Any] = {
        **{"batch_size": 10, "lines": 90, "wanted": 1, "fallback": True, "retry_waits": WAITS},
        "deadline": TEN + timedelta(minutes=29),
    }
    made: Any = gateway
    bucket = TokenBucket(6000, time)
    capturer = Capturer(made, time.clock, bucket, time, **(plain | given))
    return capturer.capture(contracts), gateway, time


def errors(found: Captured) -> dict[int, str]:
    return {n: q.failure.error_type for n, q in found.quotes.items() if q.failure}


def test_every_contract_is_asked_once_in_batches() -> None:
    found, gateway, time = capture(lambda c, _: quote(c))
    assert [len(conids) for _, conids in gateway.asked] == [10, 10, 5]
    assert set(found.quotes) == {c.conid for c in CONTRACTS}
    assert (found.attempts, found.spent, sum(time.pauses), errors(found)) == (1, set(), 0, {})


def test_what_is_turned_away_is_asked_again_after_growing_pauses() -> None:
    tries: dict[int, int] = {}

    def answer(c: OptionContract, _: int) -> Quote:
        tries[c.conid] = tries.get(c.conid, 0) + 1
        turned_away = c.conid in (3, 17) and tries[c.conid] <= 2
        return failed(c, "pacing", code=100) if turned_away else quote(c)

    found, gateway, time = capture(answer)
    assert (errors(found), found.spent, found.attempts) == ({}, set(), 3)
    assert [p for p in time.pauses if p >= 30] == [30, 60]
    assert gateway.asked[-1] == (1, (3, 17))
    assert gateway.reconnects == 2


def test_what_no_round_got_is_spent_and_keeps_its_failure() -> None:
    def answer(c: OptionContract, _: int) -> Quote:
        return failed(c, "pacing", code=100) if c.conid == 3 else quote(c)

    found, _gateway, time = capture(answer)
    assert (found.spent, errors(found)) == ({3}, {3: "pacing"})
    assert found.unasked == set()
    assert [p for p in time.pauses if p >= 30] == [30, 60, 120, 240]
    assert len(found.quotes) == len(CONTRACTS)


def test_a_gateway_that_turns_all_away_is_left_alone_in_between_and_no_contract_is_absent() -> None:
    found, gateway, _time = capture(lambda c, _: failed(c, "pacing", code=100))
    assert [len(conids) for _, conids in gateway.asked] == [10] * 5
    assert set(errors(found).values()) == {"pacing"}
    assert set(found.quotes) == found.spent == {c.conid for c in CONTRACTS}


def test_nothing_is_asked_again_once_the_next_slot_is_near() -> None:
    late = Time(TEN + timedelta(minutes=28, seconds=15))
    found, _, time = capture(lambda c, _: failed(c, "pacing", code=100), late)
    assert [p for p in time.pauses if p >= 30] == [30]
    assert found.spent == {c.conid for c in CONTRACTS}


def test_a_connection_that_breaks_now_and_then_goes_on_where_it_was() -> None:
    asked: list[int] = []

    def answer(c: OptionContract, _: int) -> Quote:
        asked.append(c.conid)
        # each connection serves twelve
        return failed(c, "gateway_gone") if len(asked) % 13 == 0 else quote(c)

    found, gateway, time = capture(answer)
    assert (errors(found), found.spent) == ({}, set())
    assert sum(time.pauses) == 0  # the adapter waits for its connections
    assert gateway.reconnects


def test_a_gateway_that_is_gone_leaves_an_error_for_every_contract() -> None:
    gone = GatewayGone("nobody answers at 127.0.0.1:4002")

    def answer(c: OptionContract, _: int) -> Quote | UpstreamError:
        return gone if c.conid > 10 else quote(c)

    found, gateway, _ = capture(answer)
    assert found.gone is gone
    assert set(errors(found)) == {c.conid for c in CONTRACTS[10:]} == found.spent
    assert {q.failure.error_message for q in found.quotes.values() if q.failure} == {str(gone)}
    assert len(gateway.asked) == 2


def test_without_permission_older_data_stand_in_and_the_type_is_not_switched_each_time() -> None:
    def answer(c: OptionContract, kind: int) -> Quote:
        return failed(c, "no_permission", code=354) if kind == 1 else quote(c, served=3)

    found, gateway, _ = capture(answer)
    assert [kind for kind, _ in gateway.asked] == [1, 3, 3, 3]
    assert {q.market_data_type for q in found.quotes.values()} == {3}
    assert {q.requested_type for q in found.quotes.values()} == {1}


def test_only_what_is_not_permitted_is_asked_for_by_older_data() -> None:
    def answer(c: OptionContract, kind: int) -> Quote:
        denied = c.symbol == "MSFT" and kind == 1
        return failed(c, "no_permission", code=354) if denied else quote(c, served=kind)

    mixed = [contract(1), contract(2, "MSFT"), contract(3), contract(4, "MSFT")]
    found, gateway, _ = capture(answer, contracts=mixed)
    assert gateway.asked == [(1, (1, 2, 3, 4)), (3, (2, 4))]
    assert {n: q.market_data_type for n, q in found.quotes.items()} == {1: 1, 2: 3, 3: 1, 4: 3}


def test_where_older_data_are_not_wanted_the_row_fails() -> None:
    found, gateway, _ = capture(lambda c, _: failed(c, "no_permission", code=354), fallback=False)
    assert set(errors(found).values()) == {"no_permission"}
    assert found.spent == set()  # asking again would not mend it
    assert [len(conids) for _, conids in gateway.asked] == [10, 10, 5]


def test_who_answers_nothing_is_not_waited_for_twice() -> None:
    found, _gateway, _ = capture(lambda c, _: failed(c, "no_answer") if c.conid == 9 else quote(c))
    assert (errors(found), found.attempts) == ({9: "no_answer"}, 1)


def test_a_load_that_is_to_stop_asks_no_further_batch() -> None:
    stops = iter([False, True, True])
    found, _gateway, _ = capture(lambda c, _: quote(c), cancelling=lambda: next(stops))
    assert found.stopped
    assert len(found.quotes) == 10


@pytest.mark.parametrize("size", [1, 7, 30])
def test_a_batch_never_holds_more_than_it_may(size: int) -> None:
    _, gateway, _ = capture(lambda c, _: quote(c), batch_size=size)
    assert max(len(conids) for _, conids in gateway.asked) <= size


def test_a_gateway_that_answers_nothing_costs_its_own_slot_alone() -> None:
    """No batch begins once the time is over; what was not asked is an error that waits."""
    found, gateway, _ = capture(lambda c, _: failed(c, "no_answer"), is_over=lambda: True)
    assert [len(conids) for _, conids in gateway.asked] == [10]
    assert errors(found) == {c.conid: "no_answer" for c in CONTRACTS}
    assert found.spent == found.unasked == {c.conid for c in CONTRACTS[10:]}
    assert not found.stopped


def test_a_round_that_breaks_off_keeps_what_earlier_rounds_could_not_get() -> None:
    asked: list[int] = []

    def answer(c: OptionContract, _: int) -> Quote:
        asked.append(c.conid)
        # of the first batch three fail, of the second all; then the first again
        turned_away = c.conid <= 3 or 11 <= c.conid <= 20
        return failed(c, "pacing", code=100) if turned_away and len(asked) <= 30 else quote(c)

    found, _gateway, _ = capture(answer)
    assert errors(found) == {}
    assert found.spent == set()
