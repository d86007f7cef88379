"""Whole simulated days and a week, as a timer would drive them, undisturbed and under a script of faults."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from loaders.ib.slots import NEW_YORK, session_before, session_on, sessions_between
from tests.integration.ib.bench import Bench, bench

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
    """Every moment of some sessions; the exit codes of the loads that there were. `script` does things
    to the gateway before the first moment that is not earlier."""
    codes, left = [], dict(script or {})
    for day in days:
        for moment in sorted(moments(day)):
            made.at(moment)
            for at in [at for at in left if at <= moment]:
                left.pop(at)(made)
            codes += [result.exit_code for result in made.due()]
    return codes


def absent(made: Bench) -> list[tuple[object, ...]]:
    now = made.sandbox.clock
    assert isinstance(now, datetime)
    return made.rows(ABSENT, now.astimezone(NEW_YORK))


@pytest.mark.soak
def test_an_early_close_has_eight_slots_and_all_of_them_are_covered(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    day = date(2026, 11, 27)
    with bench(new_database(), tmp_path / "home", clock=f"{day}T04:00:00") as made:
        assert set(drive(made, [day])) == {0}
        [(_, slots, rows, good)] = made.rows(COVERED)
        assert (slots, rows) == (8, good)
        assert absent(made) == []
        runs = made.rows("select count(*)::int, min(status), max(status) from raw_ib.slot_run")
        assert runs == [(18, "complete", "complete")]  # and the close


def restarted(made: Bench) -> None:
    """The gateway restarts while a slot is captured."""
    made.sandbox.faults.add("restart:after=10:seconds=0.3")


def script(day: date) -> dict[str, Callable[[Bench], object]]:
    def add(*rules: str) -> Callable[[Bench], object]:
        return lambda made: [made.sandbox.faults.add(rule) for rule in rules]

    def clear(made: Bench) -> None:
        made.sandbox.faults.clear()

    return {
        f"{day}T09:30:00": add("disconnect:after=7:times=2"),
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
        f"{day}T12:30:00": lambda made: made.sandbox.faults.add("error:code=420:symbol=MSFT"),
        f"{day}T12:45:00": clear,
    }


def test_under_a_script_of_faults_no_contract_is_silently_absent(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    day = date(2026, 11, 27)
    with bench(new_database(), tmp_path / "home", clock=f"{day}T09:25:00", max_dte=30) as made:
        codes = drive(made, [day], script(day))
        assert set(codes) <= {0, 4, 6}
        assert 6 in codes
        assert absent(made) == []
        assert made.rows(UNNAMED) == []
        # what was turned away, mute or refused was captured later in the session
        late = dict(
            made.rows(
                "select slot_label, count(*) filter (where ingest_run_type = 'recapture')::int "
                "from raw_ib.chain_snapshot group by 1"
            )
        )
        assert late["10:00"] > 0
        assert late["11:00"] > 0
        assert late["12:30"] > 0
        delayed = made.rows(
            "select distinct symbol from raw_ib.chain_snapshot "
            "where slot_label = '10:30' and data_quality_flag like '%delayed_fallback%'"
        )
        assert delayed == [("MSFT",)]
        # no permission at all is an error that waiting does not mend
        denied = made.rows(
            "select distinct symbol, error_type from raw_ib.chain_snapshot where snapshot_error"
        )
        assert denied == [("AAPL", "no_permission")]
        pacing = made.rows("select sum(pacing_events) from raw_ib.slot_run")[0][0]
        assert pacing > 0
        assert made.rows("select count(*) from raw_ib.recapture where state = 'queued'") == [(0,)]


WEEKS = {
    "plain": (date(2026, 11, 16), date(2026, 11, 20)),
    "with Thanksgiving": (date(2026, 11, 23), date(2026, 11, 27)),
    "after the clocks changed": (date(2026, 10, 29), date(2026, 11, 4)),
}


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
