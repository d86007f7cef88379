"""A followed export equals a fresh one, and writes only the files whose rows changed."""

import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.warehouse.content import RestoredMeanwhile
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from orchestration.exports.folder import Folder
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.dbt_parse import Dbt
from tests.integration.dbt.copier import Copier, stored
from tests.integration.dbt.raw import action, bar, land, security
from tests.integration.dbt.real_market import REAL_MARKET
from tests.integration.dbt.two_codes import BARS_AGAIN, CODES, DAYS, TWO_CODES

pytestmark = TWO_CODES

OF_THE_REAL_MARKET = {
    "bars": ("kline_daily_qfq", "parquet"),
    "codes": ("kline_daily_qfq", "csv"),
    "symbols": ("symbol_dim", "parquet"),
}


@pytest.mark.soak
@REAL_MARKET
def test_after_each_event_a_followed_export_equals_a_fresh_one(
    conn: psycopg.Connection, dbt: Dbt, warehouse: Warehouse, tmp_path: Path
) -> None:
    copy = Copier(warehouse, tmp_path)
    for name, (what, form) in OF_THE_REAL_MARKET.items():
        copy(what, name, form=form)
    code, other = "sh600000", "sz000002"
    query = f"select trade_date from market.kline_daily where code = '{code}' order by 1 desc"
    days = [day for (day,) in stored(conn, query)]
    old, recent = days[2000], days[40]
    # files of months, with one in which nobody traded this code
    later = 12 * (recent.year - days[-1].year) + recent.month - days[-1].month + 1

    def follow(event: str) -> dict[str, int]:
        dbt(*BARS_AGAIN)
        written = {}
        for name, (what, form) in OF_THE_REAL_MARKET.items():
            written[name] = copy(what, name, form=form).written
            fresh = f"{event} {name}"
            copy(what, fresh, form=form)
            assert copy.files(name) == copy.files(fresh), fresh
            shutil.rmtree(copy.root / fresh)
        return written

    # a build compares all of symbol_dim and has no cursor for it: it is read as a whole
    nothing = dict.fromkeys(OF_THE_REAL_MARKET, 0) | {"symbols": 1}
    assert follow("nothing") == nothing
    land(conn, "kline_daily", [bar(code, old, "12.34")])
    assert follow("a correction") == nothing | {"bars": 1, "codes": 1}
    event = action(code, recent, cash_per10_yuan="3.21", source_ref="later.csv:2")
    land(conn, "corporate_action", [event])
    assert follow("an event") == nothing | {"bars": later, "codes": 1}
    land(conn, "corporate_action", [event | {"is_withdrawn": True}])
    assert follow("a withdrawn event") == nothing | {"bars": later, "codes": 1}
    land(conn, "security", [security(other) | {"is_listed": False}])
    written = follow("a delisting")
    assert (written["bars"], written["symbols"]) == (0, 1)


def test_a_change_in_flight_is_in_the_next_export(
    copy: Copier, conn: psycopg.Connection, warehouse: Warehouse
) -> None:
    table = "raw_tdx.kline_daily"
    copy(table)
    with warehouse.connect() as slow:
        slow.execute("select 1")
        land(slow, "kline_daily", [bar(CODES[0], DAYS[1], "11")])
        land(conn, "kline_daily", [bar(CODES[0], DAYS[29], "11")])
        assert copy(table).written == 1
        slow.commit()
    assert copy(table).written == 2
    copy(table, "fresh")
    assert copy.files() == copy.files("fresh")
    land(conn, "kline_daily", [bar("sz000004", DAYS[29], "11")])
    assert copy(table).written == 1


def test_a_view_or_a_query_is_read_as_a_whole_and_equal_files_stay(
    copy: Copier, conn: psycopg.Connection, dbt: Dbt
) -> None:
    dbt("run", "-s", "kline_daily")
    query = "select * from market.kline_daily_qfq where trade_date < current_date"
    for what, folder in (("kline_daily", "view"), (query, "query")):
        copy(what, folder)
        paths = sorted((copy.root / folder).rglob("*.parquet"))
        numbers = [path.stat().st_ino for path in paths]
        assert copy(what, folder).written == 2
        assert [path.stat().st_ino for path in paths] == numbers
        # of no name that a reader of the feed has
        assert stored(conn, "select from ops.change_cursors where reader like '%export%'") == []


@pytest.mark.parametrize("is_late", [False, True], ids=["before its rows", "before its cursor"])
def test_an_export_that_a_restore_overtook_does_not_count(
    copy: Copier,
    dbt: Dbt,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_late: bool,
) -> None:
    """Tables that the restore made have no row for it; the next one would find no change."""
    dbt("run", "-s", "kline_daily_qfq")
    dump(warehouse, tmp_path / "dump")
    name = "publish" if is_late else "discard_unfinished"
    own = getattr(Folder, name)

    with monkeypatch.context() as patch:

        def restored_after(*arguments: Any) -> None:
            own(*arguments)
            patch.undo()  # what is unfinished is discarded at the end too
            restore(warehouse, tmp_path / "dump", clean=True)

        patch.setattr(Folder, name, restored_after)
        with pytest.raises(RestoredMeanwhile):
            copy("kline_daily_qfq")
    copy("kline_daily_qfq")
    copy("kline_daily_qfq", "fresh")
    assert copy.files() == copy.files("fresh") != {}


LOSSES = (
    "delete from ops.change_cursors where reader like 'market.export %'",
    # of an older state of the same cluster
    "update ops.change_cursors set seen = '3:3:' where reader like 'market.export %'",
    "truncate ops.changes, ops.change_cursors",
)


def test_where_the_feed_counts_from_the_start_all_is_read_again(
    copy: Copier, conn: psycopg.Connection, dbt: Dbt
) -> None:
    copy("kline_daily_qfq")
    for loss, close in zip(LOSSES, ("12", "13", None), strict=True):
        before = copy.files()
        assert copy("kline_daily_qfq").written == 0, loss
        conn.execute(loss.encode())
        assert copy("kline_daily_qfq").written == 2, loss
        assert copy.files() == before, loss
        if close:
            land(conn, "kline_daily", [bar(CODES[0], DAYS[0], close)])
            dbt("run", "-s", "kline_daily_qfq")
            assert copy("kline_daily_qfq").written == 1, loss


def test_a_folded_feed_says_that_all_changed(copy: Copier, conn: psycopg.Connection) -> None:
    copy("kline_daily_qfq")
    conn.execute(
        "insert into ops.changes (table_name) values ('market.kline_daily_qfq'), ('market.other')"
    )
    assert copy("kline_daily_qfq").written == 2
    assert copy("kline_daily_qfq").written == 0


def test_a_new_column_is_written_to_every_file(copy: Copier, conn: psycopg.Connection) -> None:
    copy("kline_daily_qfq")
    conn.execute("alter table market.kline_daily_qfq add column note text")
    assert copy("kline_daily_qfq").written == 2
    assert copy("kline_daily_qfq").written == 0


def test_a_dropped_table_is_named_and_its_files_stay(
    copy: Copier, conn: psycopg.Connection
) -> None:
    conn.execute("create table market.mine (code text, trade_date date)")
    copy("mine")
    before, manifest = copy.files(), copy.manifest()
    conn.execute("drop table market.mine")
    with pytest.raises(UsageError, match=r"there is no table market\.mine"):
        copy("mine")
    assert (copy.files(), copy.manifest()) == (before, manifest)
