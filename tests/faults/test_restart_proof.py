"""A week of the schedule with kills, falls, wrong clocks, a night asleep, a service that is down and a source that is dead
ends with the tables of an undisturbed week."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.actions import actions_csv
from loaders.sandbox.world.market import SyntheticMarket
from orchestration.backup import folder as backups
from tests.conftest import DBT_DATABASE
from tests.e2e.commands import Place
from tests.faults.driver import MOMENTS as OF_A_LOAD
from tests.faults.kills import seed
from tests.faults.scene import assert_same, facts
from tests.faults.week import KILLED, NIGHT, Machine
from tests.faults.week_driver import MOMENTS as OF_A_BUILD

MARKET = SyntheticMarket(codes=12, days=40, seed=5)
MONDAY = date(2025, 7, 7)
BUILT = {
    "market": (
        *("symbol_dim", "trading_calendar", "corporate_actions", "adjustment_segments"),
        *("kline_daily_hfq", "kline_daily_qfq", "kline_weekly_qfq", "index_kline_daily"),
    ),
}
# refuses every connection
DEAD = {
    "QUOTEMILL_TQ__ACCOUNT": "somebody",
    "QUOTEMILL_TQ__PASSWORD": "secret",
    "QUOTEMILL_TQ__AUTH_URL": "http://127.0.0.1:9",
    "QUOTEMILL_TQ__MD_URL": "ws://127.0.0.1:9",
    "QUOTEMILL_TQ__RETRIES": "0",
    "QUOTEMILL_TQ__BACKOFF": "0",
}


def at(weekday: int, clock: str) -> datetime:
    """A moment of the week, by Shanghai's clock; days count from Monday, 0."""
    return datetime.combine(MONDAY + timedelta(days=weekday), time.fromisoformat(clock))


@pytest.fixture
def week(
    filled_database: Callable[..., str], parsed_project: tuple[Path, Any], tmp_path: Path
) -> Callable[..., Any]:
    """A machine on the Friday before, with all that was loaded and built by then."""
    actions = tmp_path / "actions.csv"
    actions.write_text(actions_csv(MARKET.all_actions()), "utf-8")

    @contextmanager
    def machine(name: str, dsn: str, **more: str) -> Iterator[Machine]:
        home = tmp_path / name
        home.mkdir()
        with TdxSandbox(
            MARKET, clock=at(-3, "18:00"), options=Options(timeout_delay=0.0)
        ) as sandbox:
            settings = {
                "QUOTEMILL_WAREHOUSE_URL": dsn,
                "QUOTEMILL_TDX__BASE_URL": sandbox.url,
                "QUOTEMILL_TDX__CORPORATE_ACTIONS": str(actions),
                "QUOTEMILL_TDX__INDICES": "sh000001",
                "QUOTEMILL_TDX__BACKOFF": "0",
                "QUOTEMILL_TDX__OUTAGE_WAIT": "0",
                "QUOTEMILL_TDX__MINUTE_DAYS": "7",
                "QUOTEMILL_TDX__TICK_DAYS": "7",
                "QUOTEMILL_FINDING_LIMIT": "1000",
                "QUOTEMILL_BACKUPS_KEPT": "1",
                # of the service as it is at the clock of the machine that runs the tests
                "QUOTEMILL_SCHEDULE__TDX_SELFTEST__WHEN": "off",
                "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test",
                "DBT_PROFILES_DIR": str(home / "profiles"),
                "DBT_WRITE_JSON": "false",
                "DBT_LOG_LEVEL_FILE": "none",
                "FAULTS_TARGET": str(parsed_project[0]),
            }
            yield Machine(Place(home, home, settings | more), sandbox)

    def fill(dsn: str) -> None:
        with machine("before", dsn) as made:
            friday = at(-3, "18:00").isoformat()
            done = made.place.inside("quotemill", "run", "tdx", "--as-of", friday)
            assert done.returncode == 0, done.stderr

    @contextmanager
    def begun(name: str, **more: str) -> Iterator[Machine]:
        dsn = filled_database("restart proof", fill, DBT_DATABASE)
        with machine(name, dsn, **more) as made:
            made.wake(at(-1, "12:00"))  # the jobs are known from now on
            made.runs.clear()
            yield made

    return begun


def everything(machine: Machine) -> dict[str, list[tuple[Any, ...]]]:
    dsn = machine.place.settings["QUOTEMILL_WAREHOUSE_URL"]
    found = facts(dsn, moments=False)
    with psycopg.connect(dsn) as conn:
        for schema, names in BUILT.items():
            for name in names:
                query = f"select to_jsonb(t) - 'fetched_at' from {schema}.{name} as t"
                found[name] = [(str(row),) for (row,) in conn.execute(query.encode())]
    return found


def undisturbed(machine: Machine, nights: Sequence[int]) -> None:
    for day in nights:
        machine.wake(at(day, "17:31"), count=day == 0)
    weekend(machine)


def weekend(machine: Machine) -> None:
    machine.wake(at(6, "09:01"))
    machine.wake(at(6, "20:01"))
    # what Friday's run had of its own day was provisional: the next one makes it final
    machine.wake(at(7, "17:31"))


def disturbed(machine: Machine, rng: random.Random, nights: Sequence[int]) -> None:
    # Monday: it falls in the midst of a load, and does it again when it is up
    machine.kill = machine.dice(rng, OF_A_LOAD, falls=True)
    machine.wake(at(0, "17:31"))
    machine.wake(at(0, "17:40"))
    # Tuesday: at noon its clock is wrong by six hours, for a while: the session that should be over is not, which
    # fails its codes
    machine.wake(at(1, "12:00"), timedelta(hours=6))
    machine.wake(at(1, "12:05"))
    machine.wake(at(1, "17:31"))
    if 2 in nights:  # Wednesday: the service is down
        machine.sandbox.faults.add("outage")
        machine.wake(at(2, "17:31"))
        machine.sandbox.faults.clear()
    if 3 in nights:  # Thursday: the build is killed; the clock goes back after it
        machine.kill = machine.dice(rng, OF_A_BUILD, falls=False)
        machine.wake(at(3, "17:31"))
        machine.wake(at(3, "17:45"), -timedelta(hours=3))
    # Friday evening it sleeps, and falls once more on Saturday, in the midst of a build
    machine.kill = machine.dice(rng, OF_A_BUILD, falls=True)
    machine.wake(at(5, "08:00"))
    machine.wake(at(5, "08:10"))
    weekend(machine)


WHOLE, SHORT = (0, 1, 2, 3, 4), (0, 1, 4)
NIGHTS = {
    **{0: [("Mon", KILLED), ("Mon", 0)], 1: [("Tue", 6)]},
    **{2: [("Wed", 4)], 3: [("Thu", KILLED)], 4: [("Sat", KILLED), ("Sat", 0)]},
}


@pytest.mark.parametrize(
    ("nights", "number"),
    [
        pytest.param(SHORT, 7, marks=pytest.mark.soak, id="short"),
        *(pytest.param(WHOLE, n, marks=pytest.mark.soak, id=f"whole {n}") for n in range(100, 106)),
    ],
)
@pytest.mark.usefixtures("models_alone")
def test_a_week_of_kills_and_wrong_clocks_ends_with_the_tables_of_an_undisturbed_one(
    nights: Sequence[int],
    number: int,
    week: Callable[..., Any],
    record_property: Callable[[str, object], None],
) -> None:
    with week("undisturbed") as calm:
        undisturbed(calm, nights)
        assert {code for *_, code in calm.runs} == {0}, calm.runs
        expected = everything(calm)
    with week("disturbed", **DEAD) as made:
        made.counts = calm.counts
        disturbed(made, random.Random(seed(number)), nights)
        killed = [said for said in made.said if said.startswith("killed")]
        record_property("figures", f"a week with {'; '.join(killed)}")
        assert_same(everything(made), expected)
        dead = {"tq_daily"}
        assert {code for name, _, code in made.runs if name in dead} == {4}, made.runs
        found = [(day, code) for name, day, code in made.runs if name == NIGHT]
        assert found == [*(run for night in nights for run in NIGHTS[night]), ("Mon", 0)]
        assert {name for name, _, code in made.runs if code == 0} == {n for n, *_ in calm.runs}
        [backup] = backups.list_of(made.place.home / "backups")
        backups.check(backup)
