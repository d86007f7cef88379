"""What a load still asks for once its moment has passed: a slot that goes on, a queue, a close, a part."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from loaders.engine import load as engine
from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.request import LoadRequest
from loaders.errors import LockHeldError
from loaders.ib.capture import slot_capture
from loaders.ib.capture.rows import RECAPTURE
from loaders.ib.client.error_codes import meaning_of
from loaders.ib.client.gateway import OpenInterest
from loaders.ib.client.raw_quotes import Tick
from loaders.ib.client.ticker import _failure
from loaders.ib.context import Context
from loaders.ib.datasets import chain_close, chain_snapshot, open_interest
from loaders.ib.errors import GatewayGone, GatewayTimeout, UnknownUnderlying
from loaders.ib.planning.day_tasks import Agenda
from loaders.ib.planning.request import DUE, when_busy
from loaders.ib.planning.stored import Chain, Queued
from loaders.ib.settings import IbSettings
from loaders.ib.slots import session_on, slot_of
from loaders.settings import Settings
from tests.unit.ib.gateways import ScriptedGateway, Time, contract, quote

CLOSE = datetime(2026, 11, 19, 21, 0, tzinfo=UTC)
LAST, TEN = "2026-11-19T21:00Z", "2026-11-19T15:00Z"


def running(now: datetime, **values: Any) -> Any:
    """As much of a running load as a dataset looks at."""
    return SimpleNamespace(
        now=lambda: now,
        agenda=Agenda(IbSettings(), now),
        settings=IbSettings(),
        session=session_on,
        lineage={},
        load=SimpleNamespace(
            cancelling=lambda: False,
            log=lambda *_: None,
            request=LoadRequest("ib", options={"pass": "confirm"}),
        ),
        **({"begun": {}, "lacking": {}, "missed": {}, "queue_until": None} | values),
    )


def test_symbols_of_a_slot_that_was_begun_in_time_are_captured_after_its_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def whole(_: Any, slot: Any, symbols: list[str]) -> Iterator[Outcome]:
        return iter([Outcome(f"{symbol} {slot.name}", [{}]) for symbol in symbols])

    monkeypatch.setattr(chain_snapshot, "_whole", whole)
    late = CLOSE + timedelta(minutes=8)
    begun = running(late, begun={LAST: CLOSE + timedelta(minutes=30)})
    [found] = chain_snapshot.fetch(begun, [f"MSFT {LAST}"])
    assert (found.rows, found.skipped) == ([{}], None)
    [over] = chain_snapshot.fetch(running(late), [f"MSFT {LAST}"])
    assert over.skipped is not None
    assert "cannot be had" in over.skipped


def test_the_queue_waits_on_once_the_next_slot_is_near() -> None:
    near = slot_of(TEN).at + timedelta(minutes=29, seconds=50)
    run = running(near, lacking={f"AAPL {TEN}": {1}}, queue_until=near - timedelta(seconds=5))
    [found] = chain_snapshot.fetch(run, [f"AAPL {TEN}"])
    assert (found.skipped, found.rows) == (NOT_DUE, None)


def test_what_waits_of_a_contract_that_left_the_set_is_given_up() -> None:
    slot = slot_of(TEN)
    waiting = [Queued(slot.at, n, "AAPL", "no_answer", 1, slot.at, slot.at) for n in (1, 2)]
    run = running(slot.at, ask=lambda _: waiting, again_after=240.0)
    moment = slot_capture.Moment(slot, "chain_snapshot", RECAPTURE, 1, CLOSE)
    got = {1: {"snapshot_error": False, "error_type": None}}
    rows = slot_capture._queue(run, moment, "AAPL", [contract(1)], got, set())
    assert {row["conid"]: row["state"] for row in rows} == {1: "done", 2: "expired"}


def test_what_was_not_asked_for_want_of_time_is_no_attempt() -> None:
    slot = slot_of(TEN)
    waiting = [Queued(slot.at, n, "AAPL", "no_answer", 2, slot.at, slot.at) for n in (1, 2)]
    run = running(slot.at, ask=lambda _: waiting, again_after=240.0)
    moment = slot_capture.Moment(slot, "chain_snapshot", RECAPTURE, 1, CLOSE)
    lacks = {"snapshot_error": True, "error_type": "no_answer", "data_quality_flag": ""}
    chosen = [contract(n) for n in (1, 2, 3)]
    rows = slot_capture._queue(run, moment, "AAPL", chosen, dict.fromkeys((1, 2, 3), lacks), {2, 3})
    assert {row["conid"]: (row["attempts"], row["state"]) for row in rows} == {
        1: (3, "queued"),
        2: (2, "queued"),
        3: (0, "queued"),
    }


def test_the_close_of_an_earlier_day_is_never_taken_from_a_later_one() -> None:
    session = session_on(date(2026, 11, 19))
    assert session is not None
    assert chain_close.too_late(session, CLOSE + timedelta(hours=2)) is None
    tomorrow = running(CLOSE + timedelta(hours=18))
    [found] = chain_close.fetch(tomorrow, ["AAPL 2026-11-19"])
    assert found.skipped is not None
    assert found.rows is None


def test_open_interest_is_complete_with_the_share_that_a_verdict_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = tuple(contract(n) for n in range(1, 41))
    at = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)

    def status(missing: int) -> tuple[Any, bool]:
        answers = [OpenInterest(c, 5 if c.conid > missing else None, at) for c in chain]
        monkeypatch.setattr(open_interest, "_asked", lambda *_: answers)
        set_of = {"AAPL": Chain("AAPL", chain, date(2026, 11, 19), False)}
        run = running(at, chains=lambda *_: set_of, ask=lambda _: {}, ingest_id="", gone=None)
        monkeypatch.setattr(open_interest, "_mornings", lambda *_: 0)
        found = open_interest._enriched(run, "AAPL 2026-11-19", "AAPL", date(2026, 11, 19))
        return found.beside[0]["status"], found.failure is None

    assert [status(n) for n in (0, 2, 3)] == [
        ("complete", True),
        ("complete", True),
        ("failed", False),
    ]


@pytest.mark.parametrize("code", [10090, 10091])
def test_a_part_of_which_nothing_came_is_no_part(code: int) -> None:
    def kind(tick: Tick) -> str | None:
        ask = SimpleNamespace(failure=lambda: None, codes=[(meaning_of(code), "a part")])
        line: Any = SimpleNamespace(ask=ask, tick=lambda: tick)
        failure = _failure(line)
        return failure.error_type if failure else None

    assert kind(Tick()) == "no_permission"
    assert kind(Tick(data_type=1)) == "partial"


def test_what_the_clock_asks_for_leaves_a_busy_lane_to_the_load_that_is_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def held(*_: object, **__: object) -> None:
        raise LockHeldError("another load holds the lock")

    source = SimpleNamespace(
        check_request=lambda *_: None,
        resolve=lambda _, __, request, ___: LoadRequest("ib", mode=request.mode),
        when_busy=when_busy,
        lane_of=lambda request: request.mode,
    )
    monkeypatch.setattr("loaders.sources.find", lambda _: source)
    monkeypatch.setattr(engine, "prepare_warehouse", lambda *_: None)
    monkeypatch.setattr("loaders.warehouse.lock.load_lock", held)
    reporter: Any = SimpleNamespace(line=lambda _: None)

    def status(**options: str) -> str:
        request = LoadRequest("ib", mode="discover", options=options)
        return engine.run_load(Settings(), request, reporter, as_of=CLOSE).status

    assert status(**{DUE: "now"}) == "skipped"
    with pytest.raises(LockHeldError):
        status()


def test_a_refusal_between_symbols_that_nobody_answers_about_is_an_answer() -> None:
    load = SimpleNamespace(settings=Settings(), warn=lambda _: None)
    run = Context(load, ScriptedGateway(quote), Time())  # type: ignore[arg-type]
    for symbol in ("A", "B"):
        run.unanswered(symbol, GatewayTimeout("no answer for 30 s"))
    run.unanswered("C", UnknownUnderlying(["C"]))
    run.unanswered("D", GatewayTimeout("no answer for 30 s"))
    assert run.gone is None
    for symbol in ("E", "F"):
        run.unanswered(symbol, GatewayTimeout("no answer for 30 s"))
    assert isinstance(run.gone, GatewayGone)
