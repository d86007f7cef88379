"""Late loads: a slot that goes on, a close, open interest, a lost gateway."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from loaders.engine import run as engine
from loaders.engine.outcome import Outcome
from loaders.engine.request import LoadRequest
from loaders.engine.source import Requests
from loaders.ib.capture import outcomes
from loaders.ib.client.error_codes import classify_code
from loaders.ib.client.ticker import _failure
from loaders.ib.client.values import OpenInterest
from loaders.ib.context import Context
from loaders.ib.datasets import chain_close, chain_snapshot, open_interest
from loaders.ib.errors import GatewayGone, GatewayTimeout, UnknownUnderlying
from loaders.ib.planning.request import DUE, when_busy
from loaders.ib.planning.timetable import Timetable
from loaders.ib.queries.landed import Chain
from loaders.ib.settings import IbSettings
from loaders.ib.slots import parse_slot, require_session
from loaders.settings import Settings
from quotemill.errors import LockHeldError
from tests.unit.ib.gateways import ScriptedGateway, Time, contract, new_york, quote

CLOSE = datetime(2026, 11, 19, 21, 0, tzinfo=UTC)
LAST, TEN = "2026-11-19T21:00Z", "2026-11-19T15:00Z"


def make_context(now: datetime, **values: Any) -> Any:
    """As much of a running load as a dataset needs."""
    return SimpleNamespace(
        now=lambda: now,
        timetable=Timetable(IbSettings(), now),
        settings=IbSettings(),
        lineage={},
        load=SimpleNamespace(
            cancelling=lambda: False,
            log=lambda *_: None,
            hold=lambda *_: None,
            request=LoadRequest("ib", options={"pass": "confirm"}),
        ),
        **({"slot_deadlines": {}} | values),
    )


def test_a_slot_that_started_in_time_goes_on_after_its_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def whole(_: Any, slot: Any, symbols: list[str]) -> Iterator[Outcome]:
        return iter([Outcome(f"{symbol} {slot.name}", [{}]) for symbol in symbols])

    monkeypatch.setattr(chain_snapshot, "_capture_slot", whole)
    late = CLOSE + timedelta(minutes=8)
    started = make_context(late, slot_deadlines={LAST: CLOSE + timedelta(minutes=30)})
    [outcome] = chain_snapshot.fetch(started, [f"MSFT {LAST}"])
    assert (outcome.rows, outcome.skipped) == ([{}], None)
    [over] = chain_snapshot.fetch(make_context(late), [f"MSFT {LAST}"])
    assert "2026-11-19" in str(over.skipped)


@pytest.mark.parametrize(("landing", "expected"), [(0.1, 20), (1.5, 5), (300.0, 3)])
def test_a_slow_landing_does_not_take_the_time_of_a_slot(
    landing: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty batches of 1.5 seconds; the warehouse is near, far or was away."""
    clock = [0.0]

    def batches(*_: Any) -> Iterator[None]:
        for _number in range(20):
            clock[0] += 1.5
            yield

    ctx = make_context(
        CLOSE,
        ask=lambda _: {},
        gone=None,
        begun=set(),
        take_pacing_events=list,
        capturer=lambda *_: SimpleNamespace(run=batches),
        waits=SimpleNamespace(monotonic=lambda: clock[0]),
    )
    target = outcomes.Target(parse_slot(LAST), "chain_snapshot", "intraday", 1, CLOSE)
    monkeypatch.setattr(outcomes._Work, "finish", lambda *_: iter(()))
    parts = 0
    for outcome in outcomes.capture(ctx, target, chains={}, symbols=["MSFT"], contracts={}):
        parts += outcome.is_part
        clock[0] += landing
    assert parts == expected


def test_a_close_is_never_taken_from_a_later_day() -> None:
    session = require_session(date(2026, 11, 19))
    assert chain_close.why_too_late(session, CLOSE + timedelta(hours=2)) is None
    tomorrow = make_context(CLOSE + timedelta(hours=18))
    [outcome] = chain_close.fetch(tomorrow, ["AAPL 2026-11-19"])
    assert outcome.skipped is not None
    assert outcome.rows is None


def test_open_interest_is_complete_from_min_oi_share_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = tuple(contract(n) for n in range(1, 41))
    at = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)

    def status(missing: int) -> tuple[Any, bool]:
        answers = [OpenInterest(c, 5 if c.conid > missing else None, at) for c in chain]
        monkeypatch.setattr(open_interest, "_request", lambda *_: answers)
        set_of = {"AAPL": Chain("AAPL", chain, date(2026, 11, 19), False)}
        ctx = make_context(at, chains=lambda *_: set_of, ask=lambda _: {}, ingest_id="", gone=None)
        monkeypatch.setattr(open_interest, "_count_failed_mornings", lambda *_: 0)
        result = open_interest._attempt(ctx, "AAPL 2026-11-19", "AAPL", date(2026, 11, 19))
        return result.beside[0]["status"], result.failure is None

    assert [status(n) for n in (0, 2, 3)] == [
        ("complete", True),
        ("complete", True),
        ("failed", False),
    ]


@pytest.mark.parametrize("code", [10090, 10091])
def test_a_partial_answer_without_data_is_a_refusal(code: int) -> None:
    def kind(arrived_at: datetime | None) -> str | None:
        request = SimpleNamespace(failure=lambda: None, codes=[(classify_code(code), "a part")])
        line: Any = SimpleNamespace(request=request, ticker=SimpleNamespace(time=arrived_at))
        failure = _failure(line)
        return failure.error_type if failure else None

    assert kind(None) == "no_permission"
    assert kind(datetime.now(UTC)) == "partial"


def test_a_scheduled_load_skips_a_busy_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source: Any = SimpleNamespace(
        requests=Requests(
            resolve=lambda _, __, request, ___: LoadRequest("ib", mode=request.mode),
            when_busy=when_busy,
        ),
        lane_of=lambda request: request.mode,
    )
    monkeypatch.setattr(
        "loaders.warehouse.lock.load_lock",
        Mock(side_effect=LockHeldError("another load holds the lock")),
    )
    reporter: Any = SimpleNamespace(line=lambda _: None)

    def status(**options: str) -> str:
        request = LoadRequest("ib", mode="discover", options=options)
        warehouse: Any = None
        return engine.run_load(
            Settings(), source, request, reporter, prepare=lambda: warehouse, as_of=CLOSE
        ).status

    assert status(**{DUE: "now"}) == "skipped"
    with pytest.raises(LockHeldError):
        status()


def test_a_refusal_between_unanswered_symbols_is_an_answer() -> None:
    load = SimpleNamespace(settings=Settings(), warn=lambda _: None)
    ctx = Context(load, ScriptedGateway(quote), Time())  # type: ignore[arg-type]
    for symbol in ("A", "B"):
        ctx.count_unanswered(symbol, GatewayTimeout("no response for 30 s"))
    ctx.count_unanswered("C", UnknownUnderlying(["C"]))
    ctx.count_unanswered("D", GatewayTimeout("no response for 30 s"))
    assert ctx.gone is None
    for symbol in ("E", "F"):
        ctx.count_unanswered(symbol, GatewayTimeout("no response for 30 s"))
    assert isinstance(ctx.gone, GatewayGone)


def test_the_last_slot_gives_way_before_its_job_is_stopped() -> None:
    load = SimpleNamespace(settings=Settings(), warn=lambda _: None)

    def deadline(slot: str, now: str) -> datetime:
        gateway = SimpleNamespace(now=lambda: new_york(now))
        ctx = Context(load, gateway, Time())  # type: ignore[arg-type]
        return ctx.deadline(parse_slot(slot))

    last = deadline("2026-11-19T21:00Z", "2026-11-19T16:01:30")
    assert last == new_york("2026-11-19T16:28:00")
    before = deadline("2026-11-19T20:30Z", "2026-11-19T15:30:05")
    assert before == new_york("2026-11-19T15:58:00")
