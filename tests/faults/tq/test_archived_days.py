"""Corrections, revisions, losses and moves of archived days of ticks."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from loaders.engine.progress import Silent
from loaders.ticks.tables import TABLES
from loaders.tq import doctor
from loaders.tq.tick_days import ledger
from loaders.tq.tick_days.copy import copy_ticks
from loaders.tq.tick_days.repair import accept_loss, verify_and_repair
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import SettingsError, UsageError
from quotemill.ticks.columns import DayKey
from quotemill.ticks.questdb_http import QuestdbHttp, StoreError
from tests.faults.tq.tick_archive import (
    DAMAGES,
    READ,
    STAMP,
    archive,
    clock,
    damage_file,
    file_of,
    is_whole,
    opened,
    read_ticks,
    restore,
    runner,
    verified,
    visible_days,
)
from tests.integration.tq.bench import Bench, build_schedule
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import BEFORE_ROLL, DAYS, NEW, OLD, ROLL, TRADED


def test_minutes_are_made_of_archived_ticks(stored: Bench) -> None:
    stored.load("ticks")
    minutes = (
        "select contract, trading_day, start_at, open, high, low, close, volume, amount, "
        "close_oi from raw_tq.tick_minute order by contract, start_at"
    )
    before = stored.rows(minutes)
    assert before
    archive(stored)
    stored.execute("delete from raw_tq.tick_minute; delete from raw_tq.tick_minute_day")
    assert stored.load("ticks").status == "succeeded"
    assert stored.rows(minutes) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_a_repair_downloads_its_day(stored: Bench, damage: str) -> None:
    stored.load("ticks")
    ledger, before = stored.rows(READ), read_ticks(stored)
    archive(stored)
    path = file_of(stored, TRADED[2])
    damage_file(path, damage, file_of(stored, TRADED[1]))

    result = stored.load("ticks")
    is_lost = damage in ("missing", "cut")
    assert is_lost == any(f"{TRADED[2]}.parquet" in text for text in result.warnings)
    there = open_warehouse(stored.settings)
    [check] = [
        c
        for c in doctor.check_setup(stored.settings, there, clock(stored))
        if c.name == "tick archive"
    ]
    assert check.status == ("fail" if is_lost else "ok")
    verification = verified(stored)
    [difference] = verification.differences
    assert str(path) in difference.text
    assert verification.repairable == (difference.key,)
    back = restore(stored, TRADED[2], TRADED[2])
    assert (back.days, back.exit_code, list(back.damaged)) == (0, 5, [difference.key])

    stored.asked()
    after, repaired = verify_and_repair(
        stored.settings,
        there,
        runner(stored),
        lambda: nullcontext(Silent()),
        repair=True,
    )
    assert (after.differences, repaired, asked_days(stored)) == ((), 1, 1)
    assert stored.rows(READ) == ledger
    assert visible_days(stored) == {TRADED[2]}
    assert archive(stored).days == 1
    restore(stored)
    assert read_ticks(stored) == before


def test_every_byte_of_a_file_counts(made: Bench) -> None:
    before = read_ticks(made)
    archive(made)
    path = file_of(made, TRADED[2])
    data = path.read_bytes()
    end = len(data) - 1
    for place in (*range(0, end, end // 50), *range(end - 3000, end, 60), end):  # and its footer
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        [difference] = verified(made).differences
        assert str(TRADED[2]) in difference.key, place
    path.write_bytes(data)
    assert verified(made).differences == ()
    # other bytes with all ticks, and a file of which the index has no sha256
    day = pq.read_table(path)
    pq.write_table(day, path, compression="none", row_group_size=day.num_rows)
    verification = verified(made)
    [difference] = verification.differences
    assert "though its ticks are" in difference.text
    assert verification.repairable == ()
    with opened(made) as store:
        [row] = [row for row in store.index() if row.trading_day == TRADED[2]]
        for sha256, differences in ((None, []), (row.archive_sha256, [difference])):
            store.put_index([replace(row, archive_sha256=sha256)])
            assert made.load("ticks", datasets=("tick_index",)).status == "succeeded"
            assert list(verified(made).differences) == differences
    with pytest.raises(UsageError, match="none of its ticks are lost"):
        accept_loss(made.settings, open_warehouse(made.settings), [difference.key])
    restore(made, TRADED[2], TRADED[2])
    assert archive(made).days == 1
    assert verified(made).differences == ()
    restore(made)
    assert read_ticks(made) == before


def test_a_correction_of_an_archived_day_is_stored_and_archived_again(stored: Bench) -> None:
    stored.load("ticks")
    before = read_ticks(stored)
    archive(stored)
    day = TRADED[1]
    stored.sandbox.faults.add(f"revise-ticks:contract={OLD}:day={day}:by=1")
    again = stored.load("ticks", since=day, until=day, options={"refetch": "yes"})
    assert again.status == "succeeded"
    assert visible_days(stored) == {day}
    [(name,)] = stored.rows(
        f"select archive_file from raw_tq.symbol_day where trading_day = '{day}'"
    )
    assert name is None
    assert verified(stored).differences == ()

    # the file is replaced
    done = archive(stored)
    assert (done.contract_days, done.waiting) == (1, {})
    is_whole(stored, archived=DAYS)
    restore(stored)
    after = read_ticks(stored)
    assert {key.trading_day for key in before if before[key] != after[key]} == {day}


def test_a_revised_schedule_restamps_archived_days(stored: Bench) -> None:
    stored.load("ticks")
    before = read_ticks(stored)
    archive(stored)
    stored.sandbox.faults.add(f"revise-mains:contract={NEW}:by=-1")
    build_schedule(stored)
    stored.asked()
    assert stored.load("ticks").status == "succeeded"
    assert asked_days(stored) == 1
    assert visible_days(stored) == {BEFORE_ROLL}
    assert verified(stored).differences == ()

    assert archive(stored).contract_days == 1
    scheduled = [row for row in stored.rows(READ) if row[-1] == "complete"]
    assert restore(stored).days == DAYS
    after = read_ticks(stored)
    for row in scheduled:
        key = DayKey(*row[:3])
        stamps = set(zip(*(after[key][n].to_pylist() for n in STAMP), strict=True))
        assert stamps == {row[3:5]}
        if key in before:
            assert after[key].drop_columns(STAMP) == before[key].drop_columns(STAMP)
    changed = {key.trading_day for key in after if after[key] != before.get(key)}
    assert changed == {day for day in TRADED if day >= BEFORE_ROLL}
    assert ROLL in changed


def test_a_lost_day_can_be_given_up(made: Bench) -> None:
    archive(made)
    file_of(made, TRADED[2]).unlink()
    [difference] = verified(made).differences
    there = open_warehouse(made.settings)
    verify_and_repair(
        made.settings,
        there,
        runner(made),
        lambda: nullcontext(Silent()),
        accept=[difference.key],
    )
    assert verified(made).differences == ()
    made.asked()
    assert made.load("ticks").status == "succeeded"
    assert asked_days(made) == 1


def test_archived_days_move_between_stores_as_their_index_alone(
    made: Bench, questdb_url: str
) -> None:
    before = read_ticks(made)
    archive(made, before=TRADED[3])
    settings = made.settings.model_copy(update={"questdb_url": SecretStr(questdb_url)})
    moved = replace(made, settings=settings)
    for _ in range(2):
        done = copy_ticks(settings, open_warehouse(settings), "questdb", made.heard)
        assert (done.days, done.archived, done.taken_out) == (DAYS - 3, 3, 0)
    assert (done.copied, visible_days(moved)) == (0, set(TRADED[3:]))
    made.execute("drop schema ticks cascade")
    is_whole(moved, archived=3)
    # days that left the source since leave the target too
    copy_ticks(settings, open_warehouse(settings), "warehouse", made.heard)
    archive(made)
    done = copy_ticks(settings, open_warehouse(settings), "questdb", made.heard)
    assert (done.archived, done.taken_out, visible_days(moved)) == (DAYS, 0, set())
    is_whole(moved, archived=DAYS)
    restore(moved)
    assert read_ticks(moved) == before


def test_a_lost_index_gets_its_archived_days_back(
    stored: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.load("ticks")
    before = read_ticks(stored)
    archive(stored, before=TRADED[4])
    with opened(stored) as store:
        index = [row for row in store.index() if row.is_archived]
    lose_store(stored)
    monkeypatch.setattr(ledger, "FEW", 2)
    lost = f"lacks {DAYS} of {DAYS} days"
    for work in (archive, restore):
        with pytest.raises(StoreError, match=lost) as refused:
            work(stored)
        assert "`loaders run tq --dataset tick_index`" in refused.value.hint
    assert lost in str(stored.load("ticks").error)

    result = stored.load("ticks", datasets=("tick_index",))
    assert result.status == "succeeded"
    assert any("has them again" in text for text in result.warnings)
    with opened(stored) as store:
        again = [replace(row, updated_at=index[0].updated_at) for row in store.index()]
    assert [row for row in again if row.is_visible] == [
        replace(row, run_id=again[0].run_id, updated_at=index[0].updated_at) for row in index
    ]
    verification = verified(stored)
    assert (verification.archived, verification.differences) == (4, ())
    stored.asked()
    assert stored.load("ticks").status == "succeeded"
    assert asked_days(stored) == DAYS - 4
    is_whole(stored, archived=4)
    restore(stored)
    assert read_ticks(stored) == before


def lose_store(bench: Bench) -> None:
    """Its tables are gone, as with their disk."""
    if bench.settings.questdb_url is None:
        bench.execute("drop schema ticks cascade")
        return
    with opened(bench) as store:
        http: QuestdbHttp = store._connection.http()  # type: ignore[attr-defined]
        for table in TABLES:
            http.rows(f"drop table {table.name}")


def test_a_folder_is_of_one_warehouse(made: Bench, tmp_path: Path) -> None:
    archive(made)
    owner = made.settings.home / "tick-archive" / ".owner.json"
    owner.write_text(json.dumps({"warehouse_id": "another", "label": "the other one"}))
    for work in (archive, restore):
        with pytest.raises(SettingsError, match=r"another warehouse \(the other one\)") as error:
            work(made)
        assert "tq.archive_folder" in error.value.hint
    folder = tmp_path / "elsewhere"
    tq = made.settings.tq.model_copy(update={"archive_folder": folder})
    moved = replace(made, settings=made.settings.model_copy(update={"tq": tq}))
    with pytest.raises(SettingsError, match=f"none of the {DAYS} files"):
        verified(moved)
    (made.settings.home / "tick-archive").rename(folder)
    assert verified(moved).differences == ()
