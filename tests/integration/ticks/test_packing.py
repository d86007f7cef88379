"""Old ticks in QuestDB's Parquet: packed if they are as indexed, and unpacked by every write."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NoReturn

import pytest
import typer

from loaders.engine.progress import Silent
from loaders.settings import Settings, load_settings
from loaders.ticks.day_hash import measured
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import Stamp
from loaders.tq.request import TICK_LANE
from loaders.tq.tick_days.packing import PackedTicks, pack_ticks
from loaders.warehouse import migrate
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from orchestration.archive import old_days, retention
from orchestration.archive.retention import RetentionResult
from orchestration.cli import archive as commands
from quotemill.errors import LockHeldError, SettingsError, UsageError
from quotemill.ticks.questdb_http import QuestdbHttp, StoreError
from tests.integration.ticks import servers
from tests.integration.ticks.test_stores import indexed
from tests.ticks import KEY, day_of_ticks, write_day

DAYS = [date(2025, 11, number) for number in (10, 11, 12, 13, 14, 17)]  # Monday to Monday
KEYS = [KEY._replace(trading_day=day) for day in DAYS]
AS_OF = datetime(2025, 11, 18, tzinfo=UTC)
OLD = 4  # days: before the 14th, a Friday
PACKED = [date(2025, 11, number) for number in (9, 10, 11, 12)]  # the night before, and days


@pytest.fixture
def settings(empty_questdb: Path, new_database: Callable[[], str]) -> Settings:
    made = load_settings(
        {
            "QUOTEMILL_WAREHOUSE_URL": new_database(),
            "QUOTEMILL_HOME": str(empty_questdb.parent),
            "QUOTEMILL_QUESTDB_URL": "local",
            "QUOTEMILL_QUESTDB__WAIT": "0",
        }
    )
    migrate.prepare(open_warehouse(made), ())
    return made


@pytest.fixture
def filled(questdb_store: QuestdbStore) -> QuestdbStore:
    for seed, key in enumerate(KEYS):
        day = day_of_ticks(3_000, key, seed=seed)
        questdb_store.put_index([indexed(key, write_day(questdb_store, day))])
    return questdb_store


def pack(settings: Settings, *, dry_run: bool = False) -> PackedTicks:
    warehouse = open_warehouse(settings)
    return pack_ticks(settings, warehouse, Silent(), AS_OF, older_than=OLD, dry_run=dry_run)


def packed_days(folder: Path) -> list[date]:
    http = QuestdbHttp(servers.address_of(folder))
    rows = http.rows(
        "select name from table_partitions('ghtrader_ticks_main_l5_v2') where isParquet"
    )
    http.close()
    return sorted(date.fromisoformat(row["name"][:10]) for row in rows)


def test_old_partitions_are_packed_and_read_as_before(
    settings: Settings, filled: QuestdbStore, empty_questdb: Path
) -> None:
    planned = pack(settings, dry_run=True)
    assert packed_days(empty_questdb) == []
    done = pack(settings)
    assert done == planned
    assert (done.before, done.days, done.damaged) == (date(2025, 11, 14), len(PACKED), [])
    assert done.ticks > 3 * 3_000
    assert packed_days(empty_questdb) == PACKED
    for seed, key in enumerate(KEYS):
        day = day_of_ticks(3_000, key, seed=seed)
        assert filled.measure(*key) == measured(day)
        assert filled.read_day(key).equals(day)
    assert filled.check() == []
    assert (pack(settings).days, packed_days(empty_questdb)) == (0, PACKED)


def test_a_write_unpacks_what_it_changes(
    settings: Settings, filled: QuestdbStore, empty_questdb: Path
) -> None:
    pack(settings)
    tuesday, wednesday = KEYS[1], KEYS[2]
    revised = day_of_ticks(2_000, tuesday, seed=9)
    assert write_day(filled, revised) == measured(revised)
    assert packed_days(empty_questdb) == [date(2025, 11, 9), date(2025, 11, 12)]
    filled.put_index([indexed(tuesday, measured(revised))])

    pack(settings)
    assert packed_days(empty_questdb) == PACKED
    filled.restamp(*wednesday[:2], [Stamp(wednesday.trading_day, 7, "f" * 16)])
    [row] = [row for row in filled.index() if row.key == wednesday]
    assert row.segment_id == 7
    assert packed_days(empty_questdb) == [date(2025, 11, 9), date(2025, 11, 10)]

    pack(settings)
    assert filled.supersede(*tuesday) == 2_000
    assert filled.check() == []
    assert [row.status for row in filled.index() if row.key == tuesday] == ["superseded"]


def test_partitions_of_a_day_that_is_not_as_indexed_stay(
    settings: Settings, filled: QuestdbStore, empty_questdb: Path
) -> None:
    [row] = [row for row in filled.index() if row.key == KEYS[1]]
    filled.put_index([replace(row, hash_a=1, row_hash="1")])
    done = pack(settings)
    assert done.damaged == ["KQ.m@SHFE.cu SHFE.cu2601 2025-11-11"]
    assert packed_days(empty_questdb) == [date(2025, 11, 9), date(2025, 11, 12)]


def test_partitions_of_superseded_ticks_are_packed(
    settings: Settings, questdb_store: QuestdbStore, empty_questdb: Path
) -> None:
    for key in (KEYS[0], KEYS[-1]):
        day = day_of_ticks(300, key)
        questdb_store.put_index([indexed(key, write_day(questdb_store, day))])
    assert questdb_store.supersede(*KEYS[0]) == 300
    done = pack(settings)
    assert (done.damaged, packed_days(empty_questdb)) == ([], PACKED[:2])
    assert done.days == 2
    assert questdb_store.measure(*KEYS[0]).rows == 0


def test_a_day_whose_ticks_were_lost_is_damaged(
    settings: Settings, questdb_store: QuestdbStore, empty_questdb: Path
) -> None:
    for key in (KEYS[0], KEYS[-1]):
        day = day_of_ticks(300, key)
        questdb_store.put_index([indexed(key, write_day(questdb_store, day))])
    [row] = [row for row in questdb_store.index() if row.key == KEYS[0]]
    questdb_store.supersede(*KEYS[0])
    questdb_store.put_index([row])
    done = pack(settings)
    assert (done.damaged, done.days) == (["KQ.m@SHFE.cu SHFE.cu2601 2025-11-10"], 0)
    assert packed_days(empty_questdb) == []


def test_a_home_without_ticks_starts_no_server(
    tmp_path: Path, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(
        {"QUOTEMILL_WAREHOUSE_URL": new_database(), "QUOTEMILL_HOME": str(tmp_path)}
    )
    monkeypatch.setattr(commands, "load_settings", lambda: settings)
    with pytest.raises(UsageError, match="this home has no ticks"):
        commands.retention_command(view="ticks", yes=True)
    assert not (tmp_path / "questdb").exists()


@pytest.mark.parametrize(
    "after", [0.0, *(pytest.param(after, marks=pytest.mark.long) for after in (0.02, 0.1))]
)
def test_a_server_killed_while_it_packs_loses_no_tick(
    settings: Settings,
    filled: QuestdbStore,
    empty_questdb: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: float,
) -> None:
    import time

    wait = QuestdbHttp.wait_applied

    def kill(http: QuestdbHttp, table: str, patience: float) -> None:
        time.sleep(after)
        servers.kill(empty_questdb)
        wait(http, table, patience)

    with monkeypatch.context() as patched:
        patched.setattr(QuestdbHttp, "wait_applied", kill)
        with pytest.raises(StoreError):
            pack(settings)
    servers.start(empty_questdb)
    filled.close()
    pack(settings)
    assert packed_days(empty_questdb) == PACKED
    for seed, key in enumerate(KEYS):
        assert filled.measure(*key) == measured(day_of_ticks(3_000, key, seed=seed))


def test_retention_packs_ticks_and_says_what_stays(
    settings: Settings,
    filled: QuestdbStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(commands, "load_settings", lambda: settings)

    def retain(view: str | None = "ticks") -> tuple[int, str]:
        with pytest.raises(typer.Exit) as ended:
            commands.retention_command(view=view, yes=True, older_than=OLD, as_of=AS_OF.isoformat())
        return ended.value.exit_code, capsys.readouterr().out

    def refuse(*_: object) -> NoReturn:
        raise SettingsError("retain of raw_x.y: days of a table that Citus distributes stay")

    with (
        load_lock(open_warehouse(settings), TICK_LANE),
        pytest.raises(LockHeldError, match=" lock"),
    ):
        retain()
    with load_lock(open_warehouse(settings), TICK_LANE), pytest.MonkeyPatch.context() as patched:
        dropped = RetentionResult(False, AS_OF.date(), logs=["old.jsonl"])
        patched.setattr(retention, "retain", lambda *_, **__: dropped)
        patched.setattr(old_days, "find_retained_tables", lambda *_: [])
        code, shown = retain(None)
    assert (code, "1 logs, 0.0 MB deleted" in shown) == (75, True)
    with pytest.MonkeyPatch.context() as patched:
        dropped = RetentionResult(False, AS_OF.date(), logs=["old.jsonl"])
        patched.setattr(retention, "retain", lambda *_, **__: dropped)
        patched.setattr(old_days, "find_retained_tables", refuse)
        code, shown = retain(None)
    assert (code, "1 logs, 0.0 MB deleted" in shown) == (3, True)
    [row] = [row for row in filled.index() if row.key == KEYS[1]]
    filled.put_index([replace(row, hash_a=1, row_hash="1")])
    code, shown = retain()
    assert code == 5
    assert "damaged: KQ.m@SHFE.cu SHFE.cu2601 2025-11-11: " in shown
    filled.put_index([row])
    code, shown = retain()
    assert (code, " 2 partitions " in shown) == (0, True)
