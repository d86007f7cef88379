"""Faults of every kind on every source: after them the same commands leave the same tables.

`make soak` runs many of each, by seeds that it prints; `make test-faults` one or two.
"""
# ruff: noqa: F811

import random
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from tests.integration.ticks.servers import SMALL, address_of, start, url_of
from tests.integration.tq.worlds import DAYS

SOAK = pytest.mark.soak
FEW_LANES = ("tdx", "ib snapshot", "tq questdb")
Case = tuple[str, ...]


def cases(few: Sequence[Case], every: Sequence[Case], times: int) -> list[Any]:
    """Some once, in `make test-faults`, and each so many times, in `make soak`."""
    return [
        *(pytest.param(*case, 1, id=f"few, {', '.join(case)}") for case in few),
        *(pytest.param(*case, times, id=", ".join(case), marks=SOAK) for case in every),
    ]


def chance(times: int) -> random.Random:
    return dice(47 if times == 1 else secrets.randbelow(1_000_000))


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


def empty(folder: Path) -> None:
    http = QuestdbHttp(address_of(folder))
    for table in QUESTDB_TABLES:
        http.rows(f"drop table if exists {table.name}")
    http.close()


VICTIMS = [(name, v) for name in LANES for v in ("self", "{server}", "{server},self")]


@pytest.mark.parametrize(
    ("name", "victims", "times"),
    cases([("tdx", "{server},self")], VICTIMS, 4),
)
def test_loads_killed_again_and_again_are_completed_by_the_next(
    name: str, victims: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    """The load, the embedded server below it, or both; several times before one comes through."""
    rng, lane = chance(times), open_lane(name)
    for _ in range(times):
        lane.reset()
        for _ in range(2 if times == 1 else 8):
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


QUESTDB = [("questdb:{folder}",), ("questdb:{folder},self",)]


@pytest.mark.parametrize(("victims", "times"), cases((), QUESTDB, 4))
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
            for _ in range(2 if times == 1 else 6):
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


WAYS = [
    *((name, way) for name in LANES for way in ("service", "warehouse")),
    ("tq questdb", "store"),
]
FEW_WAYS = [("tdx", "warehouse")]


@pytest.mark.parametrize(("name", "way", "times"), cases(FEW_WAYS, WAYS, 4))
def test_a_partition_of_the_network_costs_nothing_but_time(
    name: str, way: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    """What is between stops forwarding in the midst of a load, and goes on or breaks off."""
    rng, lane = chance(times), open_lane(name)
    with lane.through_proxy(way) as (middle, env):
        lane.reset()
        assert (whole := lane.drive("none", 0, **env)).code == 0, whole.said
        total = middle.passed
        for turn in range(2 * times):
            lane.reset()
            before, closes = middle.stops, turn % 2 == 1
            middle.arm((rng.randrange(total), rng.uniform(0.5, 3), closes))
            done = lane.drive("none", 0, **env)
            tally.count(f"{way} cut off", lane.source, hit=middle.stops > before)
            print(f"{name}, {way}, {closes}: {done.code} {done.said if done.code else ''}")
            assert done.code in (0, 4, 6), done.said
            assert "internal error" not in done.said
            middle.arm(None)
            last = lane.complete()
            assert last.code == 0, last.said
            tally.compare(f"{way} cut off", lane.source, lane.contents(), lane.whole)


RECORDS = (
    "enrichment",
    "ingestion_state",
    "cursors",
    "rejected_row",
    "slot_run",
    "session",
    "harvest",
)
BACK = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


@pytest.mark.parametrize(
    ("name", "far", "times"),
    cases([("tdx", "day")], [(n, far) for n in LANES for far in BACK], 2),
)
def test_a_clock_set_back_costs_no_row(
    name: str, far: str, times: int, open_lane: Callable[[str], Lane]
) -> None:
    """In the midst of a load, which is killed; another begins an hour or a day before it."""
    rng, lane = chance(times), open_lane(name)
    early = (lane.sandbox.clock - BACK[far]).isoformat()
    for _ in range(times):
        lane.reset()
        if rng.random() < 0.5:
            point = rng.choice(sorted(lane.counts))
            lane.drive(point, rng.randint(1, lane.counts[point]))
        done = lane.drive("none", 0, AS_OF=early)
        tally.count(f"clock back by one {far}", lane.source)
        assert done.code in (0, 4, 5, 6, 75), done.said
        assert "internal error" not in done.said
        assert (done := lane.complete()).code == 0, done.said
        kind, whole = f"clock back by one {far}", without_clock(lane.whole)
        held = dict(without_clock(lane.contents()))
        for table in {"contract", "negative_contract"} & held.keys():
            # strikes about an earlier day's price were looked up, too
            held[table] = [row for row in held[table] if row in whole[table]]
        tally.compare(kind, lane.source, held, whole)


def without_clock(contents: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data, without when it came and the minutes that an earlier day's load adds.

    What loads record of themselves, attempts and refusals, tells of the wrong clock and stays.
    """
    return {
        table: [strip_times(row) for row in rows if "minute1" not in str(row)]
        for table, rows in contents.items()
        if not any(record in table for record in RECORDS)
    }


def strip_times(row: Any) -> Any:
    """Bars have days and texts; a moment in a row is when it came, as is a first day."""
    if isinstance(row, Mapping):
        row = tuple(row.items())
        return tuple(
            (name, value)
            for name, value in row
            if name != "first_seen_date" and not isinstance(value, datetime)
        )
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


@pytest.mark.parametrize(("name", "times"), cases([("tdx",)], [(name,) for name in FEW_LANES], 2))
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
@pytest.mark.parametrize("name", ["tdx", *(pytest.param(n, marks=SOAK) for n in FEW_LANES[1:])])
def test_no_shared_memory_of_the_machine_is_needed(
    name: str,
    memory: str,
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
        assert "dbt needs a writable /dev/shm" in built.said
    embedded.stop(lane.home)


@pytest.mark.parametrize(("name", "times"), cases((), [("tdx",), ("ib snapshot",)], 2))
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
