"""A week of all schedules ends with the tables of an undisturbed week, whatever disturbed it.

Jobs, clocks and ledger are the schedule's own, with its rules as they ship but for `JOBS`; each
command runs at its simulated time, against the simulated services. The whole week contains the
first of a month, an early close and a holiday of New York. What disturbs it, at points that a seed
draws: SIGKILL of a job's process group, of the warehouse's server under a load, of both at once,
with which the machine is down for a minute; a clock that is wrong by six hours, by three, by one;
a night asleep; the stocks' service down for a day; the futures' source dead for three.

Compared is what landed, with the cursors of the next load, what was built, and what is in the
archive. Quotes of option chains are compared too, since the sandbox quotes each half hour only.
Left out are the times of capture and the flag of late ones (a slot that was cut off is captured
some minutes late, and says so), the attempts at open interest (the next one makes up for one that
was slept through), and verdicts of days, which count both. The day that is not for `make soak` has
no futures but a dead source.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest

from loaders.ib.slots import NEW_YORK
from loaders.trading_time import SHANGHAI
from orchestration.backup import folder as backups
from tests.conftest import require_ib
from tests.faults.kills import seed
from tests.faults.points import BUILD, CURSORS, FOLDER, TDX, UNMARKED
from tests.faults.scene import assert_same
from tests.faults.week import JOB, KILLED, MACHINE, SERVER, Machine, clock_time
from tests.faults.week_place import DEAD, Room, room, tables
from tests.homes import new_home

at = partial(clock_time, datetime(2025, 6, 30, tzinfo=SHANGHAI))
there = partial(clock_time, datetime(2025, 6, 30, tzinfo=NEW_YORK))
FRIDAY = at(-3, "18:00")
COUNTED = ("tdx_daily", "ib_enrichment", "ib_discover", "ib_snapshot", "ib_close")
# in any load that lands something
ALWAYS = [
    *(name for name, point in TDX.items() if point.stage in (UNMARKED, CURSORS)),
    "a batch handed to dlt",
    "extracted, not normalized",
    "normalized, not loading",
]
# exit codes of checks that judge the data: no session before the first one, a market of twelve
# codes and forty days where the self-test expects ten funds and a year of months
JUDGEMENTS = {("tdx_reconcile", 5), ("ib_qa", 5), ("tdx_selftest", 5)}
HOURS = timedelta(hours=1)
Events = dict[datetime, Callable[[], object]]


class Span(NamedTuple):
    """A part of the week, and when in it a machine that is disturbed is asleep."""

    begin: datetime
    until: datetime
    asleep: tuple[datetime, datetime]


@pytest.fixture(scope="module")
def furnished() -> Iterator[Room]:
    """A warehouse on the Friday before, with all that was loaded and built by then."""
    require_ib()
    with new_home() as home:
        made = room(home)
        with made.first(FRIDAY) as machine:
            done = machine.place.inside("quotemill", "run", "tdx", "--as-of", FRIDAY.isoformat())
            assert done.returncode == 0, done.stderr
        made.keep()
        yield made


def undisturbed(
    furnished: Room, span: Span, settings: dict[str, str], counting: Sequence[str] = ()
) -> tuple[Machine, Any]:
    with furnished.machine(span.begin) as calm:
        calm.settings.update(settings)
        calm.counting = set(counting)
        calm.run_schedule(span.begin, span.until)
        wrong = {(name, code) for name, _, code in calm.runs if code}
        assert wrong <= JUDGEMENTS | ({("tq_daily", 4)} if settings else set()), calm.messages
        return calm, tables(furnished.url)


def assert_nothing_starts(machine: Machine, time: datetime, wrong: timedelta) -> None:
    before = list(machine.runs)
    machine.check_schedule(time, wrong)
    assert machine.runs == before


def draw_option_kills(machine: Machine, rng: random.Random, days: int) -> Events:
    """A kill of each job of option chains, in one of these sessions."""
    events: Events = {}
    for second, job in enumerate(COUNTED[1:]):
        # the first morning has no session with open interest
        first = 1 if job == "ib_enrichment" else 0
        before = there(rng.randrange(first, days), "03:30") + timedelta(seconds=second)
        what = rng.choice((JOB, SERVER, MACHINE))
        # a slot whose load dies before it is on record is lost, unless the machine went down
        points = [name for name, p in TDX.items() if what != JOB or p.stage != FOLDER]
        events[before] = partial(machine.draw_kill, rng, job, points, what)
    return events


def disturb_day(machine: Machine, rng: random.Random) -> Events:
    """Asleep at the start of the stocks' run, down in the middle of it, and during a slot."""
    return {
        at(2, "20:00"): partial(machine.draw_kill, rng, "tdx_daily", ALWAYS, MACHINE),
        at(2, "20:01"): partial(machine.check_schedule, at(2, "20:01")),
        there(2, "09:29"): partial(machine.draw_kill, rng, "ib_snapshot", ALWAYS, MACHINE),
        there(2, "10:10"): partial(assert_nothing_starts, machine, there(2, "10:10"), -HOURS),
    }


def disturb_week(machine: Machine, rng: random.Random) -> Events:
    kill, check = partial(machine.draw_kill, rng, "tdx_daily"), machine.check_schedule
    alive = {name: machine.settings[name] for name in DEAD}
    return draw_option_kills(machine, rng, 4) | {
        at(0, "11:59"): partial(machine.settings.update, DEAD),
        at(0, "12:00"): partial(kill, list(TDX), MACHINE),
        # at noon its clock is wrong for a while: the session is not over, which fails its codes
        at(1, "12:00"): partial(check, at(1, "12:00"), 6 * HOURS),
        at(1, "12:05"): partial(check, at(1, "12:05")),
        at(2, "12:00"): partial(machine.tdx.faults.add, "outage"),
        there(2, "10:10"): partial(assert_nothing_starts, machine, there(2, "10:10"), -HOURS),
        at(3, "11:59"): partial(machine.settings.update, alive),
        at(3, "12:00"): machine.tdx.faults.clear,
        at(3, "12:01"): partial(kill, list(BUILD), JOB),
        at(3, "17:45"): partial(assert_nothing_starts, machine, at(3, "17:45"), -3 * HOURS),
        at(4, "12:00"): partial(kill, list(BUILD), MACHINE),
        at(5, "08:00"): partial(check, at(5, "08:00")),
    }


def disturbed(
    furnished: Room,
    calm: Machine,
    expected: Any,
    span: Span,
    events: Callable[[Machine, random.Random], Events],
    number: int,
    settings: dict[str, str],
) -> Machine:
    with furnished.machine(span.begin) as made:
        made.settings.update(settings)
        made.counts = calm.counts
        disturbances = events(made, random.Random(seed(number)))
        made.run_schedule(span.begin, span.until, disturbances, span.asleep)
        assert_same(tables(furnished.url), expected)
        return made


def codes(machine: Machine, job: str) -> list[tuple[str, int]]:
    return [(day, code) for name, day, code in machine.runs if name == job]


DAY = Span(at(2, "12:00"), there(2, "17:05"), (at(2, "12:00"), at(2, "20:00")))
WEEK = Span(at(0, "00:00"), there(7, "08:01"), (at(4, "16:00"), at(5, "08:00")))


@pytest.mark.long
def test_a_day_of_crashes_and_clock_jumps(furnished: Room) -> None:
    """The whole week in small: cheap enough for each change."""
    own = DEAD | {"QUOTEMILL_SCHEDULE__IB_ROLLUP__WHEN": "off"}
    calm, expected = undisturbed(furnished, DAY, own)
    calm.counts = {job: dict.fromkeys(ALWAYS, 1) for job in COUNTED}
    made = disturbed(furnished, calm, expected, DAY, disturb_day, 7, own)
    assert codes(made, "tdx_daily") == [("Wed", KILLED), ("Wed", 0)]
    assert codes(made, "ib_snapshot") == [("Wed", KILLED), ("Wed", 0), ("Wed", 0)]


@pytest.fixture(scope="module")
def calm_week(furnished: Room) -> tuple[Machine, Any]:
    return undisturbed(furnished, WEEK, {}, COUNTED)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(100, 106))
def test_a_week_of_kills_and_wrong_clocks(
    number: int,
    furnished: Room,
    calm_week: tuple[Machine, Any],
    record_property: Callable[[str, object], None],
) -> None:
    calm, expected = calm_week
    made = disturbed(furnished, calm, expected, WEEK, disturb_week, number, {})
    killed = [text for text in made.messages if text.startswith("killed")]
    assert len(killed) >= 6, made.messages  # of seven; one may not have got so far again
    rows = sum(map(len, expected.values()))
    totals = f"{len(made.runs)} runs, {len(expected)} tables of {rows:,} rows"
    record_property("figures", f"{totals}, {len(killed)} kills: {'; '.join(killed)}")
    well = {name for name, _, code in made.runs if code == 0}
    # the log has the errors of the disturbances
    assert well >= {name for name, _, code in calm.runs if not code} - {"ib_logscan"}, made.runs
    assert codes(made, "tdx_daily") == [
        ("Mon", KILLED),
        ("Mon", 0),
        ("Tue", 6),
        ("Wed", 4),
        ("Thu", KILLED),
        ("Sat", KILLED),
        ("Sat", 0),
        ("Mon", 0),
    ]
    # its servers are away until Thursday, and it runs again an hour after each failure
    away = [(day, 4) for day in ("Mon", "Tue", "Wed")]
    assert {*away, ("Thu", 0)} <= set(codes(made, "tq_daily"))
    [backup] = backups.list_backups(made.place.home / "backups")
    backups.check(backup)
