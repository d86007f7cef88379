"""What is due at a time, by the request and by what is stored."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from loaders.engine.request import LoadRequest
from loaders.ib.operations import JOBS
from loaders.ib.planning import due
from loaders.ib.planning.due import Question
from loaders.ib.planning.request import DUE, check_request
from loaders.ib.queries import landed, loads
from loaders.ib.settings import IbSettings
from loaders.ib.source import SOURCE
from loaders.settings import Settings
from quotemill.errors import NotDue, SettingsError, UsageError
from tests.requirements import require_ib
from tests.unit.ib.gateways import new_york

IB = Settings(ib=IbSettings(host="127.0.0.1"))


def make_request(mode: str = "incremental", **options: str) -> LoadRequest:
    return LoadRequest("ib", mode=mode, options=options)


def resolved(request: LoadRequest, now: str) -> dict[str, str]:
    return dict(due.resolve(IB, None, request, new_york(now)).options)


def test_options_become_named_slots_and_days() -> None:
    assert resolved(make_request("snapshot", slot="now"), "2026-11-19T10:10:00") == {
        "slots": "2026-11-19T15:00Z"
    }
    assert resolved(make_request("snapshot", run_day="yes"), "2026-11-27T12:20:00") == {
        "slots": "2026-11-27T17:30Z,2026-11-27T18:00Z",
        "run_day": "true",
    }
    assert resolved(make_request("discover"), "2026-11-19T09:25:00") == {"date": "2026-11-19"}
    assert resolved(make_request("enrich", date="2026-11-19"), "2026-11-24T09:25:00") == {
        "date": "2026-11-19",
        "pass": "manual",
    }
    with pytest.raises(NotDue, match="AAPL"):
        resolved(make_request("snapshot", retry_missed="yes"), "2026-11-19T10:10:00")


def test_words_for_days_are_those_of_new_york() -> None:
    late = "2026-11-19T22:00:00"  # in UTC it is the next day
    assert resolved(make_request("close", date="today"), late) == {"date": "2026-11-19"}
    assert resolved(make_request("enrich", date="yesterday"), late)["date"] == "2026-11-18"
    # the session before today: after a weekend, and on and after a holiday
    for now, session in (("23", "20"), ("26", "25"), ("27", "25")):
        at = f"2026-11-{now}T08:00:00"
        day = resolved(make_request("enrich", date="yesterday"), at)["date"]
        assert day == f"2026-11-{session}"
    with pytest.raises(UsageError, match="'someday'"):
        resolved(make_request("close", date="someday"), late)
    for typed in ("0226-11-19", "9999-12-31"):
        with pytest.raises(UsageError, match=f"--date {typed}: "):
            resolved(make_request("close", date=typed), late)


@pytest.mark.parametrize("task", ["snapshot", "close", "enrich"])
def test_a_day_without_a_session_is_refused_and_today_is_not_due(task: str) -> None:
    closed = "2026-11-26T18:00:00"
    with pytest.raises(NotDue, match=r"2026-11-26 .* 2026-11-27"):
        resolved(make_request(task, date="today"), closed)
    with pytest.raises(UsageError, match="--date 2026-11-22 ") as refused:
        resolved(make_request(task, date="2026-11-22"), closed)
    assert "--date 2026-11-20" in refused.value.hint


def test_quotes_of_another_day_than_the_session_of_today_are_refused() -> None:
    now = "2026-11-19T10:10:00"
    assert resolved(make_request("snapshot", slot="10:00", date="2026-11-19"), now) == {
        "slots": "2026-11-19T15:00Z"
    }
    for task, day in (
        ("snapshot", "yesterday"),
        ("snapshot", "2026-11-20"),
        ("close", "yesterday"),
    ):
        with pytest.raises(UsageError, match=r"New York .* 2026-11-19") as refused:
            resolved(make_request(task, date=day), now)
        assert "--date today" in refused.value.hint


def test_what_a_slot_that_is_over_lacks_is_not_asked_for() -> None:
    missed = {"retry_missed": "yes"}
    with pytest.raises(UsageError, match="--slot 09:30 "):
        resolved(make_request("snapshot", slot="09:30", **missed), "2026-11-19T10:10:00")
    with pytest.raises(NotDue, match="AAPL"):
        resolved(make_request("snapshot", slot="10:00", **missed), "2026-11-19T10:10:00")


def test_each_task_has_its_hours() -> None:
    clock = {DUE: "now"}
    for request, now, why in (
        (make_request("discover", **clock), "2026-11-19T09:24:00", "discovery is at 09:25"),
        (make_request("discover"), "2026-11-19T16:00:01", "the session of 2026-11-19 has ended"),
        (make_request("close"), "2026-11-19T16:30:00", "the close snapshot is at 17:00"),
        (make_request("close", **clock), "2026-11-19T19:00:01", "ended at 19:00"),
        (make_request("enrich"), "2026-11-23T03:59:00", "requested at 04:00"),
        (make_request("daily"), "2026-11-27T08:00:00", "final at 15:00"),
    ):
        with pytest.raises(NotDue, match=why):
            resolved(request, now)
    assert resolved(make_request("discover"), "2026-11-19T08:00:00") == {"date": "2026-11-19"}
    assert resolved(make_request("close"), "2026-11-19T23:00:00") == {"date": "2026-11-19"}
    times = {"04:00": "first", "07:30": "confirm", "09:30": "late", "23:59": "late"}
    assert {now: resolved(make_request("enrich"), f"2026-11-23T{now}:00") for now in times} == {
        now: {"date": "2026-11-20", "pass": name} for now, name in times.items()
    }
    for day, why in (
        ("2026-11-26", "not a trading day"),
        ("2026-11-30", "next morning"),
        ("today", "next morning"),
    ):
        with pytest.raises(UsageError, match=why):
            resolved(make_request("enrich", date=day), "2026-11-30T18:00:00")


def test_a_slot_is_not_captured_because_a_later_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    cursors = {"AAPL": "2026-11-19T15:00Z", "MSFT": "2026-11-19T14:30Z", "SPX": "2026-11-19T15:00Z"}
    monkeypatch.setattr(loads, "read_cursors", lambda *_: cursors)
    monkeypatch.setattr(landed, "read_recorded_symbols", lambda *_: {"MSFT", "SPX"})
    monkeypatch.setattr(landed, "read_chains", lambda *_: {"AAPL": [], "MSFT": [], "SPX": []})

    def find_symbols(now: str) -> Any:
        return due._find_snapshot(make_question(f"2026-11-19T{now}", [*cursors]))[1]

    assert find_symbols("09:45:00") == ["AAPL"]  # of the slots, only 10:00 was
    assert find_symbols("10:05:00") == ["MSFT"]
    cursors["MSFT"] = "2026-11-19T15:00Z"
    with pytest.raises(NotDue, match=r"10:00 .*captured"):
        find_symbols("10:05:00")


def test_failed_discovery_is_tried_again_at_the_next_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {"AAPL": new_york("2026-11-19T09:27:00")}
    monkeypatch.setattr(loads, "read_cursors", lambda *_: {})
    monkeypatch.setattr(loads, "read_failed_discoveries", lambda *_: failed)

    def symbols(now: str) -> Any:
        return due._find_discovery(make_question(f"2026-11-19T{now}", ["AAPL", "MSFT"]))[1]

    assert symbols("09:29:59") == ["MSFT"]
    assert symbols("09:30:00") == ["AAPL", "MSFT"]
    failed |= dict.fromkeys(["AAPL", "MSFT"], new_york("2026-11-19T09:30:00"))
    with pytest.raises(NotDue, match="AAPL, MSFT"):
        symbols("09:45:00")


def test_the_job_before_the_close_takes_no_other_slot() -> None:
    job = JOBS["ib_snapshot_before_close"]
    assert job.command.split("--task ")[1] == "snapshot --slot before-close"
    added = Settings(ib=IbSettings(host="127.0.0.1", slot_before_close_enabled=True))
    request = make_request("snapshot", slot="before-close")

    def slots(now: str) -> str:
        return due.resolve(added, None, request, new_york(now)).options["slots"]

    assert slots("2026-11-19T15:45:00") == "2026-11-19T20:45Z"
    assert slots("2026-11-27T12:45:00") == "2026-11-27T17:45Z"  # an early close
    for now in ("2026-11-19T12:45:00", "2026-11-27T15:45:00", "2026-11-19T16:00:00"):
        with pytest.raises(NotDue, match=f"{now[11:16]} .* (15|12):45$"):
            slots(now)
    with pytest.raises(NotDue, match=r"ib\.slot_before_close_enabled"):
        due.resolve(IB, None, request, new_york("2026-11-19T15:45:00"))


@pytest.mark.parametrize(
    ("now", "tasks"),
    [
        ("2026-11-19T09:25:00", ["discover"]),
        ("2026-11-19T10:01:00", ["discover", "snapshot"]),
        ("2026-11-19T10:15:00", ["discover", "snapshot"]),
        ("2026-11-19T10:28:00", ["discover"]),
        ("2026-11-19T17:00:00", ["close"]),
    ],
)
def test_without_a_task_the_minute_decides(
    now: str, tasks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due, "find_warehouse", lambda _: None)
    assert [p.mode for p in due.split_request(IB, make_request(), new_york(now))] == tasks


def test_on_a_closed_day_nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "find_warehouse", lambda _: None)
    with pytest.raises(NotDue, match="2026-11-26"):
        due.split_request(IB, make_request(), new_york("2026-11-26T10:00:00"))


def test_a_task_by_name_or_by_its_option_is_one_load() -> None:
    now = datetime.now(UTC) + timedelta(days=1)
    assert [p.mode for p in due.split_request(IB, make_request("close"), now)] == ["close"]
    assert [p.mode for p in due.split_request(IB, make_request(slot="now"), now)] == ["snapshot"]
    assert [p.mode for p in due.split_request(IB, make_request(date="2026-11-19"), now)] == [
        "enrich"
    ]


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (make_request("discovery"), "unknown task: --task discovery"),
        (make_request("close", slot="now"), "--slot cannot be used with --task close"),
        (make_request("close", run_day="yes"), "--run-day cannot be used with --task close"),
        (
            make_request("snapshot", slot="now", run_day="yes"),
            "--run-day cannot be used with --slot",
        ),
        (
            LoadRequest("ib", mode="close", datasets=("contract",)),
            "--dataset cannot be used with ib",
        ),
        (LoadRequest("ib", mode="close", since=date(2026, 11, 1)), "--since"),
        (LoadRequest("ib", mode="close", keys=("NOPE",)), "not in the universe: NOPE"),
    ],
)
def test_a_contradictory_request_is_refused(request_: LoadRequest, says: str) -> None:
    require_ib()
    with pytest.raises(UsageError) as caught:
        check_request(IB, request_)
    assert says in str(caught.value)


def test_without_a_gateway_the_settings_are_named() -> None:
    with pytest.raises(SettingsError, match="IB_HOST"):
        check_request(Settings(), make_request())
    assert due.split_request(Settings(), make_request(), None) == (make_request(),)


def test_a_retry_names_no_task_and_a_load_does() -> None:
    require_ib()
    check_request(IB, make_request())
    with pytest.raises(UsageError, match="ib"):
        due.resolve(IB, None, make_request(), new_york("2026-11-19T10:00:00"))


def make_question(now: str, symbols: list[str]) -> Question:
    conn: Any = object()
    return Question(IbSettings(), new_york(now), {DUE: "now"}, symbols, conn)


def test_the_clock_completes_only_captures_that_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cursors = {"AAPL": "2026-11-19T15:00Z", "MSFT": "2026-11-19T14:30Z"}
    monkeypatch.setattr(loads, "read_cursors", lambda *_: cursors)
    monkeypatch.setattr(landed, "read_recorded_symbols", lambda *_: set())

    def read_missing(*given: Any) -> dict[str, list[int]]:
        return {"AAPL": [1], "MSFT": [2], "SPX": []}

    monkeypatch.setattr(landed, "read_missing", read_missing)

    def find(now: str, **options: str) -> Any:
        conn: Any = object()
        symbols = ["AAPL", "MSFT", "SPX"]
        return due._find_snapshot(Question(IbSettings(), new_york(now), options, symbols, conn))

    ten = {"slots": "2026-11-19T15:00Z", "retry_missed": "true"}
    assert find("2026-11-19T10:05:00", due="missed") == (ten, ["AAPL"])
    assert find("2026-11-19T10:05:00", retry_missed="yes") == (ten, ["AAPL", "MSFT"])
    with pytest.raises(NotDue, match=r"10:28 .* 10:30$"):
        find("2026-11-19T10:28:00", due="missed")
    cursors["AAPL"] = "2026-11-19T14:30Z"
    with pytest.raises(NotDue, match="10:00 is not missing"):
        find("2026-11-19T10:05:00", due="missed")


def test_open_interest_is_retried_until_it_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    day = date(2026, 11, 19)
    attempts = [(day, "AAPL", new_york("2026-11-20T07:30:00"), "failed", "confirm")]
    monkeypatch.setattr(landed, "count_contracts", lambda *_: {"AAPL": 8})
    monkeypatch.setattr(landed, "read_enrichments", lambda *_: attempts)

    def resolve(now: str) -> Any:
        # NEW has no contracts of the day, which keeps nothing due
        return due._find_interest(make_question(f"2026-11-20T{now}", ["AAPL", "NEW"]))

    with pytest.raises(NotDue, match=f"{day}"):
        resolve("07:31:00")
    # once more after the open, unless it came meanwhile
    assert resolve("10:00:00") == ({"date": f"{day}", "pass": "late"}, ["AAPL"])
    attempts.append((day, "AAPL", new_york("2026-11-20T09:45:00"), "failed", "late"))
    with pytest.raises(NotDue, match=f"{day}"):
        resolve("10:00:00")
    assert resolve("10:46:00")[1] == ["AAPL"]  # an hour after the second failure
    attempts.append((day, "AAPL", new_york("2026-11-20T10:46:00"), "complete", "late"))
    with pytest.raises(NotDue, match=f"{day}"):
        resolve("15:00:00")
    attempts.clear()
    assert resolve("07:31:00")[0]["date"] == f"{day}"


def test_keys_that_name_a_moment_are_not_stored_as_failures_to_repair() -> None:
    passing = {dataset.name for dataset in SOURCE.datasets if not dataset.recurs}
    assert passing >= {"chain_snapshot", "chain_close", "open_interest"}
    assert {"contract", "underlying", "session"}.isdisjoint(passing)
