"""`quotemill run tq`: main contracts ▶ dbt's schedule ▶ ticks ▶ dbt's coverage, in one command."""

from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from loaders import loads
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.loads import run_load
from loaders.sandbox.tq.world import World
from loaders.ticks.open_store import open_store
from loaders.tq.tick_days.verify import verify
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from orchestration.run import manifest, stages
from orchestration.run.stages import RunResult
from tests.conftest import DBT_DATABASE
from tests.constant_columns import check_constant_columns
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.test_ticks import asked_days

pytestmark = pytest.mark.usefixtures("quick_builds")
SCHEDULE = (
    "select variety, trading_day, underlying_contract from futures.main_schedule order by 1, 2"
)
TABLES = (
    "select variety, trading_day, underlying_contract, segment_id, schedule_hash "
    "from futures.main_schedule order by 1, 2",
    "select symbol, contract, trading_day, segment_id, schedule_hash, rows, row_hash, status "
    "from raw_tq.symbol_day order by 1, 3, 2",
)


def run(made: Bench) -> RunResult:
    def load(request: LoadRequest) -> LoadResult:
        as_of = made.sandbox.clock.replace(tzinfo=SHANGHAI)
        return run_load(made.settings, request, made.heard, as_of=as_of)

    now = made.sandbox.clock.replace(tzinfo=SHANGHAI)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loads, "try_load", lambda _, request, *__, **___: load(request))
        display = partial(nullcontext, made.heard)
        return stages.run(made.settings, [LoadRequest("tq")], display, made.heard.line, now)


def expected(made: Bench) -> list[tuple[Any, ...]]:
    return [
        (variety, day, contract)
        for variety in sorted(made.sandbox.world.varieties)
        for day, contract in made.sandbox.schedule(variety)
        if contract is not None
    ]


def whole_way(made: Bench, days: int) -> None:
    """A first run with dbt's tests, then the others without."""
    first = run(made)
    # findings of synthetic bars do not matter here
    assert first.exit_code in (0, 5), first.as_json()
    assert [load.status for load in first.loads] == ["succeeded"] * 2, first.loads
    assert all(build.succeeded for build in first.builds), first.builds
    # judged as of the loads
    assert made.rows("select * from ops.seen_findings where check_name = 'stale_dataset'") == []
    assert made.rows(SCHEDULE) == expected(made)
    varieties = len(made.sandbox.world.varieties)
    [(complete, contracts)] = made.rows(
        "select count(*) filter (where status = 'complete'), count(distinct contract) "
        "from raw_tq.symbol_day"
    )
    assert complete == days * varieties
    assert contracts > varieties
    before = [made.rows(query) for query in TABLES]
    with made.connect() as conn:
        check_constant_columns(conn, "tq sandbox")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBT_EXCLUDE_RESOURCE_TYPES", "unit_test test")
        run_on(made, before)


def run_on(made: Bench, before: list[Any]) -> None:
    """Runs after the first: with nothing new, a day more, a revision."""
    varieties = len(made.sandbox.world.varieties)
    made.asked()
    again = run(made)
    assert asked_days(made) == 0
    assert sum(load.total("rows_new") + load.total("rows_changed") for load in again.loads) == 0
    assert [made.rows(query) for query in TABLES] == before

    following = next(d for d in made.sandbox.world.days if d > made.sandbox.clock.date())
    made.sandbox.set_clock(following)
    assert [load.status for load in run(made).loads] == ["succeeded"] * 2
    assert asked_days(made) == varieties
    after = [made.rows(query) for query in TABLES]
    for old, new in zip(before, after, strict=True):
        assert set(old) < set(new)
        assert len(new) == len(old) + varieties

    [(contract, day)] = made.rows(
        "select underlying_contract, trading_day from futures.main_schedule "
        "where is_switch and variety = 'SHFE.cu' order by trading_day desc limit 1"
    )
    made.sandbox.faults.add(f"revise-mains:contract={contract}:by=-1")
    assert [load.status for load in run(made).loads] == ["succeeded"] * 2
    assert asked_days(made) == 1
    revised = made.rows(TABLES[1])
    assert {r[:6] for r in after[1] if r[2] < day and r[0].endswith("cu")} - {
        r[:6] for r in revised
    } == set()
    assert made.rows(SCHEDULE) == expected(made)
    assert len(made.rows("select * from raw_tq.tick_revision")) == 1
    warehouse = open_warehouse(made.settings)
    assert verify(made.settings, warehouse, Silent()).differences == ()
    with closing(open_store(made.settings, warehouse)) as store:
        schedule = store.schedule("KQ.m@SHFE.cu")
        store.put_schedule(schedule.slice(1))
    [lost] = verify(made.settings, warehouse, Silent()).differences
    assert (
        f"{schedule['trading_day'][0]}" in lost.subject,
        "is missing the day" in lost.sentence,
    ) == (True,) * 2
    assert made.load("ticks").tasks == ()
    assert verify(made.settings, warehouse, Silent()).differences == ()
    newest = max(manifest.manifest_folder(made.settings, warehouse).glob("*.json"))
    assert {c.verdict for c in manifest.check(made.settings, warehouse, newest)} == {"ok"}


@pytest.mark.soak
def test_three_varieties_over_sixty_days_are_loaded_and_built(
    new_database: Callable[..., str], tmp_path: Path, questdb_url: str
) -> None:
    served = World(
        ("SHFE.cu", "DCE.m", "CFFEX.IF"),
        first=date(2025, 8, 1),
        end=date(2025, 10, 31),
        ticks_per_day=150,
        default_ticks=150,
    )
    days = [day for day in served.days if day <= date(2025, 10, 31)]
    rolls = {
        v: sum(days[0] < day <= days[-1] for day, _ in served.main_table(v))
        for v in served.varieties
    }
    assert len(days) >= 60
    assert min(rolls.values()) >= 2
    environ = {"QUOTEMILL_QUESTDB_URL": questdb_url}
    with bench(served, new_database(DBT_DATABASE), tmp_path, environ=environ) as made:
        whole_way(made, len(days))


@pytest.mark.soak
def test_ticks_in_questdb_equal_the_schedule(
    new_database: Callable[..., str], tmp_path: Path, questdb_url: str
) -> None:
    served = World(
        ("SHFE.cu",), first=date(2025, 10, 16), end=date(2025, 10, 22), ticks_per_day=150
    )
    environ = {"QUOTEMILL_QUESTDB_URL": questdb_url}
    with bench(
        served, new_database(DBT_DATABASE), tmp_path, environ=environ, concurrency=2
    ) as made:
        whole_way(made, 5)
