"""`quotemill questdb copy` moves ticks between the warehouse and QuestDB without a download."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from loaders.engine.progress import Silent
from loaders.ticks.open_store import open_store
from loaders.ticks.store import NoDataRow, TickStore
from loaders.tq.tick_days import copy as copying
from loaders.tq.tick_days.copy import TickCopy, copy_ticks
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli import questdb as commands
from quotemill.errors import DataQualityError, LockHeldError, SettingsError, UsageError
from quotemill.ticks.questdb_http import QuestdbHttp
from tests.faults.driver import was_killed
from tests.faults.points import Point, in_stores
from tests.faults.tq.test_verify import DAY_INDEX, SCHEDULE, TICKS, change_a_price
from tests.integration.ticks.servers import address_of
from tests.integration.tq.bench import Bench
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import DAYS, INDEX, SERIES, TRADED

NO_DATA = NoDataRow(
    SERIES,
    "SHFE.cu2511",
    date(2025, 9, 30),
    reason="none",
    attempts=2,
    checked_at=datetime(2025, 10, 1, tzinfo=UTC),
)


@pytest.fixture
def moved(made: Bench, questdb_url: str) -> Bench:
    """As `made`, which has its ticks in the warehouse, after the setting names QuestDB."""
    settings = made.settings.model_copy(update={"questdb_url": SecretStr(questdb_url)})
    return replace(made, settings=settings)


@contextmanager
def opened(bench: Bench) -> Iterator[TickStore]:
    with closing(open_store(bench.settings, open_warehouse(bench.settings))) as store:
        yield store


def copy(bench: Bench, to: str, *, take_out: bool = False) -> TickCopy:
    there = open_warehouse(bench.settings)
    return copy_ticks(bench.settings, there, to, bench.heard, take_out=take_out)


def is_whole(bench: Bench) -> None:
    """A load fetches nothing, and all that is stored is as before."""
    bench.asked()
    result = bench.load("ticks")
    assert (result.status, result.tasks, asked_days(bench)) == ("succeeded", (), 0)
    verification = verify(bench.settings, open_warehouse(bench.settings), Silent())
    assert (verification.days, verification.differences) == (DAYS, ())


def test_ticks_move_to_questdb_and_back_without_a_download(made: Bench, moved: Bench) -> None:
    with opened(made) as store:
        store.put_no_data([NO_DATA])
        assert made.load("ticks").status == "succeeded"
        index, schedule = store.index(), store.schedule(SERIES)
        days = [store.read_day(row.key) for row in index]
    before = made.rows(INDEX)
    made.asked()

    done = copy(moved, "questdb")
    assert (done.days, done.copied, done.ticks) == (DAYS, DAYS, DAYS * 150)
    assert (done.taken_out, done.damaged) == (0, {})
    is_whole(moved)
    again = copy(moved, "questdb")
    assert (again.copied, again.taken_out) == (0, 0)

    made.execute("drop schema ticks cascade")
    assert copy(moved, "warehouse").copied == DAYS
    is_whole(made)
    for bench in (made, moved):
        with opened(bench) as store:
            assert (store.index(), store.no_data()) == (index, [NO_DATA])
            assert store.schedule(SERIES) == schedule
            assert [store.read_day(row.key) for row in index] == days
    assert made.rows(INDEX) == before


def test_a_killed_copy_is_continued(made: Bench, moved: Bench) -> None:
    point = Point(in_stores("write_days"), nth=4)
    assert was_killed(lambda: copy(moved, "questdb"), point)
    done = copy(moved, "questdb")
    assert (done.days, done.copied, done.taken_out) == (DAYS, DAYS - 3, 0)
    is_whole(moved)


def test_a_damaged_day_is_named_and_the_rest_copied(
    made: Bench,
    moved: Bench,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change_a_price(made, str(TRADED[2]))
    made.execute(f"update {TICKS} set segment_id = 9 where trading_day = '{TRADED[3]}'")
    monkeypatch.setattr(commands, "load_settings", lambda: moved.settings)
    with pytest.raises(DataQualityError, match="1 damaged days were not copied"):
        commands.copy("questdb", json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["days"], shown["copied"], shown["ticks"]) == (DAYS, DAYS - 1, (DAYS - 1) * 150)
    [damaged] = shown["damaged"]
    assert damaged["day"].endswith(str(TRADED[2]))
    assert damaged["difference"].startswith("row_hash: the index says")
    with pytest.raises(DataQualityError):
        commands.copy("questdb")
    assert f"{TRADED[2]}: row_hash: the index says" in capsys.readouterr().out

    moved.asked()
    assert moved.load("ticks").status == "succeeded"
    assert asked_days(moved) == 1
    is_whole(moved)


def test_a_copy_that_would_harm_is_refused(made: Bench, moved: Bench, questdb_folder: Path) -> None:
    with pytest.raises(UsageError, match="questdb_url is not set"):
        copy(made, "questdb")
    with pytest.raises(UsageError, match="has no ticks to copy"):
        copy(moved, "warehouse")
    there = open_warehouse(made.settings)
    with load_lock(there, "tq_ticks"), pytest.raises(LockHeldError):
        copy(moved, "questdb")
    assert copy(moved, "questdb").copied == DAYS

    # the warehouse has moved on: a day is gone, another has other ticks
    made.execute(f"delete from {TICKS} where trading_day = '{TRADED[0]}'")
    made.execute(f"delete from {DAY_INDEX} where trading_day = '{TRADED[0]}'")
    with pytest.raises(UsageError, match=r"has 1 day .* otherwise or not at all, such as") as error:
        copy(moved, "questdb")
    assert "--take-out" in error.value.hint
    done = copy(moved, "questdb", take_out=True)
    assert (done.days, done.copied, done.taken_out) == (DAYS - 1, 0, 1)
    with opened(made) as source, opened(moved) as target:
        assert [row.key for row in target.index() if row.is_visible] == [
            row.key for row in source.index()
        ]
        assert [part.key for part in target.visible_ticks()] == [
            part.key for part in source.visible_ticks()
        ]

    http = QuestdbHttp(address_of(questdb_folder))
    http.rows("update ghtrader_warehouse_v2 set warehouse_id = 'another'")
    http.wait_applied("ghtrader_warehouse_v2", 60)
    http.close()
    for to in copying.PLACES:
        with pytest.raises(SettingsError, match="another warehouse"):
            copy(moved, to)


def test_a_day_that_is_damaged_in_the_source_alone_stays_in_the_target(
    made: Bench, moved: Bench
) -> None:
    assert copy(moved, "questdb").copied == DAYS
    change_a_price(made, str(TRADED[2]))
    for table in (TICKS, DAY_INDEX):  # another schedule since
        made.execute(f"update {table} set segment_id = 9 where trading_day = '{TRADED[2]}'")
    for take_out in (False, True):
        done = copy(moved, "questdb", take_out=take_out)
        assert (done.copied, done.taken_out) == (0, 0)
        [text] = done.damaged.values()
        assert text.endswith("keeps its own ticks")
    is_whole(moved)


def test_a_half_written_day_of_the_target_is_written_again(made: Bench, moved: Bench) -> None:
    assert copy(moved, "questdb").copied == DAYS
    made.execute(f"truncate {TICKS}, {DAY_INDEX}, {SCHEDULE}")
    assert copy(moved, "warehouse").copied == DAYS
    made.execute(f"delete from {TICKS} where trading_day = '{TRADED[1]}' and volume % 3 = 0")
    made.execute(f"update {TICKS} set segment_id = 9 where trading_day = '{TRADED[3]}'")
    made.execute(f"update {TICKS} set is_deleted = true where trading_day = '{TRADED[4]}'")
    assert copy(moved, "warehouse").copied == 3
    is_whole(made)
