"""Whole simulated days and a week, driven as by a timer, with and without faults."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from loaders.ib.slots import NEW_YORK, session_before, session_on, sessions_between
from tests.integration.ib.bench import Bench, bench, fifty_symbols

# contracts of the set that are no row of a slot they belong to: there must never be one
ABSENT = """
    select s.symbol, d.trade_date, n.at
    from raw_ib.session as d
    cross join lateral generate_series(d.open_at, d.close_at, interval '30 minutes') as n (at)
    inner join raw_ib.session_contract as s on d.trade_date = s.trade_date
    where n.at + interval '2 minutes' <= %s
        and coalesce(s.first_seen_slot, 0)
            <= extract(epoch from n.at - d.open_at) / 1800
        and not exists (
            select 1 from raw_ib.chain_snapshot as c
            where c.trade_date = s.trade_date and c.conid = s.conid and c.sample_time = n.at
        )
"""
# error rows that do not say what they are
UNNAMED = """
    select symbol, sample_time, error_type
    from raw_ib.chain_snapshot
    where snapshot_error and (error_type is null or not data_quality_flag ~ 'snapshot_error')
"""
COVERED = """
    select trade_date::text, count(distinct sample_time)::int, count(*)::int,
        count(*) filter (where not snapshot_error)::int
    from raw_ib.chain_snapshot group by 1 order by 1
"""


def moments(day: date) -> Iterator[str]:
    """When a timer fires on a session: each task once, and what was missed in between."""
    session = session_on(day)
    assert session is not None
    yield f"{day}T04:00:00"
    yield f"{day}T07:30:00"
    yield f"{day}T09:25:00"
    for slot in session.slots:
        at = slot.at.astimezone(NEW_YORK).replace(tzinfo=None)
        yield (at + timedelta(seconds=5)).isoformat()
        if slot.at < session.close_at:
            yield (at + timedelta(minutes=20)).isoformat()
    before_close = session.close_at.astimezone(NEW_YORK).replace(tzinfo=None)
    yield (before_close - timedelta(minutes=5)).isoformat()
    yield f"{day}T17:00:00"
    yield f"{day}T17:30:00"


def drive(
    made: Bench, days: Sequence[date], script: Mapping[str, Callable[[Bench], object]] | None = None
) -> list[int]:
    """Exit codes of the loads of some sessions, minute by minute. `script` does things
    to the gateway before the first moment that is not earlier."""
    codes, left = [], dict(script or {})
    for day in days:
        for moment in sorted(moments(day)):
            made.at(moment)
            for at in [at for at in left if at <= moment]:
                left.pop(at)(made)
            # a gateway that restarted just before is back when it is asked what is due
            assert made.sandbox.wait_until_listening()
            codes += [result.exit_code for result in made.due()]
    return codes


def absent(made: Bench) -> list[tuple[object, ...]]:
    now = made.sandbox.clock
    assert isinstance(now, datetime)
    return made.rows(ABSENT, now.astimezone(NEW_YORK))


def broken_off(made: Bench) -> None:
    """The connection breaks twice while a slot is captured, each time in the midst of a batch."""
    so_far = made.sandbox.requests
    for more in (7, 15):
        made.sandbox.faults.add(f"disconnect:after={so_far + more}")


def restarted(made: Bench) -> None:
    """The gateway restarts while a slot is captured."""
    made.sandbox.faults.add(f"restart:after={made.sandbox.requests + 4}:seconds=0.3")


def script(day: date) -> dict[str, Callable[[Bench], object]]:
    def add(*rules: str) -> Callable[[Bench], object]:
        return lambda made: [made.sandbox.faults.add(rule) for rule in rules]

    def clear(made: Bench) -> None:
        made.sandbox.faults.clear()

    return {
        f"{day}T09:30:00": broken_off,
        f"{day}T09:45:00": clear,
        f"{day}T10:00:00": add("pacing:after=1:times=200"),
        f"{day}T10:15:00": clear,
        f"{day}T10:30:00": add("permission:symbol=MSFT:code=354"),
        f"{day}T10:45:00": clear,
        f"{day}T11:00:00": add("no-greeks:share=0.5", "mute:symbol=MSFT"),
        f"{day}T11:15:00": clear,
        f"{day}T11:30:00": restarted,
        f"{day}T11:45:00": clear,
        f"{day}T12:00:00": add("permission:symbol=AAPL:code=354:delayed=no"),
        f"{day}T12:10:00": clear,
        f"{day}T12:30:00": add("error:code=420:symbol=MSFT"),
        f"{day}T12:45:00": clear,
    }


def is_short(day: date) -> bool:
    session = session_on(day)
    assert session is not None
    return len(session.slots) == 8


def connections(made: Bench, day: date, slot: str) -> int:
    """How many the loads of a slot made, until what is missed is looked for."""
    begin = datetime.fromisoformat(f"{day}T{slot}:00").replace(tzinfo=NEW_YORK)
    asked = made.sandbox.asked("startApi")
    return sum(begin <= entry.clock < begin + timedelta(minutes=15) for entry in asked)


WEEKS = {
    "plain": (date(2026, 11, 16), date(2026, 11, 20)),
    "with Thanksgiving": (date(2026, 11, 23), date(2026, 11, 27)),
    "after the clocks changed": (date(2026, 10, 29), date(2026, 11, 4)),
}
FAULTY = {"a short day": (date(2026, 11, 27), date(2026, 11, 27)), **WEEKS}


@pytest.mark.parametrize(
    "days_of", ["a short day", pytest.param("with Thanksgiving", marks=pytest.mark.soak)]
)
def test_under_a_script_of_faults_no_contract_is_silently_absent(
    days_of: str, new_database: Callable[[], str], tmp_path: Path
) -> None:
    first, last = FAULTY[days_of]
    days = [session.trade_date for session in sessions_between(first, last)]
    every_day = {at: deed for day in days for at, deed in script(day).items()}
    with bench(new_database(), tmp_path / "home", clock=f"{first}T09:25:00", max_dte=30) as made:
        codes = drive(made, days, every_day)
        assert set(codes) <= {0, 4, 6}
        assert 6 in codes
        assert absent(made) == []
        assert made.rows(UNNAMED) == []
        # each fault struck, and was no fault in name only
        struck = made.sandbox.faults.struck
        assert (struck["disconnect"], struck["restart"]) == (2 * len(days), len(days))
        assert min(struck[kind] for kind in ("pacing", "mute", "error")) >= len(days)
        events = "select distinct trade_date, error_code from raw_ib.gateway_event"
        assert {(day, code) for day in days for code in (100, 354, 420)} <= set(made.rows(events))
        late = {
            (day, slot): count
            for day, slot, count in made.rows(
                "select trade_date, slot_label, "
                "count(*) filter (where ingest_run_type = 'recapture')::int "
                "from raw_ib.chain_snapshot group by 1, 2"
            )
        }
        for day in days:
            undisturbed = connections(made, day, "13:00")
            assert connections(made, day, "09:30") >= undisturbed + 2
            # it was back in time, or what it cost was captured later
            assert connections(made, day, "11:30") > undisturbed or late[day, "11:30"] > 0
            # what was turned away or mute was captured later in the session
            assert min(late[day, slot] for slot in ("10:00", "11:00")) > 0
        delayed = made.rows(
            "select distinct symbol from raw_ib.chain_snapshot "
            "where slot_label = '10:30' and data_quality_flag like '%delayed_fallback%'"
        )
        assert delayed == [("MSFT",)]
        # no permission and refusals are errors that waiting does not repair; but what the
        # last slot before the close lacks is asked for once more, whatever its reason
        refused = {(day, "AAPL", "no_permission", "12:00") for day in days} | {
            (day, "MSFT", "invalid_request", "12:30") for day in days if not is_short(day)
        }
        assert refused == set(
            made.rows(
                "select distinct trade_date, symbol, error_type, slot_label "
                "from raw_ib.chain_snapshot where snapshot_error"
            )
        )
        assert all(late[day, "12:30"] > 0 for day in days if is_short(day))
        pacing = made.rows("select sum(pacing_events) from raw_ib.slot_run")[0][0]
        assert pacing > 0
        assert made.rows("select count(*) from raw_ib.recapture where state = 'queued'") == [(0,)]


@pytest.mark.soak
@pytest.mark.parametrize("week", WEEKS)
def test_a_week_is_covered_whole(
    week: str, new_database: Callable[[], str], tmp_path: Path
) -> None:
    first, last = WEEKS[week]
    days = [session.trade_date for session in sessions_between(first, last)]
    clock = f"{session_before(first).trade_date}T20:00:00"
    with bench(new_database(), tmp_path / "home", clock=clock) as made:
        assert set(drive(made, days)) == {0}
        assert absent(made) == []
        for day, slots, rows, good in made.rows(COVERED):
            session = session_on(date.fromisoformat(str(day)))
            assert session is not None
            assert (slots, rows) == (len(session.slots), good)
        closes = made.rows("select count(distinct trade_date)::int from raw_ib.chain_close")
        assert closes == [(len(days),)]
        # that of the last day comes on the next morning
        interest = (
            "select count(distinct oi_asof_date)::int from raw_ib.open_interest "
            "where oi_asof_date >= %s"
        )
        assert made.rows(interest, first) == [(len(days) - 1,)]


@pytest.mark.soak
def test_a_slot_of_fifty_symbols_is_covered_whole(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    """By the loader, at the rates of the whole universe."""
    given = fifty_symbols(tmp_path) | {"max_concurrent_snapshots": 20, "timeout": 30.0}
    given |= {"rate_limits": {"snapshot": {"per_minute": 90}}}
    dsn, home = new_database(), tmp_path / "home"
    with bench(dsn, home, clock="2026-11-19T09:25:00", **given) as made:
        assert made.load("discover").exit_code == 0
        [(planned, of)] = made.rows(
            "select count(*)::int, count(distinct symbol)::int from raw_ib.session_contract"
        )
        assert (of, planned >= 50 * 8) == (50, True)
        slot = made.at("2026-11-19T09:30:05").load("snapshot", slot="now")
        groups = [task for task in slot.tasks if task.dataset == "chain_snapshot"]
        assert (slot.exit_code, len(groups)) == (0, 2)
        [(_, slots, rows, good)] = made.rows(COVERED)
        assert (slots, rows, good) == (1, planned, planned)
        assert absent(made) == []
        assert made.rows(
            "select count(*) from raw_ib.chain_snapshot where data_quality_flag ~ 'late'"
        ) == [(0,)]
        assert made.at("2026-11-19T17:00:00").load("close").exit_code == 0
        closes = (
            "select count(*)::int, count(*) filter (where not snapshot_error)::int "
            "from raw_ib.chain_close"
        )
        assert made.rows(closes) == [(planned, planned)]
