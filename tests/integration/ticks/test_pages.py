"""The queries of pages that are for QuestDB, as they are written."""

from pathlib import Path

from loaders.ticks.questdb.store import QuestdbStore
from tests.e2e.pages import IN_QUESTDB, find
from tests.integration.ticks.test_questdb import _sql
from tests.ticks import KEY, day_of_ticks, write_day


def test_the_queries_of_pages_run_as_written(
    questdb_store: QuestdbStore, questdb_folder: Path
) -> None:
    write_day(questdb_store, day_of_ticks(40, KEY))
    whole, prices, dropped = (find(*block).body for block in IN_QUESTDB)
    assert len(_sql(questdb_folder, whole)) == 40
    assert len(_sql(questdb_folder, prices)) == 0  # another day
    shown = _sql(questdb_folder, prices.replace("20251021", f"{KEY.trading_day:%Y%m%d}"))
    assert (len(shown), *shown[0]) == (40, "ts", "last_price", "bid_price1", "ask_price1")
    _sql(questdb_folder, "create table if not exists ghtrader_warehouse_v2 (id long)", dropped)
