"""A followed export equals a fresh one, and writes only the files whose rows changed."""

import re
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from loaders.warehouse.content import RestoredMeanwhile
from orchestration.backup.dump import dump
from orchestration.backup.dump_restore import restore
from orchestration.exports import followed, inputs, write
from quotemill.errors import SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.conftest import BARS_AGAIN, NO_TESTS, Dbt
from tests.integration.dbt.copier import Copier, stored
from tests.integration.dbt.raw import action, bar, land, security
from tests.integration.dbt.two_codes import CODES, DAYS

OF_THE_REAL_MARKET = {
    "bars": ("kline_daily_qfq", "parquet"),
    "codes": ("kline_daily_qfq", "csv"),
    "backward": ("kline_daily_hfq", "csv"),
    "symbols": ("symbol_dim", "parquet"),
}


@pytest.fixture
def copy(built: Dbt, warehouse: Warehouse, tmp_path: Path) -> Copier:
    return Copier(warehouse, tmp_path / "exports")


def states(copy: Copier) -> dict[str, str]:
    return {export["name"]: export["state"] for export in followed.describe_all(copy.warehouse)}


@pytest.mark.long
def test_after_each_event_a_followed_export_equals_a_fresh_one(
    real_market_dsn: str,
    conn: psycopg.Connection,
    dbt: Dbt,
    warehouse: Warehouse,
    tmp_path: Path,
) -> None:
    assert real_market_dsn
    copy = Copier(warehouse, tmp_path)
    for name, (what, form) in OF_THE_REAL_MARKET.items():
        copy(what, name, form=form, name=name)
    code, other = "sh600000", "sz000002"
    query = f"select trade_date from market.kline_daily where code = '{code}' order by 1 desc"
    days = [day for (day,) in stored(conn, query)]
    old, recent = days[2000], days[40]
    # files of months, with one in which nobody traded this code
    later = 12 * (recent.year - days[-1].year) + recent.month - days[-1].month + 1

    def follow(event: str) -> dict[str, int]:
        assert dbt(*BARS_AGAIN).success
        written = {}
        for name, (what, form) in OF_THE_REAL_MARKET.items():
            written[name] = copy.again(name).written
            fresh = f"{event} {name}"
            copy(what, fresh, form=form)
            assert copy.files(name) == copy.files(fresh), fresh
            shutil.rmtree(copy.root / fresh)
        return written

    nothing = dict.fromkeys(OF_THE_REAL_MARKET, 0)
    assert follow("nothing") == nothing
    land(conn, "kline_daily", [bar(code, old, "12.34")])
    assert follow("a correction") == nothing | {"bars": 1, "codes": 1, "backward": 1}
    event = action(code, recent, cash_per10_yuan="3.21", source_ref="later.csv:2")
    land(conn, "corporate_action", [event])
    assert follow("an event") == nothing | {"bars": later, "codes": 1, "backward": 1}
    land(conn, "corporate_action", [event | {"is_withdrawn": True}])
    assert follow("a withdrawn event") == nothing | {"bars": later, "codes": 1, "backward": 1}
    land(conn, "security", [security(other) | {"is_listed": False}])
    written = follow("a delisting")
    assert (written["bars"], written["symbols"]) == (0, 1)


def test_a_change_in_flight_is_in_the_next_export(
    copy: Copier, built: Dbt, conn: psycopg.Connection, warehouse: Warehouse
) -> None:
    assert built("run", "-s", "kline_daily").success
    copy("kline_daily", name="raw")
    with warehouse.connect() as slow:
        slow.execute("select 1")
        land(slow, "kline_daily", [bar(CODES[0], DAYS[1], "11")])
        land(conn, "kline_daily", [bar(CODES[0], DAYS[29], "11")])
        assert copy.again("raw").written == 1
        slow.commit()
    assert copy.again("raw").written == 2
    copy("kline_daily", "fresh")
    assert copy.files() == copy.files("fresh")
    land(conn, "kline_daily", [bar("sz000004", DAYS[29], "11")])
    assert copy("kline_daily", name="raw").written == 1


def test_an_export_of_figures_writes_the_month_that_changed(
    copy: Copier, built: Dbt, conn: psycopg.Connection
) -> None:
    views = ("daily_basic", "stock_limits")
    build = ("build", "-s", *(f"+{view}" for view in views), *NO_TESTS)
    assert built(*build).success
    for view in views:
        copy(view, view, name=view)
    land(conn, "kline_daily", [bar(CODES[0], DAYS[29], "11")])
    assert built(*build).success
    for view in views:
        assert copy.again(view).written == 1
        copy(view, "fresh")
        assert copy.files(view) == copy.files("fresh")
        shutil.rmtree(copy.root / "fresh")


@pytest.mark.parametrize("is_late", [False, True], ids=["before its cursor", "before its rows"])
def test_an_export_that_a_restore_overtook_does_not_count(
    copy: Copier,
    built: Dbt,
    warehouse: Warehouse,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_late: bool,
) -> None:
    """Tables that the restore made have no row for it; the next one would find no change."""
    assert built("run", "-s", "kline_daily_qfq").success
    dump(warehouse, tmp_path / "dump")
    place, name = (write._Writing, "write") if is_late else (inputs, "name_reader")
    own, calls = getattr(place, name), list[int]()

    def restored_first(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == (1 if is_late else 2):
            restore(warehouse, tmp_path / "dump", clean=True)
        return own(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, restored_first)
        with pytest.raises(RestoredMeanwhile):
            copy("kline_daily_qfq", name="bars")
    copy("kline_daily_qfq", name="bars")
    copy("kline_daily_qfq", "fresh")
    assert copy.files() == copy.files("fresh") != {}


@pytest.mark.parametrize(
    "loss",
    [
        "truncate ops.changes, ops.change_cursors",
        "delete from ops.change_cursors where reader like 'market.export %'",
        # of an older state of the same cluster
        "update ops.change_cursors set seen = '3:3:' where reader like 'market.export %'",
    ],
)
def test_where_the_feed_counts_from_the_start_all_is_read_again(
    copy: Copier, conn: psycopg.Connection, built: Dbt, loss: str
) -> None:
    copy("kline_daily_qfq", name="bars")
    before = copy.files()
    assert copy.again("bars").written == 0
    conn.execute(loss.encode())
    assert states(copy) == {"bars": "behind"}
    assert copy.again("bars").written == 2
    assert copy.files() == before
    if "truncate" not in loss:
        land(conn, "kline_daily", [bar(CODES[0], DAYS[0], "12")])
        assert built(*BARS_AGAIN).success
        assert copy.again("bars").written == 1


def test_a_folded_feed_says_that_all_changed(copy: Copier, conn: psycopg.Connection) -> None:
    copy("kline_daily_qfq", name="bars")
    conn.execute(
        "insert into ops.changes (table_name) values ('market.kline_daily_qfq'), ('market.other')"
    )
    assert copy.again("bars").written == 2
    assert copy.again("bars").written == 0


def test_what_is_outside_the_feed_is_compared(copy: Copier, conn: psycopg.Connection) -> None:
    conn.execute("create table public.weights (code text, weight integer)")
    query = (
        "select b.*, w.weight from market.kline_daily_qfq as b "
        "left join public.weights as w using (code)"
    )
    copy(query, name="weighted")
    assert copy.again("weighted").written == 0
    conn.execute("insert into public.weights values ('sh600000', 3)")
    assert states(copy) == {"weighted": "behind"}
    assert copy.again("weighted").written == 2
    conn.execute("insert into public.weights select 'x', n from generate_series(1, 100001) as n")
    conn.execute("analyze public.weights")
    assert copy.again("weighted").written == copy.again("weighted").written == 2


def test_a_query_about_today_is_read_again_each_time(copy: Copier) -> None:
    copy("select * from market.kline_daily_qfq where trade_date < current_date", name="past")
    assert states(copy) == {"past": "behind"}
    assert copy.again("past").written == 2


def test_the_list_says_how_each_export_is(
    copy: Copier, conn: psycopg.Connection, built: Dbt
) -> None:
    copy("kline_daily_qfq", "bars", name="bars", codes=(CODES[1],))
    copy("symbol_dim", "symbols", name="symbols")
    copy("select 1 as n", "one", name="one")
    assert states(copy) == {"bars": "current", "one": "current", "symbols": "current"}
    [bars, *_] = followed.describe_all(copy.warehouse)
    assert (bars["rows"], bars["files"], bars["job"]) == (30, 2, "export_bars")
    assert bars["change_no"] == copy.manifest("bars")["change_no"]
    jobs = "select name, kind from ops.schedules where name like 'export%' order by 1"
    assert stored(conn, jobs) == [
        (f"export_{name}", "export") for name in ("bars", "one", "symbols")
    ]
    for code, state in ((CODES[0], "current"), (CODES[1], "behind")):
        land(conn, "kline_daily", [bar(code, DAYS[0], "12")])
        assert built(*BARS_AGAIN).success
        assert states(copy)["bars"] == state
    shutil.rmtree(copy.root / "symbols")
    assert states(copy) == {"bars": "behind", "one": "current", "symbols": "missing"}
    with pytest.raises(SettingsError, match="of the export symbols, holds no export any more"):
        copy.again("symbols")
    assert not (copy.root / "symbols").exists()
    (copy.root / "one" / ".export.jsonl").write_text(
        (copy.root / "one" / "manifest.json").read_text().replace("\n", "") + "\n"
    )
    assert states(copy)["one"] == "unfinished"


def test_the_list_names_files_that_somebody_took_away(copy: Copier) -> None:
    copy("kline_daily_qfq", "bars", name="bars")
    files = sorted((copy.root / "bars").rglob("*.parquet"))
    for damage, more in (
        (lambda f: f.unlink(), ""),
        (lambda f: f.write_bytes(b"cut"), " and 1 mo"),
    ):
        damage(files.pop())
        [listed] = followed.describe_all(copy.warehouse)
        assert (listed["state"], listed["is_behind"]) == ("damaged", True)
        assert re.match(rf"kline_daily_qfq/month=\S+/part-0\.parquet{more}", listed["error"])
        assert "fix: quotemill export --follow bars" in listed["error"]
    copy.again("bars")
    assert states(copy) == {"bars": "current"}


def test_a_dropped_table_is_named_and_its_files_stay(
    copy: Copier, conn: psycopg.Connection
) -> None:
    conn.execute("create table market.mine (code text, trade_date date)")
    copy("mine", name="mine")
    before, manifest = copy.files(), copy.manifest()
    conn.execute("drop table market.mine")
    [listed] = followed.describe_all(copy.warehouse)
    assert (listed["state"], listed["error"]) == ("wrong", "there is no table market.mine")
    with pytest.raises(UsageError, match=r"there is no table market\.mine"):
        copy.again("mine")
    assert (copy.files(), copy.manifest()) == (before, manifest)


def test_names_and_folders_are_of_one_export(copy: Copier, conn: psycopg.Connection) -> None:
    copy("kline_daily_qfq", name="bars")
    with pytest.raises(UsageError, match="the export bars is of kline_daily_qfq"):
        copy("kline_daily_qfq", "other", name="bars")
    with pytest.raises(UsageError, match="the export bars is of kline_daily_qfq"):
        copy("kline_daily_qfq", name="others")
    with pytest.raises(UsageError, match="is no name of an export"):
        copy("kline_daily_qfq", "other", name="Bars!")
    with pytest.raises(UsageError, match="there is no export other"):
        copy.again("other")
    followed.forget(copy.warehouse, "bars")
    assert states(copy) == {}
    assert stored(conn, "select from ops.schedules where name like 'export%'") == []
    assert stored(conn, "select from ops.change_cursors where reader like '%export%'") == []
    assert len(copy.files()) == 2
    assert copy("kline_daily_qfq", name="others").written == 2
