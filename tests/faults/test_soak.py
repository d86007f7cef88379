"""Faults of every kind on every source: after them the same commands leave the same tables.

`make soak` runs many of each, by seeds that it prints; `make test-faults` one or two.
"""
# ruff: noqa: F811

import random
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.ticks.questdb import server as questdb
from loaders.ticks.tables import QUESTDB_TABLES
from loaders.warehouse.embedded import server as embedded
from quotemill.ticks.questdb_http import QuestdbHttp
from tests.e2e.commands import Place
from tests.faults import tally
from tests.faults.kills import dice, market_tables
from tests.faults.lanes import LANES, Lane, ib_lane, tdx_lane, tq_lane
from tests.faults.points import TQ_DAY, TQ_SERVER
from tests.faults.scene import drive, name_kind, wait_until
from tests.homes import new_home
from tests.integration.ticks.conftest import questdb_folder  # noqa: F401
from tests.integration.ticks.servers import SMALL, address_of, start
from tests.integration.tq.worlds import DAYS

SOAK = pytest.mark.soak


def rounds(few: int, many: int) -> Any:
    """How many rounds `make test-faults` runs, and how many `make soak`."""
    both = [pytest.param(few, id="few"), pytest.param(many, id="many", marks=SOAK)]
    return pytest.mark.parametrize("times", both if few else both[1:])


def chance(times: int) -> random.Random:
    return dice(47 if times < 5 else secrets.randbelow(1_000_000))


@pytest.fixture(scope="module")
def open_lane(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Lane]]:
    """Each load, over the embedded server of its home, until the end of the module."""
    with ExitStack() as stack:
        made: dict[str, Lane] = {}

        def start_lane(name: str) -> Lane:
            key = f"{name} in {tempfile.gettempdir()}"
            if key in made:
                return made[key]
            home = stack.enter_context(new_home())
            embedded.ensure_running(home)
            source, _, kind = name.partition(" ")
            if source == "tdx":
                opened = tdx_lane(home)
            elif source == "ib":
                opened = ib_lane(home, kind)
            elif kind == "questdb":
                folder = request.getfixturevalue("questdb_folder")
                opened = tq_lane(home, kind, url_of(folder), lambda: empty(folder))
            else:
                opened = tq_lane(home, kind)
            made[key] = stack.enter_context(opened)
            made[key].keep()
            return made[key]

        yield start_lane


def url_of(folder: Path) -> str:
    address = address_of(folder)
    scheme, _, place = address.url.partition("://")
    return f"{scheme}://{address.user}:{address.password}@{place}"


def empty(folder: Path) -> None:
    http = QuestdbHttp(address_of(folder))
    for table in QUESTDB_TABLES:
        http.rows(f"drop table if exists {table.name}")
    http.close()


@pytest.mark.parametrize("victims", ["self", "{server}", "{server},self"])
@pytest.mark.parametrize("name", LANES)
@rounds(1, 10)
def test_loads_killed_again_and_again_are_completed_by_the_next(
    name: str, victims: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    """The load, the embedded server below it, or both; several times before one comes through."""
    rng, lane = chance(times), open_lane(name)
    for _ in range(times):
        lane.reset()
        for _ in range(2 if times < 5 else 8):
            point = rng.choice(sorted(lane.counts))
            nth = rng.randint(1, lane.counts[point])
            server = embedded.ensure_running(lane.home).pid
            done = lane.drive(point, nth, FAULTS_VICTIM=victims.format(server=server))
            print(f"{name}, {victims}: {point}, {nth}: {done.code}")
            assert done.code in (0, -9, 4, 75), done.said
            assert "internal error" not in done.said
            if not done.hit:
                break
        embedded.ensure_running(lane.home)
        assert (last := lane.complete()).code == 0, last.said
        kind = name_kind(lane.source, victims)
        tally.compare(kind, lane.source, lane.contents(), lane.whole)


@pytest.mark.parametrize("victims", ["questdb:{folder}", "questdb:{folder},self"])
@rounds(1, 10)
def test_questdb_killed_in_a_load_costs_nothing_but_time(
    victims: str, times: int, open_lane: Callable[[str], Lane], questdb_folder: Path
) -> None:
    """The load waits for a server that somebody starts, or the next one does its work."""
    rng, lane = chance(times), open_lane("tq questdb")
    same = SMALL.model_copy(update={"port": int(url_of(questdb_folder).rpartition(":")[2])})
    over = threading.Event()

    def start_again() -> None:
        while not over.wait(0.1):
            if questdb.find_running(questdb_folder) is None:
                start(questdb_folder, same)

    watch = threading.Thread(target=start_again)
    watch.start()
    try:
        for _ in range(times):
            lane.reset()
            for _ in range(2 if times < 5 else 6):
                point = rng.choice([*TQ_DAY, *TQ_SERVER])
                nth = rng.randint(1, DAYS)
                env = {"FAULTS_VICTIM": victims.format(folder=questdb_folder)}
                done = lane.drive(point, nth, **env)
                assert done.code in (0, -9, 4), done.said
                assert "internal error" not in done.said
                wait_until("QuestDB runs", lambda: questdb.find_running(questdb_folder))
                if not done.hit:
                    break
            assert (last := lane.complete()).code == 0, last.said
            kind = name_kind("tq", victims)
            tally.compare(kind, lane.source, lane.contents(), lane.whole)
    finally:
        over.set()
        watch.join()


WAYS = [(name, way) for name in LANES for way in ("service", "warehouse")]


@pytest.mark.parametrize(("name", "way"), [*WAYS, ("tq questdb", "store")])
@rounds(1, 8)
def test_a_partition_of_the_network_costs_nothing_but_time(
    name: str, way: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    """What is between stops forwarding in the midst of a load, and goes on or breaks off."""
    rng, lane = chance(times), open_lane(name)
    with lane.through_proxy(way) as (middle, env):
        lane.reset()
        middle.arm(-1, 0, cuts=False)
        assert (done := lane.drive("none", 0, **env)).code == 0, done.said
        total = middle.passed
        assert total
        for _ in range(times):
            lane.reset()
            for cuts in (False, True):
                before, at = middle.stops, rng.randrange(total)
                middle.arm(at, rng.uniform(0.5, 3), cuts)
                done = lane.drive("none", 0, **env)
                tally.count(f"{way} cut off", lane.source, hit=middle.stops > before)
                print(f"{name}, {way}: {at} of {total}, {cuts}: {done.code} {done.said if done.code else ''}")
                assert done.code in (0, 4, 6), done.said
                assert "internal error" not in done.said
                middle.arm(-1, 0, cuts=False)
            assert (done := lane.complete()).code == 0, done.said
            tally.compare(f"{way} cut off", lane.source, lane.contents(), lane.whole)


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=1)], ids=["hour", "day"])
@pytest.mark.parametrize("name", LANES)
@rounds(1, 3)
def test_a_clock_set_back_costs_no_row(
    name: str, back: timedelta, times: int, open_lane: Callable[[str], Lane]
) -> None:
    """In the midst of a load, which is killed; another begins an hour or a day before it."""
    rng, lane = chance(times), open_lane(name)
    early = (lane.sandbox.clock - back).isoformat()
    for _ in range(times):
        lane.reset()
        if rng.random() < 0.5:
            point = rng.choice(sorted(lane.counts))
            lane.drive(point, rng.randint(1, lane.counts[point]))
        done = lane.drive("none", 0, AS_OF=early)
        tally.count(f"clock back by {back}", lane.source)
        assert done.code in (0, 4, 5, 6, 75), done.said
        assert "internal error" not in done.said
        assert (done := lane.complete()).code == 0, done.said
        kind, whole = f"clock back by {back}", without_clock(lane.whole)
        tally.compare(kind, lane.source, without_clock(lane.contents()), whole)


def without_clock(contents: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without when rows came, and what an earlier day's load adds: its minutes, its attempt."""

    def is_lasting(row: Any) -> bool:
        return "minute1" not in str(row)

    return {
        table: [strip_times(row) for row in rows if is_lasting(row)]
        for table, rows in contents.items()
        if table not in ("enrichment", "ingestion_state", "cursors")
    }


def strip_times(row: Any) -> Any:
    """Bars have days and texts; only when a row came is a moment of the load's day."""
    if isinstance(row, tuple):
        return tuple(value for value in row if not isinstance(value, datetime))
    return row


JOBS = """
    insert into ops.ingestion_jobs
        (source, mode, status, requested_by, parameters, as_of, started_at, finished_at, lane)
    select source, mode, (array['succeeded', 'partial', 'failed', 'cancelled', 'interrupted'])
        [1 + n % 5], requested_by, parameters, as_of, at, at, lane
    from ops.ingestion_jobs, generate_series(1, 10000) as n,
        lateral (select started_at - n * interval '1 minute' as at)
    where job_id = (select min(job_id) from ops.ingestion_jobs);
    insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status, failures)
    select job_id, 1, 'none', array['a', 'b'], 'failed', '{"a": "no answer"}'
    from ops.ingestion_jobs where status in ('partial', 'failed')
"""


@pytest.mark.parametrize("name", ["tdx", "ib enrich", "tq ticks"])
@rounds(1, 2)
def test_ten_thousand_jobs_are_in_nobodys_way(
    name: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    lane = open_lane(name)
    for _ in range(times):
        lane.reset()
        point = "before the package" if lane.source != "tdx" else "before ingestion_state"
        point = next(p for p in lane.counts if p.endswith(point))
        assert lane.drive(point, 1).hit
        with psycopg.connect(embedded.expected_url(lane.home)) as conn:
            conn.execute(JOBS)
        tally.count("10,000 jobs", lane.source)
        place = Place(lane.home, lane.home, {})
        for words in ("loaders status", "quotemill status", "loaders cancel"):
            begun = time.monotonic()
            done = place.inside(*words.split())
            assert done.returncode in (0, 1, 2, 5, 6), done.stderr
            assert time.monotonic() - begun < 20, words
        assert (last := lane.complete()).code == 0, last.said
        tally.compare("10,000 jobs", lane.source, lane.contents(), lane.whole)


WITHOUT = {
    "absent": "umount -l /dev/shm && mount --bind /sys/kernel /dev/shm",
    "read-only": "mount -t tmpfs -o ro none /dev/shm",
    "full": "mount -t tmpfs -o size=4k none /dev/shm && head -c 4096 /dev/zero >/dev/shm/x",
}


@pytest.mark.parametrize("memory", WITHOUT)
@pytest.mark.parametrize("name", ["tdx", "ib discover", "tq mapping", "tq ticks"])
@rounds(0, 1)
def test_no_shared_memory_of_the_machine_is_needed(
    name: str,
    memory: str,
    times: int,
    open_lane: Callable[[str], Lane],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The embedded server starts and the load runs without it; a build says that it needs it."""
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # tests' own files may be in it
    lane = open_lane(name)
    lane.reset()
    embedded.stop(lane.home)
    mounts = {"FAULTS_MOUNTS": WITHOUT[memory], "TMPDIR": "/tmp"}
    done = lane.drive("none", 0, **mounts)
    tally.count(f"/dev/shm {memory}", lane.source)
    assert done.code == 0, done.said
    tally.compare(f"/dev/shm {memory}", lane.source, lane.contents(), lane.whole)
    if name == "tdx":
        env = mounts | {"QUOTEMILL_HOME": str(lane.home), "DBT_PROFILES_DIR": str(lane.home)}
        built = drive("build", "none", 0, "quotemill", "build", env=env, cwd=lane.home)
        assert built.code == 3, built.said
        assert "dbt needs a /dev/shm with room that can be written" in built.said
    embedded.stop(lane.home)


@pytest.mark.parametrize("name", ["tdx", "ib snapshot", "tq mapping"])
@rounds(0, 2)
def test_a_build_by_hand_beside_a_load_costs_no_row(
    name: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    kind, rng, lane = "dbt build by hand beside a load", chance(times), open_lane(name)
    place = Place(lane.home, lane.home, {"DBT_EXCLUDE_RESOURCE_TYPES": "unit_test test"})

    def built() -> dict[str, list[tuple[Any, ...]]]:
        assert (done := place.forked("quotemill", "build")).returncode == 0, done.stderr
        return market_tables(embedded.expected_url(lane.home))

    lane.reset()
    assert lane.complete().code == 0
    expected = built()
    for _ in range(times):
        lane.reset()
        with ThreadPoolExecutor(1) as beside:
            build = beside.submit(place.forked, "quotemill", "dbt", "build")
            time.sleep(rng.uniform(0, 15))
            loaded = lane.drive("none", 0)
            tally.count(kind, lane.source, hit=not build.done())
            assert loaded.code == 0, loaded.said
        print(f"{name}: {build.result().returncode}: {build.result().stderr[-300:]}")
        tally.compare(kind, lane.source, lane.contents(), lane.whole)
        tally.compare(kind, lane.source, built(), expected)
