"""A load beside a restore: no row is skipped by a cursor that is ahead of what came back."""
# ruff: noqa: F811

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from loaders.engine.result import LoadResult
from loaders.warehouse import lock
from loaders.warehouse.content import content_id
from loaders.warehouse.postgres import open_warehouse
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from quotemill.errors import LockHeldError, UpstreamError
from tests.faults import tally
from tests.faults.kills import dice
from tests.faults.scene import wait_until
from tests.toy.bench import FILES, Toy, bench  # noqa: F401

SYMBOLS = sorted(FILES)


def bench_with_dump(bench: Toy, file: Path) -> Toy:
    """A warehouse that has loaded more than its dump holds; the files have more again."""
    assert bench.load().status == "succeeded"
    dump(open_warehouse(bench.settings), file)
    return grow(bench) and bench


def grow(bench: Toy) -> bool:
    """A further line in each file."""
    for symbol in SYMBOLS:
        lines = (bench.folder / f"{symbol}.csv").read_text()
        slot = len(lines.splitlines()) + 1
        bench.write(symbol, f"{lines}9{slot:03},{slot}\n")  # slots ascend as text
    return True


def wanted(bench: Toy) -> list[tuple[str, str, int]]:
    return sorted(
        (symbol, slot, int(price))
        for symbol in SYMBOLS
        for slot, price in (
            line.split(",") for line in (bench.folder / f"{symbol}.csv").read_text().splitlines()
        )
    )


def restored(bench: Toy, file: Path) -> None:
    """From another machine: the file of a lane's lock is not its own."""
    settings = bench.settings.model_copy(update={"home": file.parent / "another"})
    restore(open_warehouse(settings), file, clean=True)


def overtaken(
    bench: Toy, symbol: str, file: Path, then: Callable[[], object] = lambda: None
) -> LoadResult:
    """A load that loses its lock as it reads the symbol, and goes on once the dump is restored.

    then: what happens before it goes on
    """
    reached = bench.block(symbol)
    with ThreadPoolExecutor(1) as other:
        load = other.submit(bench.load)
        release = reached()
        end_lock(bench)
        wait_until("the restore is done", lambda: not_held(lambda: restored(bench, file)))
        then()
        release()
        return load.result()


@pytest.mark.parametrize("symbol", ["AA", "cc"], ids=["first package", "later package"])
def test_a_load_that_lost_its_lock_lands_nothing_after_a_restore(
    bench: Toy, tmp_path: Path, symbol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection breaks, and the restore takes the lock before it can."""
    monkeypatch.setattr(lock, "WATCH_POLL", 60)
    bench_with_dump(bench, tmp_path / "dump")
    assert bench.load().status == "succeeded"
    grow(bench)
    load = overtaken(bench, symbol, tmp_path / "dump")
    assert load.exit_code == 75
    assert "was restored in the meantime" in str(load.error)
    assert "again" in load.hint.split()[-1]
    assert bench.load().status == "succeeded"
    assert bench.rows() == wanted(bench)


def test_cursors_that_a_restore_took_back_are_not_shown(
    bench: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load without new rows shows the cursors that it began with; plans of loads read them."""
    monkeypatch.setattr(lock, "WATCH_POLL", 60)
    bench_with_dump(bench, tmp_path / "dump")
    shown = "select key, cursor from ops.ingestion_state order by 1"
    dumped = bench.rows(shown)
    assert bench.load().status == "succeeded"
    assert overtaken(bench, "AA", tmp_path / "dump").exit_code == 75
    assert bench.rows(shown) == dumped


def test_the_record_of_a_load_that_has_its_number_since_stays(
    bench: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore takes the numbers of loads back: another one has that of the load it overtook."""
    monkeypatch.setattr(lock, "WATCH_POLL", 60)
    bench_with_dump(bench, tmp_path / "dump")
    record = (
        "select j.job_id, j.status, j.error, t.keys, t.status, t.done, t.failures, l.event "
        "from ops.ingestion_jobs as j left join ops.ingestion_job_tasks as t using (job_id) "
        "left join ops.ingestion_logs as l using (job_id) where j.job_id = 2"
    )
    known: list[object] = []

    def take_number() -> None:
        with psycopg.connect(bench.dsn) as conn:
            conn.execute(
                "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, "
                "parameters, as_of) values ('b', 'b', 'init', 'running', 'x', '{}', now())"
            )
            conn.execute(
                "insert into ops.ingestion_job_tasks (job_id, task_no, dataset, keys, status) "
                "values (2, 1, 'price', '{X}', 'running')"
            )
        known.extend(bench.rows(record))

    load = overtaken(bench, "cc", tmp_path / "dump", take_number)
    assert (load.job_id, load.exit_code) == (2, 75)
    assert bench.rows(record) == known != []
    assert bench.load().status == "succeeded"
    assert bench.rows() == wanted(bench)


def test_the_rest_of_a_load_of_another_machine_is_not_offered(
    bench: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the number of the load that lost its lock, and holds the lock since the restore."""
    monkeypatch.setattr(lock, "WATCH_POLL", 60)
    bench_with_dump(bench, tmp_path / "dump")
    settings = bench.settings.model_copy(update={"home": tmp_path / "another"})
    with ExitStack() as other:

        def hold_lane() -> None:
            other.enter_context(lock.load_lock(open_warehouse(settings), "toy"))

        load = overtaken(bench, "AA", tmp_path / "dump", hold_lane)
    assert load.exit_code == 75
    assert "another load of toy holds the lock" in str(load.error)
    assert "retry" not in load.hint


def test_a_load_asks_its_source_for_nothing_more_after_a_restore(
    bench: Toy, tmp_path: Path
) -> None:
    """It takes its lock again, and leaves the job that has its number alone."""
    bench_with_dump(bench, tmp_path / "dump")
    warehouse = open_warehouse(bench.settings)
    content = content_id(warehouse)
    with lock.load_lock(warehouse, "toy") as held:
        end_lock(bench)
        wait_until(
            "the restore is done", lambda: not_held(lambda: restored(bench, tmp_path / "dump"))
        )
        job = "select held_by from ops.ingestion_jobs where job_id = 1"
        known = bench.rows(job)
        with lock.Watch(held, 1, content) as watch:
            watch.held_by = "another"
            wait_until("the restore is seen", lambda: not not_held(watch.asked))
            with pytest.raises(LockHeldError, match="was restored in the meantime"):
                watch.asked()
    assert bench.rows(job) == known != []


def end_lock(bench: Toy) -> None:
    with psycopg.connect(bench.dsn, autocommit=True) as conn:
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'quotemill load lock: toy' and datname = current_database()"
        )


def not_held(call: Callable[[], object]) -> bool:
    try:
        call()
    except (LockHeldError, UpstreamError):  # the server is away, or ended a deadlock
        return False
    return True


@pytest.mark.parametrize(
    "times", [pytest.param(3, id="few"), pytest.param(100, marks=pytest.mark.soak, id="many")]
)
def test_no_interleaving_of_a_load_and_a_restore_loses_a_row(
    bench: Toy, tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench_with_dump(bench, tmp_path / "dump")
    monkeypatch.setattr(lock, "WATCH_POLL", 1.0)
    chance, outcomes = dice(47), {"both": 0, "one was refused": 0}
    for _ in range(times):
        grow(bench)
        early, late, lost = chance.random(), chance.random(), chance.random() < 0.5
        with ThreadPoolExecutor(2) as threads:

            def load(wait: float = early) -> bool:
                time.sleep(wait)
                return not_held(bench.load)

            def put_back(wait: float = late) -> bool:
                time.sleep(wait)
                return not_held(lambda: restored(bench, tmp_path / "dump"))

            both = threads.submit(load), threads.submit(put_back)
            if lost:
                time.sleep(early + chance.random() / 5)
                end_lock(bench)
            outcomes["both" if all(b.result() for b in both) else "one was refused"] += 1
        tally.count("restore beside a load", "toy")
        assert bench.load().status == "succeeded"
        rows, right = {"price": bench.rows()}, {"price": wanted(bench)}
        tally.compare("restore beside a load", "toy", rows, right)
    print(outcomes)
