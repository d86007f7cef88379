"""A home of an earlier version, whose contracts of Zhengzhou have one digit of their year."""

from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loaders.engine.load import Load
from loaders.progress import Silent
from loaders.sandbox.tq.world import World
from loaders.ticks.frame import TICKS
from loaders.ticks.open_store import open_store
from loaders.ticks.questdb.http import QuestdbHttp
from loaders.ticks.tables import TABLES
from loaders.ticks.whole_years import contract_columns
from loaders.tq.client.program.codes import server_code
from loaders.tq.tick_archive import files
from loaders.tq.tick_archive.folder import tick_folder
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.postgres import open_warehouse
from tests.faults.tq.tick_archive import archive
from tests.integration.ticks.servers import address_of
from tests.integration.tq.bench import Bench, bench, build_schedule
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import INDEX

FIRST, END = date(2025, 10, 30), date(2025, 11, 5)
NAMED = {
    "contract": ("contract",),
    "main_event": ("contract",),
    "contract_daily": ("contract",),
    "daily_harvest": ("contract",),
    "settlement": ("contract",),
    "symbol_day": ("contract",),
    "no_data_day": ("contract",),
    "tick_revision": ("old_contract", "new_contract"),
}


def served() -> World:
    return World(("CZCE.SR",), first=FIRST, end=END, ticks_per_day=40, default_ticks=40)


def shorten(column: str) -> str:
    """Contracts of before October 2020 have had two digits for long."""
    short = "(CZCE.[A-Za-z]+)2([1-9][0-9]{2}|01[0-2])"
    return f"{column} = regexp_replace({column}, '{short}', '$1$2')"


def make_older(made: Bench, questdb: QuestdbHttp | None) -> None:
    """Give all contracts the names that the earlier version gave them."""
    with made.connect() as conn:
        places = [(f"raw_tq.{table}", column) for table, names in NAMED.items() for column in names]
        places += [("futures.main_schedule", n) for n in ("underlying_contract", "prev_contract")]
        places += [("ops.ingestion_state", "key")]
        if questdb is None:
            places += [(f"ticks.{t.name}", n) for t in TABLES for n in contract_columns(t)]
        for table, column in places:
            change = shorten(column).replace("$", "\\")
            conn.execute(f"update {table} set {change}".encode())
        conn.execute("delete from ops.schema_migrations where name like '%whole_years.sql'")
        conn.execute(
            "insert into ops.failed_keys (source, dataset, key, reason, first_job_id, job_id) "
            "values ('tq', 'settlement', 'CZCE.SR601', 'none', 1, 1), "
            "('tq', 'ticks', 'KQ.m@CZCE.SR CZCE.SR511 2025-10-30', 'none', 1, 1)"
        )
        conn.execute("truncate ops.changes")
    for table in TABLES if questdb else ():
        for column in contract_columns(table):
            questdb.rows(f"update {table.name} set {shorten(column)} where {column} like 'CZCE.%'")
        questdb.wait_applied(table.name, 30)


def contents(made: Bench) -> dict[str, Any]:
    """What the warehouse and the store have, without when and how it came."""
    warehouse = open_warehouse(made.settings)
    parts: dict[str, Any] = {"index": made.rows(INDEX)}
    for table, names in NAMED.items():
        for name in names:
            query = f"select {name}, count(*) from raw_tq.{table} group by 1 order by 1"
            parts[f"{table}.{name}"] = made.rows(query)
    with closing(open_store(made.settings, warehouse)) as store:
        store.prepare()
        index = store.index()
        parts["stored"] = [(row.key, row.row_hash, row.stamp, row.status) for row in index]
        parts["schedule"] = store.schedule("KQ.m@CZCE.SR").to_pylist()
        folder = tick_folder(made.settings)
        parts["ticks"] = [
            files.read_day(folder, row) if row.is_archived else store.read_day(row.key)
            for row in index
        ]
    parts["differences"] = verify(made.settings, warehouse, Silent()).differences
    return parts


def age_files(made: Bench) -> None:
    """Write the files of archived days as with the contracts of the earlier version."""
    folder = tick_folder(made.settings)
    with closing(open_store(made.settings, open_warehouse(made.settings))) as store:
        for row in store.index():
            assert row.archive_file is not None
            ticks = files.read_day(folder, row)
            place = ticks.schema.get_field_index("underlying_contract")
            short = pa.repeat(row.contract.replace("SR2", "SR"), ticks.num_rows)
            older = ticks.set_column(place, TICKS.field("underlying_contract"), short)
            written = files.write_file(folder, row.archive_file, [older])
            store.put_index([row.moved(row.archive_file, written.sha256, row.updated_at)])


def asked_bars(made: Bench) -> int:
    return len(made.asked('"duration": 86400000000000', "CZCE.SR"))


@pytest.mark.long
@pytest.mark.parametrize("where", ["postgres", "questdb", "files"])
def test_an_older_home_gets_whole_years_without_a_download(
    where: str,
    request: pytest.FixtureRequest,
    new_database: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ, questdb, seen = dict[str, str](), None, list[dict[str, str]]()

    def remember(load: Load) -> None:
        seen.append(load.cursors("contract_daily"))

    def rename_cursors(load: Load) -> None:
        load.rename_cursors("contract_daily", server_code)

    if where == "questdb":
        environ["QUOTEMILL_QUESTDB_URL"] = request.getfixturevalue("questdb_url")
        questdb = QuestdbHttp(address_of(request.getfixturevalue("empty_questdb")))
    with bench(served(), new_database(), tmp_path, environ=environ) as made:
        assert made.load().status == "succeeded"
        build_schedule(made)
        assert made.load("ticks").status == "succeeded"
        if where == "files":
            assert archive(made).days == len(made.rows(INDEX))
            age_files(made)
            assert made.load("ticks", datasets=("tick_index",)).status == "succeeded"
        before = contents(made)
        assert before["differences"] == ()
        assert {key.contract for key, *_ in before["stored"]} == {"CZCE.SR2511", "CZCE.SR2601"}

        # what a load of this evening asks for anyway
        made.asked()
        made.load(on_start=remember)
        usual, cursors = asked_bars(made), seen[-1]
        with monkeypatch.context() as patch:
            patch.setattr("loaders.tq.plan.whole_year", lambda contract: contract)
            made.load(datasets=("trading_session",), on_start=rename_cursors)
        make_older(made, questdb)
        assert {row[0] for row in made.rows(INDEX)} == {"CZCE.SR511", "CZCE.SR601"}

        made.asked()
        assert made.load(on_start=remember).status == "succeeded"
        assert {"CZCE.SR511", "CZCE.SR601"} <= seen[-1].keys()
        assert asked_bars(made) == usual
        # the models that read a renamed table are built again
        touched = {table for (table,) in made.rows("select distinct table_name from ops.changes")}
        assert {"raw_tq.main_event", "raw_tq.contract_daily", "raw_tq.symbol_day"} <= touched
        # the key of settlement has loaded, and is taken off
        failed = made.rows("select key from ops.failed_keys")
        assert failed == [("KQ.m@CZCE.SR CZCE.SR2511 2025-10-30",)]

        assert made.load("ticks").status == "succeeded"
        assert asked_days(made) == 0
        assert contents(made) == before
        made.load(datasets=("trading_session",), on_start=remember)
        assert seen[-1] == cursors
        published = made.rows(
            "select key, cursor from ops.ingestion_state where dataset = 'contract_daily'"
        )
        assert dict(published) == cursors
