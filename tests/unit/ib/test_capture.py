"""Batches, back-off and fallback, against a gateway with scripted answers."""

from collections import Counter
from datetime import timedelta
from typing import Any

from loaders.ib.capture.rounds import Capture, Capturer
from loaders.ib.client.values import OptionContract, Quote
from loaders.ib.errors import GatewayGone
from loaders.ib.pacing import MachineWaits, TokenBucket
from quotemill.errors import UpstreamError
from tests.unit.ib.gateways import TEN, Answer, ScriptedGateway, Time, contract, failed, quote

CONTRACTS = [contract(n) for n in range(1, 26)]
WAITS = [30.0, 60.0, 120.0, 240.0]


def capture(
    answer: Answer,
    time: Time | None = None,
    contracts: list[OptionContract] = CONTRACTS,
    **given: Any,
) -> tuple[Capture, ScriptedGateway, Time]:
    time, gateway, result = time or Time(), ScriptedGateway(answer), Capture()
    settings: dict[str, Any] = {
        "gateway": gateway,
        "now": time.clock,
        "bucket": TokenBucket(6000, time),
        "waits": time,
        "batch_size": 10,
        "lines": 90,
        "market_data_type": 1,
        "fallback": True,
        "retry_waits": WAITS,
        "deadline": TEN + timedelta(minutes=29),
    }
    for _ in Capturer(**(settings | given)).run(contracts, result):
        pass
    return result, gateway, time


def errors(result: Capture) -> dict[int, str]:
    return {n: q.failure.error_type for n, q in result.quotes.items() if q.failure}


def test_every_contract_is_requested_once_in_batches() -> None:
    result, gateway, time = capture(lambda c, _: quote(c))
    assert [len(conids) for _, conids in gateway.requests] == [10, 10, 5]
    assert set(result.quotes) == {c.conid for c in CONTRACTS}
    assert (result.attempts, result.spent, sum(time.pauses), errors(result)) == (1, set(), 0, {})


def test_refused_contracts_are_requested_again_after_growing_pauses() -> None:
    tries: dict[int, int] = {}

    def answer(c: OptionContract, _: int) -> Quote:
        tries[c.conid] = tries.get(c.conid, 0) + 1
        is_refused = c.conid in (3, 17) and tries[c.conid] <= 2
        return failed(c, "pacing", code=100) if is_refused else quote(c)

    result, gateway, time = capture(answer)
    assert (errors(result), result.spent, result.attempts) == ({}, set(), 3)
    assert [p for p in time.pauses if p >= 30] == [30, 60]
    assert gateway.requests[-1] == (1, (3, 17))
    assert gateway.reconnects == 2


def test_an_outage_is_waited_out_by_the_connection_that_knows_of_it() -> None:
    tries = Counter[int]()

    def answer(c: OptionContract, _: int) -> Quote:
        tries[c.conid] += 1
        return failed(c, "connectivity", code=1100) if tries[c.conid] <= 2 else quote(c)

    result, gateway, time = capture(answer)
    assert errors(result) == {}
    assert [p for p in time.pauses if p >= 30][:2] == [30, 60]
    assert gateway.reconnects == 0


def test_a_contract_that_no_round_got_is_spent_and_keeps_its_failure() -> None:
    def answer(c: OptionContract, _: int) -> Quote:
        return failed(c, "pacing", code=100) if c.conid == 3 else quote(c)

    result, _gateway, time = capture(answer)
    assert (result.spent, errors(result)) == ({3}, {3: "pacing"})
    assert [p for p in time.pauses if p >= 30] == [30, 60, 120, 240]
    assert len(result.quotes) == len(CONTRACTS)


def test_a_round_that_fails_ends_and_no_contract_is_absent() -> None:
    result, gateway, _time = capture(lambda c, _: failed(c, "pacing", code=100))
    assert [len(conids) for _, conids in gateway.requests] == [10] * 5
    assert set(errors(result).values()) == {"pacing"}
    assert set(result.quotes) == result.spent == {c.conid for c in CONTRACTS}


def test_nothing_is_requested_again_once_the_next_slot_is_near() -> None:
    late = Time(TEN + timedelta(minutes=28, seconds=15))
    result, _, time = capture(lambda c, _: failed(c, "pacing", code=100), late)
    assert [p for p in time.pauses if p >= 30] == [30]
    assert result.spent == {c.conid for c in CONTRACTS}


def test_a_lost_gateway_leaves_an_error_for_every_contract() -> None:
    gone = GatewayGone("no gateway at 127.0.0.1:4002")

    def answer(c: OptionContract, _: int) -> Quote | UpstreamError:
        return gone if c.conid > 10 else quote(c)

    result, gateway, _ = capture(answer)
    assert result.gone is gone
    assert set(errors(result)) == {c.conid for c in CONTRACTS[10:]} == result.spent
    assert {q.failure.error_message for q in result.quotes.values() if q.failure} == {str(gone)}
    assert len(gateway.requests) == 2


def test_without_permission_delayed_data_are_requested_at_once() -> None:
    def answer(c: OptionContract, kind: int) -> Quote:
        return failed(c, "no_permission", code=354) if kind == 1 else quote(c, served=3)

    result, gateway, _ = capture(answer)
    assert [kind for kind, _ in gateway.requests] == [1, 3, 3, 3]
    assert {q.market_data_type for q in result.quotes.values()} == {3}
    assert {q.requested_type for q in result.quotes.values()} == {1}


def test_only_denied_symbols_are_requested_by_delayed_data() -> None:
    def answer(c: OptionContract, kind: int) -> Quote:
        denied = c.symbol == "MSFT" and kind == 1
        return failed(c, "no_permission", code=354) if denied else quote(c, served=kind)

    mixed = [contract(1), contract(2, "MSFT"), contract(3), contract(4, "MSFT")]
    result, gateway, _ = capture(answer, contracts=mixed)
    assert gateway.requests == [(1, (1, 2, 3, 4)), (3, (2, 4))]
    assert {n: q.market_data_type for n, q in result.quotes.items()} == {1: 1, 2: 3, 3: 1, 4: 3}


def test_without_fallback_a_denied_row_fails() -> None:
    result, gateway, _ = capture(lambda c, _: failed(c, "no_permission", code=354), fallback=False)
    assert set(errors(result).values()) == {"no_permission"}
    assert result.spent == set()  # another request would fail too
    assert [len(conids) for _, conids in gateway.requests] == [10, 10, 5]


def test_a_contract_without_an_answer_is_not_awaited_twice() -> None:
    result, _gateway, _ = capture(lambda c, _: failed(c, "no_answer") if c.conid == 9 else quote(c))
    assert (errors(result), result.attempts) == ({9: "no_answer"}, 1)


def test_a_load_that_is_to_stop_requests_no_further_batch() -> None:
    stops = iter([False, True, True])
    result, _gateway, _ = capture(lambda c, _: quote(c), cancelling=lambda: next(stops))
    assert result.stopped
    assert len(result.quotes) == 10


def test_a_stop_while_it_waits_keeps_what_was_answered() -> None:
    """Six tokens at once, then one in two seconds: the stop comes while the bucket is empty."""
    requested: list[int] = []

    def answer(c: OptionContract, _: int) -> Quote:
        requested.append(c.conid)
        return quote(c)

    waits = MachineWaits(lambda: len(requested) >= 5)
    result, _gateway, _ = capture(
        answer, bucket=TokenBucket(30, waits), waits=waits, batch_size=1, retry_waits=[]
    )
    assert result.stopped
    assert sorted(result.quotes) == requested == [1, 2, 3, 4, 5]


def test_a_stop_in_the_pause_before_a_round_keeps_the_others() -> None:
    requested: list[int] = []

    def answer(c: OptionContract, _: int) -> Quote:
        requested.append(c.conid)
        return failed(c, "pacing", code=100) if c.conid == 3 else quote(c)

    waits = MachineWaits(lambda: len(requested) >= len(CONTRACTS))
    result, _gateway, _ = capture(answer, bucket=TokenBucket(30, waits), waits=waits)
    assert result.stopped
    assert (len(result.quotes), set(errors(result))) == (25, {3})


def test_a_stop_before_the_delayed_request_keeps_the_live_quotes() -> None:
    """One token in two seconds: the stop comes while the batch waits for the second one."""
    requested: list[int] = []

    def answer(c: OptionContract, _: int) -> Quote:
        requested.append(c.conid)
        return failed(c, "no_permission", code=354) if c.conid == 3 else quote(c)

    waits = MachineWaits(lambda: len(requested) == 5)
    result, gateway, _ = capture(
        answer, contracts=CONTRACTS[:5], bucket=TokenBucket(6, waits), waits=waits
    )
    assert (result.stopped, len(gateway.requests)) == (True, 1)
    assert (sorted(result.quotes), errors(result)) == ([1, 2, 4, 5], {})


def test_a_gateway_without_answers_costs_only_its_own_slot() -> None:
    """No batch starts once the time is over; contracts left are errors that wait."""
    result, gateway, _ = capture(lambda c, _: failed(c, "no_answer"), is_over=lambda: True)
    assert [len(conids) for _, conids in gateway.requests] == [10]
    never = {c.conid: "not_asked" for c in CONTRACTS[10:]}
    assert errors(result) == {c.conid: "no_answer" for c in CONTRACTS[:10]} | never
    assert result.spent == {c.conid for c in CONTRACTS[10:]}
    assert not result.stopped


def test_a_later_group_of_a_slot_that_is_over_requests_nothing() -> None:
    gateway, time, result = ScriptedGateway(lambda c, _: quote(c)), Time(), Capture(has_begun=True)
    capturer = Capturer(
        gateway,  # type: ignore[arg-type]
        time.clock,
        TokenBucket(6000, time),
        time,
        batch_size=10,
        lines=90,
        market_data_type=1,
        fallback=True,
        retry_waits=WAITS,
        deadline=TEN,
        is_over=lambda: True,
    )
    assert list(capturer.run(CONTRACTS, result)) == gateway.requests == []
    assert (result.is_cut, set(errors(result).values())) == (True, {"not_asked"})


def test_a_round_that_breaks_off_keeps_what_earlier_rounds_lack() -> None:
    requested: list[int] = []

    def answer(c: OptionContract, _: int) -> Quote:
        requested.append(c.conid)
        # of the first batch three fail, of the second all; then the first again
        is_refused = c.conid <= 3 or 11 <= c.conid <= 20
        return failed(c, "pacing", code=100) if is_refused and len(requested) <= 30 else quote(c)

    result, _gateway, _ = capture(answer)
    assert errors(result) == {}
    assert result.spent == set()
