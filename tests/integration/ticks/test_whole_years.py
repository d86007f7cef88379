"""A store of an earlier version gets the whole delivery years of Zhengzhou's contracts."""

from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loaders.ticks.frame import DayKey
from loaders.ticks.questdb.http import QuestdbHttp
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import NOTHING, SCHEDULE, IndexRow, NoDataRow, StoreError, TickStore
from loaders.ticks.tables import DAY_INDEX, MAIN_TICKS, NO_DATA_DAYS
from loaders.ticks.whole_years import whole_year
from tests.integration.ticks.servers import address_of
from tests.ticks import KEY, day_of_ticks

SERIES = "KQ.m@CZCE.SR"
FRIDAY = DayKey(SERIES, "CZCE.SR511", date(2025, 10, 31))
OUTGROWN = DayKey(SERIES, "CZCE.SR511", date(2025, 11, 3))
MONDAY = DayKey(SERIES, "CZCE.SR601", date(2025, 11, 3))
EMPTY = DayKey(SERIES, "CZCE.SR601", date(2025, 11, 4))
DAYS = (FRIDAY, OUTGROWN, MONDAY, KEY)


def renamed(key: DayKey) -> DayKey:
    return key._replace(contract=whole_year(key.contract))


def fill(store: TickStore) -> None:
    """Two months of two contracts, one of them outgrown on a day, beside another exchange."""
    moment = datetime(2025, 11, 20, tzinfo=UTC)
    stamp: dict[str, Any] = {"segment_id": 1, "schedule_hash": f"{1:016x}"}
    rest: dict[str, Any] = {"volume": 9, "day_volume": None, "run_id": "1", "updated_at": moment}
    for seed, key in enumerate(DAYS):
        seen = store.write_day(day_of_ticks(60 + seed, key, seed=seed))
        row = {**key._asdict(), **vars(seen), **stamp, **rest}
        store.put_index([IndexRow(**row, status="complete")])
        if key == OUTGROWN:
            store.supersede(*key)
    store.put_no_data([NoDataRow(*EMPTY, "empty", 1, moment, moment, 1)])
    days = [
        {
            "variety": "CZCE.SR",
            "symbol": SERIES,
            "trading_day": key.trading_day,
            "underlying_contract": key.contract,
            "prev_contract": before,
            "is_switch": before is not None,
            "source": "history",
        }
        for key, before in ((FRIDAY, None), (MONDAY, FRIDAY.contract))
    ]
    store.put_schedule(pa.Table.from_pylist([day | stamp for day in days], schema=SCHEDULE))


def contents(store: TickStore) -> list[Any]:
    """What the store has, by new names."""
    index = [(*renamed(row.key), row.row_hash, row.status) for row in store.index()]
    schedule = store.schedule(SERIES).to_pylist()
    for day in schedule:
        for name in ("underlying_contract", "prev_contract"):
            day[name] = day[name] and whole_year(day[name])
    no_data = [renamed(DayKey(r.symbol, r.contract, r.trading_day)) for r in store.no_data()]
    ticks = []
    for row in store.index():
        day = store.read_day(row.key).to_pylist()
        ticks.append([tick | {"underlying_contract": renamed(row.key).contract} for tick in day])
    return [index, schedule, no_data, ticks]


def require_new_names(store: TickStore) -> None:
    assert {row.key for row in store.index()} == {renamed(key) for key in DAYS}
    assert [row.contract for row in store.no_data()] == ["CZCE.SR2601"]
    schedule = store.schedule(SERIES)
    assert schedule["underlying_contract"].to_pylist() == ["CZCE.SR2511", "CZCE.SR2601"]
    assert schedule["prev_contract"].to_pylist() == [None, "CZCE.SR2511"]
    visible = {(row.contract, row.trading_day) for row in store.visible_ticks()}
    assert visible == {(renamed(key).contract, key.trading_day) for key in DAYS if key != OUTGROWN}
    assert store.check() == []


def test_contracts_of_zhengzhou_are_renamed_in_place(store: TickStore) -> None:
    fill(store)
    before = contents(store)
    assert store.measure(*FRIDAY).rows == 60
    store.prepare()
    require_new_names(store)
    assert contents(store) == before
    assert store.measure(*FRIDAY) == NOTHING
    # the keys are those of the new names: a day written again is the same, and outgrown ticks back
    monday = day_of_ticks(62, renamed(MONDAY), seed=2)
    assert store.write_day(monday) == store.measure(*renamed(MONDAY))
    assert contents(store) == before
    outgrown = store.write_day(day_of_ticks(61, renamed(OUTGROWN), seed=1))
    assert outgrown.row_hash == next(r.row_hash for r in store.index() if r.status != "complete")


@pytest.mark.long
def test_a_renaming_that_stopped_goes_on(
    questdb_store: QuestdbStore, empty_questdb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = QuestdbHttp(address_of(empty_questdb))
    ask = QuestdbHttp.rows
    for stop in count(1):
        statements = count(1)

        def ask_or_stop(
            server: QuestdbHttp, sql: str, stop: int = stop, number: Any = statements
        ) -> Any:
            if sql.startswith("update") and next(number) == stop:
                raise StoreError("stopped")
            return ask(server, sql)

        for table in (MAIN_TICKS, DAY_INDEX, NO_DATA_DAYS):
            http.rows(f"truncate table {table.name}")
            http.wait_applied(table.name, 30)
        fill(questdb_store)
        before = contents(questdb_store)
        monkeypatch.setattr(QuestdbHttp, "rows", ask_or_stop)
        try:
            questdb_store.prepare()
        except StoreError:
            monkeypatch.undo()
            questdb_store.prepare()
        else:
            monkeypatch.undo()
            break
        require_new_names(questdb_store)
        assert contents(questdb_store) == before
    assert stop == 7, "two months of ticks, and four columns of three tables"


def test_partitions_in_parquet_are_refused_before_the_renaming(
    questdb_store: QuestdbStore, empty_questdb: Path
) -> None:
    fill(questdb_store)
    before = contents(questdb_store)
    http = QuestdbHttp(address_of(empty_questdb))
    for form in ("PARQUET", "NATIVE"):
        http.rows(f"ALTER TABLE {MAIN_TICKS.name} CONVERT PARTITION TO {form} WHERE ts < '2025-11'")
        http.wait_applied(MAIN_TICKS.name, 30)
        if form == "PARQUET":
            with pytest.raises(StoreError, match="cannot be renamed") as refused:
                questdb_store.prepare()
            assert "CONVERT PARTITION TO NATIVE" in refused.value.hint
    questdb_store.prepare()
    require_new_names(questdb_store)
    assert contents(questdb_store) == before
