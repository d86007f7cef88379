"""One test for each thing of dlt that the landing path relies on; dlt is pinned to its minor."""

import contextlib
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dlt
import psycopg
import psycopg2
import pyarrow as pa
import pytest
from dlt.common.configuration import resolve_configuration
from dlt.common.configuration.specs import RuntimeConfiguration
from dlt.common.storages.schema_storage import SchemaStorage
from dlt.destinations.impl.postgres.factory import postgres

from loaders.landing import cursors, landed_file, load_job
from loaders.landing.dlt_setup import own_context
from loaders.landing.load_job import Landed, UpsertCopyJob
from loaders.warehouse import migrate
from loaders.warehouse.content import content_id
from loaders.warehouse.tables import Batch, landed_table
from quotemill.warehouse.connections import read_session
from tests.declared import conform
from tests.integration.landing.conftest import LandingBench

DAY = date(2024, 6, 28)
NOON = datetime(2024, 6, 28, 4, tzinfo=UTC)
EVENING = datetime(2024, 6, 28, 10, tzinfo=UTC)
AHEAD = datetime(2999, 6, 28, tzinfo=UTC)

PRICE = landed_table(
    "raw_tdx",
    "price",
    [("code", pa.string()), ("trade_date", pa.date32()), ("close", pa.int64())],
    key=("code", "trade_date"),
)
REFUSED = landed_table(
    "raw_tdx",
    "refused",
    [
        ("dataset", pa.string()),
        ("row_key", pa.string()),
        ("rule", pa.string()),
        ("is_withdrawn", pa.bool_()),
    ],
    key=("row_key",),
)
ROW_REFUSED = {"dataset": ["price"], "row_key": ["x"], "rule": ["odd"], "is_withdrawn": [False]}


def standard(size: int, fetched_at: datetime, is_final: bool) -> dict[str, Any]:
    return {
        "source_route": ["/api/test"] * size,
        "fetched_at": pa.array([fetched_at] * size, pa.timestamp("us", tz="UTC")),
        "is_final": [is_final] * size,
    }


def prices(
    closes: dict[str, int], fetched_at: datetime = EVENING, is_final: bool = True
) -> pa.Table:
    own = {
        "code": list(closes),
        "trade_date": pa.array([DAY] * len(closes), pa.date32()),
        "close": list(closes.values()),
    }
    return conform(pa.table(own | standard(len(closes), fetched_at, is_final)), PRICE)


class Shore(LandingBench):
    """Prices that land, and the cursors that move with them."""

    def land(self, *batches: Batch) -> Landed:
        return self.land_batches(PRICE, *batches, rejects=REFUSED)

    def cursor(self) -> dict[str, str]:
        pipeline, _ = self.open()
        return cursors.read_cursors(pipeline.state, "tdx", "price")

    def closes(self) -> dict[str, int]:
        return dict(self.rows("select code, close from raw_tdx.price"))


@pytest.fixture
def shore(warehouse_dsn: str, tmp_path: Path) -> Shore:
    return Shore(warehouse_dsn, tmp_path, PRICE, REFUSED)


@pytest.fixture
def fail_in_job(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let every job that lands rows of ours fail from now on."""

    def arm(error: Exception) -> None:
        original = UpsertCopyJob._land

        def land(self: UpsertCopyJob, *args: Any) -> None:
            if not self.load_table_name.startswith("_dlt"):
                raise error
            original(self, *args)

        monkeypatch.setattr(UpsertCopyJob, "_land", land)

    return arm


def test_our_job_lands_parquet_without_an_adbc_driver(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed: list[str] = []
    original = UpsertCopyJob.run

    def run(self: UpsertCopyJob) -> None:
        landed.append(self.job_id())
        original(self)

    monkeypatch.setattr(UpsertCopyJob, "run", run)
    shore.land(Batch(prices({"sh600000": 8730}), None, {"sh600000": str(DAY)}))

    assert {job.split(".")[0] for job in landed} == {"price", "_dlt_pipeline_state"}
    assert {job.split(".")[-1] for job in landed} == {"parquet"}


def test_a_declared_table_is_used_unchanged(shore: Shore) -> None:
    shore.land(Batch(prices({"sh600000": 8730}), None, {}))

    columns = shore.rows(
        "select column_name, data_type, is_nullable from information_schema.columns "
        "where table_schema = 'raw_tdx' and table_name = 'price' order by ordinal_position"
    )
    assert columns == [
        ("code", "text", "NO"),
        ("trade_date", "date", "NO"),
        ("close", "bigint", "NO"),
        ("source_route", "text", "NO"),
        ("fetched_at", "timestamp with time zone", "NO"),
        ("is_final", "boolean", "NO"),
        ("_dlt_load_id", "text", "YES"),
    ]


def test_each_row_carries_the_load_that_last_changed_it(shore: Shore) -> None:
    first = shore.land(Batch(prices({"sh600000": 1, "sh600001": 1}), None, {}))
    second = shore.land(Batch(prices({"sh600000": 1, "sh600001": 2}), None, {}))

    loads = dict(shore.rows("select code, _dlt_load_id from raw_tdx.price"))
    assert loads == {"sh600000": first.load_ids[0], "sh600001": second.load_ids[0]}
    assert (second.read, second.new, second.changed) == (2, 0, 1)


def test_a_file_that_lands_twice_is_landed_once(shore: Shore) -> None:
    same = prices({"sh600000": 8730})
    shore.land(Batch(same, None, {}))
    again = shore.land(Batch(same, None, {}))

    assert (again.read, again.new, again.changed) == (1, 0, 0)
    dead = shore.rows("select count(*), max(xmax::text::bigint) from raw_tdx.price")
    assert dead[0][0] == 1


def test_the_best_row_of_a_repeated_key_in_one_file_wins(shore: Shore) -> None:
    provisional = prices({"sh600000": 1}, fetched_at=EVENING, is_final=False)
    final = prices({"sh600000": 2}, fetched_at=NOON)
    shore.land(Batch(pa.concat_tables([provisional, final]), None, {}))

    assert shore.closes() == {"sh600000": 2}


# by code: when the stored row was fetched and whether it is final, the same of the next one, and
# which of both stays
FOLLOWING = {
    "final replaces provisional": ((NOON, False), (EVENING, True), 2),
    "provisional never replaces final": ((NOON, True), (EVENING, False), 1),
    "older never replaces newer": ((EVENING, True), (NOON, True), 1),
    "final replaces newer provisional": ((EVENING, False), (NOON, True), 2),
    "a correction replaces": ((NOON, True), (EVENING, True), 2),
    "a clock ahead bars no correction": ((AHEAD, True), (EVENING, True), 2),
    "nor does it make final provisional": ((AHEAD, True), (EVENING, False), 1),
}


def test_only_a_row_that_is_not_worse_replaces_another(shore: Shore) -> None:
    for close in (1, 2):
        rows = [prices({code: close}, *two[close - 1]) for code, (*two, _) in FOLLOWING.items()]
        shore.land(Batch(pa.concat_tables(rows), None, {}))

    assert shore.closes() == {code: stays for code, (*_, stays) in FOLLOWING.items()}


def test_the_next_equal_row_corrects_the_time_of_a_clock_ahead(shore: Shore) -> None:
    shore.land(Batch(prices({"sh600000": 1}, AHEAD), None, {}))
    shore.land(Batch(prices({"sh600000": 1}, EVENING), None, {}))
    assert shore.rows("select fetched_at from raw_tdx.price") == [(EVENING,)]
    # so that an older answer has no chance
    shore.land(Batch(prices({"sh600000": 2}, NOON), None, {}))
    assert shore.closes() == {"sh600000": 1}


def test_refused_rows_land_in_the_package_of_the_good_rows(shore: Shore) -> None:
    refused = conform(pa.table(ROW_REFUSED | standard(1, EVENING, True)), REFUSED)
    landed = shore.land(
        Batch(prices({"sh600000": 1}), refused, {}), Batch(prices({"sh600001": 1}), None, {})
    )

    loads = shore.rows(
        "select distinct _dlt_load_id from raw_tdx.price "
        "union select _dlt_load_id from raw_tdx.refused"
    )
    assert loads == [(landed.load_ids[0],)]


def test_lost_cursors_are_restored_from_the_warehouse(shore: Shore) -> None:
    shore.land(Batch(prices({"sh600000": 1}), None, {"sh600000": str(DAY)}))
    shutil.rmtree(shore.folder)

    assert shore.cursor() == {"sh600000": str(DAY)}


def test_old_states_are_pruned_and_the_newest_still_restores_the_cursors(shore: Shore) -> None:
    counts = (
        "select (select count(*) from raw_tdx._dlt_pipeline_state where pipeline_name = 'tdx'), "
        "(select count(*) from raw_tdx._dlt_loads)"
    )
    pipeline, _ = shore.open()
    for day in range(1, 10):
        moved = Batch(prices({"sh600000": day}), None, {"sh600000": str(date(2024, 1, day))})
        load_job.land(pipeline, shore.warehouse, "tdx", PRICE, iter([moved]), REFUSED)
    assert shore.rows(counts) == [(9, 9)]
    with shore.warehouse.connect() as conn:
        # another pipeline's is not ours to prune
        conn.execute(
            "update raw_tdx._dlt_pipeline_state set pipeline_name = 'other' where version = 2"
        )
        conn.execute("update raw_tdx._dlt_loads set inserted_at = now() - interval '60 days'")
    shutil.rmtree(shore.folder)

    assert shore.cursor() == {"sh600000": str(date(2024, 1, 9))}
    other = "select count(*) from raw_tdx._dlt_pipeline_state where pipeline_name = 'other'"
    assert shore.rows(other) == [(1,)]
    # five states, and the packages of these and of the other pipeline's
    assert shore.rows(counts) == [(5, 6)]
    shutil.rmtree(shore.folder)
    assert shore.cursor() == {"sh600000": str(date(2024, 1, 9))}


def test_a_cursor_never_moves_back(shore: Shore) -> None:
    shore.land(Batch(None, None, {"sh600000": str(DAY)}))
    shore.land(Batch(None, None, {"sh600000": str(date(2020, 1, 2))}))

    assert shore.cursor() == {"sh600000": str(DAY)}


@pytest.mark.parametrize(
    ("owner", "name"), [(postgres, "configuration"), (SchemaStorage, "load_schema")]
)
def test_a_pipeline_reads_its_settings_and_schema_once_for_all_packages(
    shore: Shore, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    calls: list[object] = []
    original = getattr(owner, name)

    def counted(*args: Any) -> Any:
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(owner, name, counted)
    pipeline, _ = shore.open()
    for close in (1, 2):
        before = len(calls)
        batch = Batch(prices({"sh600000": close}), None, {"sh600000": str(DAY)})
        load_job.land(pipeline, shore.warehouse, "tdx", PRICE, iter([batch]), REFUSED)

    assert len(calls) == before
    assert shore.closes() == {"sh600000": 2}


def test_settings_of_other_pipelines_stay_and_do_not_reach_ours(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID", "false")
    monkeypatch.setenv("TDX__WORKERS", "two")
    landed = shore.land(Batch(prices({"sh600000": 1}), None, {}))

    assert shore.rows("select _dlt_load_id from raw_tdx.price") == [(landed.load_ids[0],)]
    assert dlt.config["tdx.workers"] == "two"


def test_a_package_of_many_tables_lands_by_four_connections_at_most(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = replace(PRICE, name="beside")
    migrate.prepare(shore.warehouse, [PRICE, REFUSED, beside])
    opened: list[int] = []
    all_four, original = threading.Barrier(4), landed_file.copy_to_stage

    def counted(conn: Any, *args: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            all_four.wait(0.3)  # so that as many are open as can be
        query = "select count(*) from pg_stat_activity where datname = current_database()"
        opened.append(conn.execute(query.encode()).fetchone()[0])
        return original(conn, *args)

    monkeypatch.setattr(landed_file, "copy_to_stage", counted)
    refused = conform(pa.table(ROW_REFUSED | standard(1, EVENING, True)), REFUSED)
    rows = prices({"sh600000": 1})
    with shore.warehouse.keeping_connections() as pooled:
        pipeline, _ = load_job.open_pipeline(pooled, content_id(pooled), "tdx", "tdx")
        batch = Batch(rows, refused, {"sh600000": str(DAY)}, beside=rows)
        load_job.land(pipeline, pooled, "tdx", PRICE, [batch], REFUSED, beside)

    assert len(opened) == 4
    assert max(opened) <= 4


def read_traces(conn: psycopg.Connection) -> tuple[set[str], int, int, set[str]]:
    """States of the other sessions, their locks, temp tables, and what the session itself set."""
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    states = conn.execute(f"select state {others}".encode()).fetchall()
    locks = f"select count(*) from pg_locks where pid in (select pid {others})"
    [(held,)] = conn.execute(locks.encode())
    [(temporary,)] = conn.execute("select count(*) from pg_class where relpersistence = 't'")
    names = conn.execute("select name from pg_settings where source = 'session'").fetchall()
    return {state for (state,) in states}, held, temporary, {name for (name,) in names}


def test_packages_of_a_load_share_connections_unless_they_broke(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    for library in (psycopg, psycopg2):

        def counted(*args: Any, _open: Any = library.connect, **options: Any) -> Any:
            opened.append(_open.__module__)
            return _open(*args, **options)

        monkeypatch.setattr(library, "connect", counted)
    others = (
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    with shore.warehouse.keeping_connections() as pooled:
        pipeline, _ = load_job.open_pipeline(pooled, content_id(pooled), "tdx", "tdx")
        for close in range(1, 7):
            if close == 4:
                pooled.ask(lambda conn: conn.execute(others.encode()).fetchall())
            load_job.land(pipeline, pooled, "tdx", PRICE, [Batch(prices({"sh600000": close}))])
        assert pooled.ask(read_traces) == ({"idle"}, 0, 0, set(pooled.ask(read_session)))
    assert len(opened) <= 6
    assert shore.closes() == {"sh600000": 6}


def test_telemetry_is_off(tmp_path: Path) -> None:
    with own_context(tmp_path):
        assert resolve_configuration(RuntimeConfiguration()).dlthub_telemetry is False


def test_a_column_that_a_table_no_longer_declares_is_not_filled(shore: Shore) -> None:
    """dlt knows it as not null from an earlier version, and would fill it with nulls."""
    more = pa.table({"volume": [1]})
    wider = replace(PRICE, schema=PRICE.schema.append(pa.field("volume", pa.int64(), False)))
    with shore.connect() as conn:
        conn.execute("alter table raw_tdx.price add column volume bigint")
    rows = prices({"sh600000": 10})
    shore.land_batches(wider, Batch(rows.append_column("volume", more["volume"])))
    assert shore.land(Batch(prices({"sh600001": 11}))).new == 1
    stored = shore.rows("select code, close, volume from raw_tdx.price order by code")
    assert stored == [("sh600000", 10, 1), ("sh600001", 11, None)]
