"""A month of evenings with the servers' maintenance in each, and what goes wrong on some of them.

Whole runs as the schedule starts them: the real client, dbt, the check of alerts. The clock is the
sandbox's; waiting is done by refused connections, not by time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from loaders.engine.jobs import Task
from loaders.engine.progress import Silent
from loaders.sandbox.tq.world import World
from loaders.tq.tick_days.verify import verify
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from orchestration.alerts import causes
from orchestration.alerts import check as alert_check
from orchestration.alerts.book import Message
from orchestration.run.stages import RunResult
from tests.conftest import DBT_DATABASE
from tests.e2e.tq.test_whole_way import run
from tests.faults.tq.test_maintenance import count_refused, watching
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.test_ticks import stored

pytestmark = pytest.mark.usefixtures("models_alone")
COPPER, BITUMEN = "SHFE.cu", "SHFE.bu"  # the second is hardly traded
FIRST, MONTH_END = date(2025, 10, 9), date(2025, 11, 14)
TICKS = 120
STEADY, WAITING, GIVEN_UP, CAUGHT = "19:45", "19:05", "19:10, no patience", "18:59, until 19:05"


@dataclass
class Evening:
    """An evening: when its run starts, the rules that hold in it, and what came of it.

    `codes`: exit codes of its runs, the schedule's retry included.
    """

    day: date
    phase: str = STEADY
    rules: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    short: int = 0

    def __str__(self) -> str:
        what = f"{self.day} {self.phase}: exit {self.codes}, {self.short} short"
        return " | ".join([what, *self.rules, *self.reasons, *self.messages])


def plan_evenings(served: World, days: list[date]) -> list[Evening]:
    """What goes wrong when: bitumen is not traded on two days, and later for a week."""
    evenings = []
    for n, day in enumerate(days):
        main, phases = served.main_on(COPPER, day), (WAITING, STEADY, GIVEN_UP, CAUGHT)
        rules = {
            1: [f"lost-ticks:contract={main}:day={day}:keep=70"],
            2: [f"lost-ticks:contract={main}:day={day}"],
            4: ["permission:feature=tq_dl"],
        }
        evenings.append(Evening(day, phases[n % 4], rules.get(n % 6, [])))
    return evenings


def stop_trading(made: Bench, days: list[date]) -> None:
    for contract in made.sandbox.world.contracts(BITUMEN):
        for day in days:
            made.sandbox.faults.add(f"empty:contract={contract.code}:day={day}")


def count_settlements(made: Bench) -> int:
    return sum(entry.what == "settlements" for entry in list(made.sandbox.log))


@contextmanager
def maintenance_passes(made: Bench, evening: Evening) -> Iterator[None]:
    """The clock goes on to 19:30 after two refused connections.

    Where the run begins before 19:00, it goes on to 19:05 with the last dataset of its first load.
    """
    refused, settled = count_refused(made.sandbox), count_settlements(made)
    is_caught = evening.phase != CAUGHT

    def move(clock: str) -> None:
        made.sandbox.set_clock(datetime.combine(evening.day, time.fromisoformat(clock)))

    def end() -> bool:
        nonlocal is_caught
        if not is_caught and count_settlements(made) > settled:
            is_caught = True
            move("19:05")
        is_over = count_refused(made.sandbox) >= refused + 2
        if is_over:
            move("19:30")
        return is_over

    with watching(end):
        yield


def spend(made: Bench, evening: Evening) -> None:
    """Run as the schedule does: again an hour later if the source was away."""
    at = datetime.combine(evening.day, time.fromisoformat(evening.phase[:5]))
    rules = [made.sandbox.faults.add(rule) for rule in evening.rules]
    while True:
        made.sandbox.set_clock(at)
        patient = evening.phase in (WAITING, CAUGHT)
        wait = 3600.0 if patient else 0.3
        tq = made.settings.tq.model_copy(update={"wait": wait})
        made.settings = made.settings.model_copy(update={"tq": tq})
        with maintenance_passes(made, evening) if patient else ExitStack():
            result = run(made)
        note(made, evening, result)
        if result.exit_code != 4:
            break
        at += timedelta(hours=1)
    for rule in rules:
        made.sandbox.faults.remove(rule)


def note(made: Bench, evening: Evening, result: RunResult) -> None:
    evening.codes.append(result.exit_code)
    tasks: list[Task] = [task for load in result.loads for task in load.tasks]
    evening.reasons += [text for task in tasks for text in task.failures.values()]
    sent: list[Message] = []

    def accept(_: object, __: object, messages: Sequence[Message], at: datetime) -> None:
        for message in messages:
            sent.append(message)
            message.entry.channels.append("all")
            message.settle(["all"], at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_check, "_send_all", accept)
        verdicts = causes.check_run(result, made.settings, "tq_daily")
        now = made.sandbox.clock.replace(tzinfo=SHANGHAI)
        alert_check.check_and_notify(made.settings, verdicts, now=now)
    evening.messages += [
        f"{'resolved' if message.is_recovery else message.entry.severity}: {message.entry.cause}"
        for message in sent
    ]
    query = "select count(*) from raw_tq.symbol_day where status = 'short'"
    [(evening.short,)] = made.rows(query)


@pytest.mark.parametrize("count", [3, pytest.param(23, marks=pytest.mark.soak)])
def test_a_month_of_evenings_ends_with_every_tick(
    new_database: Callable[..., str], tmp_path: Path, count: int
) -> None:
    served = World(
        (COPPER, BITUMEN), first=FIRST, end=MONTH_END, ticks_per_day=TICKS, default_ticks=TICKS
    )
    days = [day for day in served.days if day <= MONTH_END][: count + 1]
    begin, faults = datetime.combine(days[0], time(19, 45)), ["maintenance"]
    with bench(served, new_database(DBT_DATABASE), tmp_path, clock=begin, faults=faults) as made:
        untraded = [*days[3:5], *days[12:19]]
        stop_trading(made, untraded)
        evenings = [*plan_evenings(served, days[:-1]), Evening(days[-1])]
        for evening in evenings:
            spend(made, evening)
            print(evening)
        assert [evening.codes for evening in evenings] == list(map(expected_codes, evenings))
        wrong = [evening for evening in evenings if any(expected_codes(evening))]
        rung = [evening for evening in evenings if "error: load:tq" in evening.messages]
        assert rung == wrong
        messages = {message for evening in evenings for message in evening.messages}
        assert messages == {"error: load:tq", "resolved: load:tq"}
        assert made.rows("select cause from ops.alerts where recovered_at is null") == []
        compare(made, days, untraded)


def expected_codes(evening: Evening) -> list[int]:
    """Alarms are: servers that stay away, until the retry; and a traded day without a tick."""
    empty = any(rule.startswith("lost-ticks") and "keep" not in rule for rule in evening.rules)
    return [4] * (evening.phase == GIVEN_UP) + [6 if empty else 0]


def compare(made: Bench, days: list[date], untraded: list[date]) -> None:
    """Every scheduled day is complete or was not traded, and every tick is stored once."""
    rows = made.rows(
        "select s.variety, s.trading_day, s.underlying_contract, d.status, d.rows "
        "from futures.main_schedule as s left join raw_tq.symbol_day as d "
        "on (d.symbol, d.contract, d.trading_day) "
        "= (s.symbol, s.underlying_contract, s.trading_day)"
    )
    lacking = {(variety, day) for variety, day, _, status, _ in rows if status != "complete"}
    assert lacking == {(BITUMEN, day) for day in untraded if day <= days[-1]}
    assert len(rows) == 2 * len(days)
    for variety, day, contract, status, _ in rows:
        if status is not None and variety == COPPER:
            stamps = stored(made, contract, day)["datetime_ns"].to_pylist()
            assert stamps == made.sandbox.tick_table(contract, day)["datetime_ns"].to_pylist()
    checked = verify(made.settings, open_warehouse(made.settings), Silent())
    print(f"{checked.days} days, {checked.rows} ticks, {len(checked.differences)} differences")
    assert (checked.differences, checked.short) == ((), ())
