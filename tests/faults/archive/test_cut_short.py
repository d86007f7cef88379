"""Archive, compaction, retention and restore killed at any step: the next run finishes them."""

import random
import secrets
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import pytest

from loaders.engine.progress import Silent
from loaders.files.whole_file import unfinished
from loaders.settings import Settings
from orchestration.archive import folder as folders
from orchestration.archive import ledger, swap
from orchestration.archive.folder import Folder
from orchestration.archive.ledger import New
from orchestration.archive.store import archive_lock
from orchestration.archive.write import Request, archive
from quotemill.errors import LockHeldError
from quotemill.warehouse.postgres import Warehouse
from tests.faults import tally
from tests.faults.driver import was_killed
from tests.faults.kills import dice
from tests.faults.points import ARCHIVE, RENAME, Point, after
from tests.faults.scene import wait_until
from tests.integration.dbt.option_days import (
    AFTER,
    LANDED,
    OPTION_DAYS,
    TUESDAY,
    VIEWS,
    archived,
    files,
    restored,
    retained,
    rows,
    tables,
)

pytestmark = OPTION_DAYS

WORK = {
    "archive": archived,
    "compact": partial(archived, compact=True),
    "retention": retained,
    "restore": partial(restored, until=TUESDAY.day),
}


def is_free(warehouse: Warehouse) -> bool:
    """Whether the server has ended the session of what was killed."""
    try:
        with archive_lock(warehouse):
            return True
    except LockHeldError:
        return False


def killed(stage: str, settings: Settings, warehouse: Warehouse, point: Point) -> bool:
    was = was_killed(lambda: WORK[stage](settings, warehouse), point)
    tally.count(f"{stage} killed", "ib", hit=was)
    wait_until("the lock is free", lambda: is_free(warehouse))
    return was


@pytest.fixture(scope="module")
def whole() -> dict[str, dict[str, list[str]]]:
    """What each work leaves where nothing disturbs it."""
    return {}


@pytest.mark.soak
@pytest.mark.parametrize("turn", range(21))  # the first is left alone
def test_work_killed_again_and_again_and_files_damaged_leave_the_same_rows(
    turn: int,
    whole: dict[str, dict[str, list[str]]],
    conn: psycopg.Connection,
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
) -> None:
    """Each work is killed until a kill comes too late, then done; its files are damaged."""
    rng = dice(secrets.randbelow(1_000_000))

    def held() -> dict[str, list[str]]:
        return rows(folder) | dict(zip(LANDED, tables(conn, LANDED), strict=True))

    for name, work in WORK.items():
        points = [point for point in ARCHIVE.values() if point.stage == name]
        for _ in range(5 if turn else 0):
            point = replace(rng.choice(points), nth=rng.choice([1, 1, 2, 3]))
            if not killed(name, settings, warehouse, point):
                break
        assert work(settings, warehouse).exit_code == 0
        left = whole.setdefault(name, held())
        if turn:
            tally.compare(f"{name} killed", "ib", held(), left)
        if turn and name in ("archive", "compact"):
            damage_some(folder, rng)
            assert archived(settings, warehouse, check=True).exit_code == 0
            assert work(settings, warehouse).exit_code == 0
            tally.compare("archive damaged", "ib", held(), left)


def damage_some(folder: Path, rng: random.Random) -> None:
    """Some files are gone, cut short, empty, another's or altered in the midst."""
    chosen = rng.sample(files(folder), rng.randint(1, 2))
    for name in chosen:
        file = folder / name
        data, at = file.read_bytes(), rng.randrange(file.stat().st_size - 50)
        other = (folder / rng.choice(files(folder))).read_bytes()
        altered = data[:at] + bytes(byte ^ 255 for byte in data[at : at + 50]) + data[at + 50 :]
        if (now := rng.choice([None, data[:at], b"", other, altered])) is None:
            file.unlink()
        else:
            file.write_bytes(now)
        tally.count("archive damaged", "ib", hit=now != data)


@pytest.mark.parametrize("point", ARCHIVE)
def test_what_a_kill_left_undone_the_same_work_does(
    point: str, conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    stage, landed = ARCHIVE[point].stage, tables(conn, LANDED)
    for name in list(WORK)[: list(WORK).index(stage)]:
        assert WORK[name](settings, warehouse).exit_code == 0
    assert killed(stage, settings, warehouse, ARCHIVE[point])
    left = rows(folder)
    slots = "select count(*) from raw_ib.chain_snapshot where trade_date = %s"
    [(count,)] = conn.execute(slots.encode(), (TUESDAY.day,))
    assert count == (0 if stage == "restore" else 112)

    assert WORK[stage](settings, warehouse).exit_code == 0
    whole = rows(folder)
    assert whole.keys() == set(VIEWS)
    # none was there twice, and all of them but within a swap
    assert all(len(held) == len(set(held)) for held in left.values())
    assert all(set(held) <= set(whole[view]) for view, held in left.items())
    if stage in ("retention", "restore"):
        assert left == whole
    assert list(folder.rglob("*.new")) == []
    begun = "select count(*) from ops.settings where starts_with(key, 'archive_swap:')"
    assert conn.execute(begun).fetchone() == (0,)
    if stage == "retention":
        assert conn.execute(slots.encode(), (TUESDAY.day,)).fetchone() == (0,)
    else:
        assert tables(conn, LANDED) == landed
    checked = archived(settings, warehouse, check=True)
    assert (checked.exit_code, checked.damaged, checked.files) == (0, [], 0)


@pytest.mark.parametrize("stage", ["chain_intraday", "compact"])
def test_an_archive_that_lost_its_lock_changes_no_file(
    stage: str, conn: psycopg.Connection, warehouse: Warehouse, settings: Settings, folder: Path
) -> None:
    """Its connection broke, and another archive began: each would remove files of the other."""
    left: list[list[str]] = []
    with ExitStack() as other:

        class Losing(Silent):
            def start(self, what: str, total: int) -> None:
                if what == stage:
                    conn.execute(
                        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where "
                        "application_name = 'quotemill archive lock' "
                        "and datname = current_database()"
                    )
                    other.enter_context(archive_lock(warehouse))
                    left.append(files(folder))

        with pytest.raises(LockHeldError, match="the archive lost its lock"):
            archive(settings, warehouse, Request(compact=True), Losing(), AFTER)
    assert [files(folder)] == left
    done = archived(settings, warehouse, compact=True, check=True)
    assert (done.exit_code, done.damaged, done.unknown) == (0, [], [])


def test_rows_that_go_from_one_large_file_to_another_are_never_in_both(
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a file for each partition
    monkeypatch.setattr(folders, "_WAITING", 1)
    archived(settings, warehouse, compact=True, target_bytes=5)
    before = rows(folder)["chain_intraday"]
    with warehouse.connect() as conn:
        held = ledger.find_partitions(conn, "options", "chain_intraday")
        by_path = {
            file.path: file
            for file in ledger.list_files(conn, "options")
            if file.view_name == "chain_intraday"
        }
    first, other = sorted(by_path)[:2]
    new = []
    for name, old in ((first, other), (other, first)):
        unfinished(folder / name).write_bytes((folder / old).read_bytes())
        contents = {p.place: p.content for p in held if p.path == old}
        new.append(New(replace(by_path[old], path=name), contents))
    exchange = partial(swap.replace_files, warehouse, Folder(folder, "test"), "options")
    assert was_killed(lambda: exchange([first, other], new), after(RENAME))
    left = rows(folder)["chain_intraday"]
    assert len(left) == len(set(left)) < len(before)
    done = archived(settings, warehouse, check=True)
    assert (done.exit_code, done.finished) == (0, 1)
    assert rows(folder)["chain_intraday"] == before
