"""What a moment of New York is for."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from loaders.engine.request import LoadRequest
from loaders.errors import NotDue, SettingsError, UsageError
from loaders.ib.planning import record, stored
from loaders.ib.planning import request as requests
from loaders.ib.planning.day_tasks import Agenda, asof_date
from loaders.ib.planning.stored import Queued
from loaders.ib.settings import IbSettings
from loaders.ib.slots import NEW_YORK
from loaders.settings import Settings
from tests.conftest import require_ib


def at(text: str, **ib: Any) -> Agenda:
    return Agenda(IbSettings(**ib), new_york(text))


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize(
    ("moment", "label"),
    [
        ("2026-11-19T09:30:00", "09:30"),
        ("2026-11-19T10:01:59", "10:00"),
        ("2026-11-19T10:17:00", "10:00"),
        ("2026-11-19T16:02:00", "16:00"),
        ("2026-11-27T13:01:00", "13:00"),
    ],
)
def test_now_is_the_newest_slot_that_has_begun(moment: str, label: str) -> None:
    assert at(moment).slot_now(in_time=False).label == label


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2026-11-19T09:29:59", "the first is at 09:30"),
        ("2026-11-19T16:02:01", "is over"),
        ("2026-11-26T10:00:00", "2026-11-26 is no trading day; the next is 2026-11-27"),
        ("2026-11-27T13:30:00", "is over"),
        ("2026-11-21T12:00:00", "no trading day"),
    ],
)
def test_out_of_hours_there_is_no_slot(moment: str, why: str) -> None:
    with pytest.raises(NotDue, match=f"no slot: .*{why}"):
        at(moment).slot_now(in_time=False)


def test_by_the_clock_a_slot_is_due_within_its_grace_alone() -> None:
    assert at("2026-11-19T10:02:00").slot_now(in_time=True).label == "10:00"
    with pytest.raises(NotDue, match="the next is at 10:30"):
        at("2026-11-19T10:02:01").slot_now(in_time=True)


def test_a_slot_by_name_has_begun_and_is_of_today() -> None:
    agenda = at("2026-11-19T10:10:00")
    assert agenda.slot_named("09:30").index == 0
    with pytest.raises(UsageError, match=r"--slot 10:15: no slot") as caught:
        agenda.slot_named("10:15")
    assert "10:00, 10:30" in caught.value.hint
    with pytest.raises(UsageError, match="has not begun: it is 10:10"):
        agenda.slot_named("10:30")
    with pytest.raises(NotDue, match="cannot be had"):
        at("2026-11-19T17:00:00").slot_named("10:30")


def test_a_day_has_the_slots_that_are_left() -> None:
    left = at("2026-11-19T14:31:00").slots_left()
    assert [slot.label for slot in left] == ["14:30", "15:00", "15:30", "16:00"]
    narrow = at("2026-11-19T09:00:00", slot_range="10:00-10:30").slots_left()
    assert [slot.label for slot in narrow] == ["10:00", "10:30"]
    with pytest.raises(NotDue):
        at("2026-11-19T16:03:00").slots_left()


def test_each_task_has_its_hours() -> None:
    with pytest.raises(NotDue, match="09:25"):
        at("2026-11-19T09:24:00").discovery(by_clock=True)
    assert at("2026-11-19T08:00:00").discovery(by_clock=False).trade_date == date(2026, 11, 19)
    with pytest.raises(NotDue, match="17:00"):
        at("2026-11-19T16:30:00").close(by_clock=False)
    with pytest.raises(NotDue, match="ended 19:00"):
        at("2026-11-19T19:00:01").close(by_clock=True)
    moments = "04:00:00", "07:30:00", "09:30:00", "23:59:00"
    asked = [at(f"2026-11-23T{moment}").enriched() for moment in moments]
    assert {found.trade_date for found in asked} == {date(2026, 11, 20)}
    assert [found.which for found in asked] == ["first", "confirm", "late", "late"]
    with pytest.raises(NotDue, match="04:00"):
        at("2026-11-23T03:59:00").enriched()
    with pytest.raises(UsageError, match="no trading day"):
        at("2026-11-30T08:00:00").enriched_day(date(2026, 11, 26))
    with pytest.raises(UsageError, match="next morning"):
        at("2026-11-19T18:00:00").enriched_day(date(2026, 11, 19))


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-20T04:00:00", "2026-11-18"),  # not published yet
        ("2026-11-20T06:30:00", "2026-11-19"),
        ("2026-11-22T12:00:00", "2026-11-19"),  # Friday's comes on Monday
        ("2026-11-23T07:30:00", "2026-11-20"),
        ("2026-11-27T07:30:00", "2026-11-25"),  # over a holiday
    ],
)
def test_open_interest_is_of_the_session_before_the_newest_publication(
    moment: str, day: str
) -> None:
    assert f"{asof_date(new_york(moment), '06:30')}" == day


# -- requests --------------------------------------------------------------------------------------

IB = Settings(ib=IbSettings(host="127.0.0.1"))


def asked(mode: str = "incremental", **options: str) -> LoadRequest:
    return LoadRequest("ib", mode=mode, options=options)


def resolved(request: LoadRequest, moment: str) -> dict[str, str]:
    return dict(requests.resolve(IB, None, request, new_york(moment)).options)


def test_words_become_named_slots_and_days() -> None:
    assert resolved(asked("snapshot", slot="now"), "2026-11-19T10:10:00") == {
        "slots": "2026-11-19T15:00Z"
    }
    assert resolved(asked("snapshot", run_day="yes"), "2026-11-27T12:20:00") == {
        "slots": "2026-11-27T17:30Z,2026-11-27T18:00Z",
        "run_day": "true",
    }
    assert resolved(asked("discover"), "2026-11-19T09:25:00") == {"date": "2026-11-19"}
    assert resolved(asked("enrich", date="2026-11-19"), "2026-11-24T09:25:00") == {
        "date": "2026-11-19",
        "pass": "manual",
    }
    with pytest.raises(NotDue, match="nothing waits"):
        resolved(asked("snapshot", retry_missed="yes"), "2026-11-19T10:10:00")


@pytest.mark.parametrize(
    ("moment", "tasks"),
    [
        ("2026-11-19T09:25:00", ["discover"]),
        ("2026-11-19T10:01:00", ["discover", "snapshot"]),
        ("2026-11-19T10:15:00", ["discover"]),
        ("2026-11-19T17:00:00", ["close"]),
    ],
)
def test_without_a_task_it_is_what_is_due_at_this_minute(
    moment: str, tasks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "find_warehouse", lambda _: None)
    assert [p.mode for p in requests.parts(IB, asked(), new_york(moment))] == tasks


def test_on_a_closed_day_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "find_warehouse", lambda _: None)
    with pytest.raises(NotDue, match="no slot: 2026-11-26 is no trading day"):
        requests.parts(IB, asked(), new_york("2026-11-26T10:00:00"))


def test_a_task_by_name_or_by_its_option_is_one_load() -> None:
    moment = datetime.now(UTC) + timedelta(days=1)
    assert [p.mode for p in requests.parts(IB, asked("close"), moment)] == ["close"]
    assert [p.mode for p in requests.parts(IB, asked(slot="now"), moment)] == ["snapshot"]
    assert [p.mode for p in requests.parts(IB, asked(date="2026-11-19"), moment)] == ["enrich"]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (asked("discovery"), "--task discovery: unknown"),
        (asked("close", slot="now"), "--slot does not go with --task close"),
        (asked("snapshot", slot="now", run_day="yes"), "one of --slot, --run-day"),
        (LoadRequest("ib", mode="close", datasets=("contract",)), "takes no --dataset"),
        (LoadRequest("ib", mode="close", since=date(2026, 11, 1)), "--since"),
        (LoadRequest("ib", mode="close", keys=("NOPE",)), "not in the universe: NOPE"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_: LoadRequest, says: str) -> None:
    require_ib()
    with pytest.raises(UsageError) as caught:
        requests.check_request(IB, request_)
    assert says in str(caught.value)


def test_without_a_gateway_the_settings_are_what_is_wrong() -> None:
    with pytest.raises(SettingsError, match="IB_HOST is not set"):
        requests.check_request(Settings(), asked())
    # and nothing is asked of anybody before
    assert requests.parts(Settings(), asked(), None) == (asked(),)


def test_a_retry_names_no_task_and_a_load_does() -> None:
    require_ib()
    requests.check_request(IB, asked())
    with pytest.raises(UsageError, match="of one task"):
        requests.resolve(IB, None, asked(), new_york("2026-11-19T10:00:00"))


def queued(symbol: str, at: str) -> Queued:
    moment = new_york(at)
    return Queued(moment, 1, symbol, "no_answer", 1, moment, moment)


def of_queue(*waiting: Queued, now: str) -> str:
    conn: Any = object()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "queue", lambda _: list(waiting))
        return requests._missed(at(now), conn, ["AAPL"], by_clock=True)


def test_what_waits_of_others_is_not_due_until_its_session_is_over() -> None:
    other = queued("MSFT", "2026-11-19T10:00:00")
    assert of_queue(queued("AAPL", "2026-11-19T10:00:00"), now="2026-11-19T10:20:00")
    with pytest.raises(NotDue, match="nothing waits"):
        of_queue(other, now="2026-11-19T10:20:00")
    assert of_queue(other, now="2026-11-20T04:00:00")


def test_a_symbol_without_contracts_of_the_day_keeps_open_interest_not_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day, moment = date(2026, 11, 19), at("2026-11-20T07:31:00")
    conn: Any = object()
    options = {requests.DUE: "now"}
    monkeypatch.setattr(stored, "frozen_counts", lambda *_: {"AAPL": 8})
    tried = [(day, "AAPL", new_york("2026-11-20T07:30:00"), "failed", "confirm")]
    monkeypatch.setattr(stored, "enrichments", lambda _, symbols, __: tried)
    with pytest.raises(NotDue, match="was asked for"):
        requests._enrich(moment, options, ["AAPL", "NEW"], conn)
    # once more after the open, unless it came meanwhile
    late = at("2026-11-20T10:00:00")
    found = requests._enrich(late, options, ["AAPL"], conn)
    assert found == ({"date": day, "pass": "late"}, ["AAPL"])
    tried.append((day, "AAPL", new_york("2026-11-20T09:45:00"), "failed", "late"))
    with pytest.raises(NotDue, match="was asked for"):
        requests._enrich(late, options, ["AAPL"], conn)
    later = at("2026-11-20T10:46:00")  # twice in vain
    assert requests._enrich(later, options, ["AAPL"], conn).symbols == ["AAPL"]
    tried.append((day, "AAPL", new_york("2026-11-20T10:46:00"), "complete", "late"))
    with pytest.raises(NotDue, match="was asked for"):
        requests._enrich(at("2026-11-20T15:00:00"), options, ["AAPL"], conn)
    tried.clear()
    assert requests._enrich(moment, options, ["AAPL", "NEW"], conn).options["date"] == day


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the warehouse tells of AAPL, MSFT and NEW; of the last there are no contracts."""
    world: dict[str, Any] = {"done": {}, "told": set(), "failed": {}, "lacking": set()}
    world["cut_off"] = False
    monkeypatch.setattr(record, "was_cut_off", lambda *_: world["cut_off"])
    monkeypatch.setattr(record, "last_done", lambda *_: world["done"])
    monkeypatch.setattr(stored, "with_contracts", lambda *_: {"AAPL", "MSFT"})
    monkeypatch.setattr(stored, "told", lambda *_: world["told"])
    monkeypatch.setattr(record, "failed_discoveries", lambda *_: world["failed"])
    monkeypatch.setattr(stored, "lacking", lambda *_: world["lacking"])
    return world


def left_of(resolver: Any, moment: str, due: str = "now") -> list[str]:
    """The symbols that a resolver finds something to do for; none where it is not due."""
    conn: Any = object()
    try:
        found = resolver(at(moment), {requests.DUE: due}, ["AAPL", "MSFT", "NEW"], conn)
    except NotDue:
        return []
    return list(found.symbols)


def test_a_symbol_without_contracts_costs_the_others_no_slot(known: dict[str, Any]) -> None:
    moment, slot = "2026-11-19T10:00:05", "2026-11-19T15:00Z"
    assert left_of(requests._snapshot, moment, "known") == ["AAPL", "MSFT"]
    assert left_of(requests._snapshot, moment) == ["AAPL", "MSFT", "NEW"]
    known["done"] = {"AAPL": slot, "NEW": "2026-11-18T21:00Z"}
    assert left_of(requests._snapshot, moment, "known") == ["MSFT"]
    assert left_of(requests._snapshot, moment) == ["MSFT", "NEW"]
    known["done"] |= {"MSFT": slot}
    assert left_of(requests._snapshot, moment, "known") == []
    assert left_of(requests._snapshot, moment) == ["NEW"]
    known["told"] = {"AAPL", "MSFT", "NEW"}
    assert left_of(requests._snapshot, moment) == []


def test_a_slot_that_was_cut_off_is_taken_up_when_its_grace_is_over(known: dict[str, Any]) -> None:
    assert left_of(requests._snapshot, "2026-11-19T10:20:00", "known") == []
    known["cut_off"] = True
    assert left_of(requests._snapshot, "2026-11-19T10:20:00", "known") == ["AAPL", "MSFT"]


def test_discovery_that_failed_is_tried_again_at_the_next_slot(known: dict[str, Any]) -> None:
    known["done"] = {"AAPL": "2026-11-19", "MSFT": "2026-11-18"}
    assert left_of(requests._discover, "2026-11-19T09:25:00") == ["MSFT", "NEW"]
    known["failed"] = {"NEW": new_york("2026-11-19T09:25:00")}
    assert left_of(requests._discover, "2026-11-19T09:29:00") == ["MSFT"]
    known["done"] |= {"MSFT": "2026-11-19"}
    assert left_of(requests._discover, "2026-11-19T09:29:00") == []
    assert left_of(requests._discover, "2026-11-19T09:30:05") == ["NEW"]
    known["failed"] = {"NEW": new_york("2026-11-19T09:30:05")}
    assert left_of(requests._discover, "2026-11-19T09:59:00") == []
    assert left_of(requests._discover, "2026-11-19T10:00:00") == ["NEW"]


def test_a_symbol_without_contracts_has_no_close(known: dict[str, Any]) -> None:
    assert left_of(requests._close, "2026-11-19T17:00:00") == ["AAPL", "MSFT"]
    known["done"] = {"AAPL": "2026-11-19", "MSFT": "2026-11-19"}
    assert left_of(requests._close, "2026-11-19T17:01:00") == []
    known["lacking"] = {"MSFT"}
    assert left_of(requests._close, "2026-11-19T17:01:00") == ["MSFT"]
