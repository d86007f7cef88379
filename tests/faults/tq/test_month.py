"""A month of evenings with the servers' maintenance in each, and what goes wrong on some of them.

Whole runs as the schedule starts them: the real client, dbt, the check of alerts. The clock is the
sandbox's; waiting is done by refused connections, not by time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.jobs import Task
from loaders.progress import Silent
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
from tests.faults.tq.test_maintenance import count_refused
from tests.integration.tq.bench import Bench, bench

pytestmark = pytest.mark.usefixtures("models_alone")
COPPER, BITUMEN = "SHFE.cu", "SHFE.bu"  # the second is hardly traded
FIRST, MONTH_END = date(2025, 10, 9), date(2025, 11, 14)
TICKS = 120
STEADY, WAITING, GIVEN_UP, EARLY = "19:45", "19:05", "19:10, no patience", "18:50"
LACKING = """
    select s.variety, s.trading_day, d.status
    from futures.main_schedule as s
    left join raw_tq.symbol_day as d
        on (d.symbol, d.contract, d.trading_day) = (s.symbol, s.underlying_contract, s.trading_day)
    where d.status is distinct from 'complete' and s.trading_day <= %s
"""


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
        main, phases = served.main_on(COPPER, day), (WAITING, STEADY, GIVEN_UP, EARLY)
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


@contextmanager
def maintenance_ends(made: Bench, evening: Evening) -> Iterator[None]:
    """The clock goes on to 19:30 after two more refused connections."""
    import threading

    over, before = threading.Event(), count_refused(made.sandbox)

    def watch() -> None:
        while not over.wait(0.05):
            if count_refused(made.sandbox) >= before + 2:
                made.sandbox.set_clock(datetime.combine(evening.day, time(19, 30)))
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def spend(made: Bench, evening: Evening) -> None:
    """Run as the schedule does: again an hour later if the source was away."""
    at = datetime.combine(evening.day, time.fromisoformat(evening.phase[:5]))
    rules = [made.sandbox.faults.add(rule) for rule in evening.rules]
    while True:
        made.sandbox.set_clock(at)
        patient = evening.phase == WAITING
        wait = 3600.0 if patient else 0.3
        tq = made.settings.tq.model_copy(update={"wait": wait})
        made.settings = made.settings.model_copy(update={"tq": tq})
        with maintenance_ends(made, evening) if patient else ExitStack():
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


@pytest.mark.parametrize("count", [4, pytest.param(23, marks=pytest.mark.soak)])
def test_a_month_of_evenings_ends_with_every_tick(
    new_database: Callable[..., str], tmp_path: Path, count: int
) -> None:
    served = World(
        (COPPER, BITUMEN), first=FIRST, end=MONTH_END, ticks_per_day=TICKS, default_ticks=TICKS
    )
    days = [day for day in served.days if day <= MONTH_END]
    begin = datetime.combine(days[0], time(19, 45))
    with bench(
        served, new_database(DBT_DATABASE), tmp_path, clock=begin, faults=["maintenance"]
    ) as made:
        stop_trading(made, [*days[3:5], *days[12:19]])
        evenings = plan_evenings(served, days[:count])
        for evening in evenings:
            spend(made, evening)
            print(evening, flush=True)
        last = Evening(days[count])
        spend(made, last)
        print(last)
        assert last.codes == [0]
        compare(made, days[: count + 1])


def compare(made: Bench, days: list[date]) -> None:
    """Every scheduled day is complete or was not traded, and every tick is stored."""
    lacking: list[Any] = made.rows(LACKING.replace("%s", f"'{days[-1]}'"))
    print("lacking", lacking)
    warehouse = open_warehouse(made.settings)
    checked = verify(made.settings, warehouse, Silent())
    assert (checked.differences, checked.short) == ((), ())
