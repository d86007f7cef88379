"""A value that only the last step refuses costs its row, never the load."""

import json
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from loaders.landing import table_rejects
from loaders.landing.load_job import Landed
from loaders.landing.rejects import open_rejects, rejected_rows, rejects_table, withdrawn
from loaders.landing.table_rejects import TooManyRejected
from loaders.warehouse.tables import Batch, LandedTable, landed_table
from tests.integration.landing.conftest import LandingBench

DAY = date(2024, 6, 28)
NOON = datetime(2024, 6, 28, 4, tzinfo=UTC)
LATER = datetime(2024, 6, 28, 5, tzinfo=UTC)
FIELDS = [("code", pa.string()), ("trade_date", pa.date32()), ("seq", pa.int32())]
FIELDS += [("name", pa.string()), ("price", pa.decimal128(24, 9))]
PRICE = landed_table("raw_tdx", "price", FIELDS, key=("code", "trade_date", "seq"))
UNIT = landed_table(
    "raw_tdx", "unit", FIELDS, key=("code", "trade_date", "seq"), whole=("code", "trade_date")
)
REFUSED = rejected_rows("raw_tdx")
STANDARD = {"source_route": "/api/test", "fetched_at": NOON, "is_final": True}


class Shore(LandingBench):
    def land(self, table: LandedTable, rows: list[dict[str, Any]], **options: Any) -> Landed:
        base = {"trade_date": DAY, "seq": 1, "name": "x", "price": 1} | STANDARD
        arrow = pa.Table.from_pylist([base | row for row in rows], table.schema)
        options = {"dataset": "prices"} | options
        rejects = REFUSED if table is not REFUSED else None
        return self.land_batches(table, Batch(arrow), rejects=rejects, **options)

    def refused(self) -> list[tuple[Any, ...]]:
        return self.rows(
            "select dataset, row_key, field, rule, value from raw_tdx.rejected_row order by row_key"
        )


@pytest.fixture
def shore(warehouse_dsn: str, tmp_path: Path) -> Shore:
    return Shore(warehouse_dsn, tmp_path, PRICE, UNIT, REFUSED)


def prices(count: int, **odd: Any) -> list[dict[str, Any]]:
    return [
        {"code": f"sh{600000 + n}", "price": n} | (odd if n == count // 2 else {})
        for n in range(count)
    ]


def test_a_number_too_large_for_the_column_costs_its_row_alone(shore: Shore) -> None:
    shore.execute("alter table raw_tdx.price alter column price type numeric(6, 2)")

    landed = shore.land(PRICE, prices(100, price=10**6))

    assert (landed.read, landed.new, landed.changed, landed.rejected) == (99, 99, 0, 1)
    assert shore.rows("select count(*), max(price) from raw_tdx.price") == [(99, 99)]
    [(dataset, key, field, rule, value)] = shore.refused()
    assert (dataset, key, field) == ("prices", f"sh600050 {DAY} 1", "price")
    assert "numeric field overflow" in rule
    assert value.startswith("1000000")
    [(payload, load_id)] = shore.rows("select payload, _dlt_load_id from raw_tdx.rejected_row")
    assert json.loads(payload)["code"] == "sh600050"
    assert landed.load_ids == (load_id,)


def test_a_row_refused_by_a_check_or_an_index_costs_itself_alone(shore: Shore) -> None:
    shore.execute("alter table raw_tdx.price add constraint dear check (price <> 7)")
    shore.execute("create index wide on raw_tdx.price (name)")
    rows = prices(20, name="".join(f"{n * 7919:x}" for n in range(2000)))

    landed = shore.land(PRICE, rows)

    assert landed.new == 18
    assert [(key[:8], field) for _, key, field, _, _ in shore.refused()] == [
        ("sh600007", "dear"),
        ("sh600010", ""),
    ]


def test_the_feed_has_the_rows_that_landed_and_the_rejected(shore: Shore) -> None:
    shore.execute("alter table raw_tdx.price add constraint dear check (price <> 7)")
    shore.land(PRICE, prices(10))

    changes = shore.rows("select table_name, key from ops.changes")
    codes = [f"sh{600000 + n}" for n in range(10) if n != 7]
    assert sorted(changes) == [
        *(("raw_tdx.price", code) for code in codes),
        ("raw_tdx.rejected_row", ""),
    ]


def test_a_file_that_binary_copy_refuses_goes_as_text(
    shore: Shore, caplog: pytest.LogCaptureFixture
) -> None:
    rows = prices(10, name="a\0b")
    rows[3] |= {"price": -1, "name": 'it\'s "\\N", tab\t'}
    rows[4] |= {"name": ""}

    landed = shore.land(PRICE, rows)

    assert "using text" in caplog.text
    assert landed.new == 9
    stored = shore.rows("select code, name, price, fetched_at from raw_tdx.price order by code")
    assert stored[3] == ("sh600003", rows[3]["name"], -1, NOON)
    assert stored[4][1] == ""
    assert [r[1:3] for r in shore.refused()] == [(f"sh600005 {DAY} 1", "name")]


def test_a_date_outside_the_database_range_costs_its_row_alone(shore: Shore) -> None:
    rows = prices(10)
    arrow = pa.Table.from_pylist(
        [{"trade_date": DAY, "seq": 1, "name": "x"} | STANDARD | r for r in rows], PRICE.schema
    )
    days = arrow["trade_date"].cast(pa.int32()).to_pylist()
    days[4] = 2**31 - 1
    arrow = arrow.set_column(1, PRICE.schema.field(1), pa.array(days, pa.int32()).cast(pa.date32()))

    landed = shore.land_batches(PRICE, Batch(arrow), rejects=REFUSED, dataset="prices")

    assert landed.new == 9
    assert [r[2] for r in shore.refused()] == ["trade_date"]


def test_one_refused_row_refuses_its_whole_unit(shore: Shore) -> None:
    rows = [
        {"code": code, "seq": seq, "price": seq}
        for code in ("sh600000", "sh600001")
        for seq in (1, 2)
    ]
    shore.land(UNIT, rows)
    shore.execute("alter table raw_tdx.unit add constraint dear check (price <> 9)")

    landed = shore.land(UNIT, [rows[0], rows[2] | {"price": 5}, rows[3] | {"price": 9}])

    assert landed.changed == 1  # the second row of the first code is gone
    assert landed.read == 1
    assert shore.rows("select code, seq, price from raw_tdx.unit order by 1, 2") == [
        ("sh600000", 1, 1),
        ("sh600001", 1, 1),
        ("sh600001", 2, 2),
    ]
    assert [r[1] for r in shore.refused()] == [f"sh600001 {DAY} 2"]


def test_a_table_that_refuses_too_many_rows_ends_its_load(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rejects, "MOST", 5)
    shore.execute("alter table raw_tdx.price add constraint none check (price < 0)")

    with pytest.raises(TooManyRejected, match="none") as caught:
        shore.land(PRICE, prices(10))

    assert "loaders run tdx --dataset prices --accept-loss" in caught.value.hint
    assert shore.refused() == []

    shore.open = partial(shore.open, accepts_loss=("prices",))  # type: ignore[method-assign]
    assert shore.land(PRICE, prices(10)).new == 0
    assert len(shore.refused()) == 10


def test_a_table_beside_names_the_dataset_that_brings_its_rows(
    shore: Shore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rejects, "MOST", 5)
    shore.execute("alter table raw_tdx.unit add constraint none check (price < 0)")
    base = {"trade_date": DAY, "seq": 1, "name": "x"} | STANDARD
    rows = pa.Table.from_pylist([base | row for row in prices(10)], PRICE.schema)
    batch = Batch(rows, beside=rows)

    def land() -> Landed:
        return shore.land_batches(PRICE, batch, rejects=REFUSED, beside=UNIT, dataset="prices")

    with pytest.raises(TooManyRejected, match="unit") as caught:
        land()
    assert "loaders run tdx --dataset prices --accept-loss" in caught.value.hint

    shore.open = partial(shore.open, accepts_loss=("prices",))  # type: ignore[method-assign]
    assert land().read == 10
    assert {row[0] for row in shore.refused()} == {"unit"}


def test_a_table_without_a_place_for_refused_rows_ends_its_load(shore: Shore) -> None:
    shore.execute("alter table raw_tdx.price add constraint dear check (price <> 7)")

    with pytest.raises(Exception, match="dear"):
        shore.land(PRICE, prices(10), dataset=None)

    assert shore.rows("select count(*) from raw_tdx.price") == [(0,)]


def test_a_row_that_is_refused_again_stays_refused_until_it_lands(shore: Shore) -> None:
    def open_refusals() -> list[tuple[Any, ...]]:
        return shore.rows(
            "select row_key, is_withdrawn from raw_tdx.rejected_row where rule like 'the table%'"
        )

    shore.execute("alter table raw_tdx.price add constraint dear check (price <> 7)")
    shore.land(PRICE, prices(10))
    key = f"sh600007 {DAY} 1"
    assert open_refusals() == [(key, False)]

    # what the engine withdraws as it reads the row again may land after it
    again = pa.table({"code": ["sh600007"], "trade_date": [DAY], "seq": [1]})
    with shore.warehouse.connect() as conn:
        gone = list(withdrawn(open_rejects(conn, REFUSED, "prices"), again, PRICE.key, ()))
    shore.land(PRICE, prices(10))
    rows = rejects_table(REFUSED, "prices", gone, source_route="/api/test", fetched_at=LATER)
    shore.land(REFUSED, rows.to_pylist(), dataset=None)
    assert open_refusals() == [(key, False)]
    shore.land(PRICE, prices(5))  # of other rows
    assert open_refusals() == [(key, False)]

    shore.land(PRICE, [{"code": "sh600007", "price": 8}])
    assert open_refusals() == [(key, True)]
    shore.execute("truncate ops.changes")
    shore.land(PRICE, [{"code": "sh600007", "price": 8}])
    assert shore.rows("select table_name from ops.changes") == []
    shore.land(PRICE, [{"code": "sh600007", "price": 7, "fetched_at": LATER}])
    assert open_refusals() == [(key, False)]


def test_a_server_limit_is_not_an_unavailable_warehouse(shore: Shore) -> None:
    shore.execute(
        "create function raw_tdx.full() returns trigger language plpgsql as "
        "$$ begin raise exception 'too many' using errcode = '53400'; end $$"
    )
    shore.execute(
        "create trigger full_up before insert on raw_tdx.price execute function raw_tdx.full()"
    )

    with pytest.raises(PipelineStepFailed, match="too many"):
        shore.land(PRICE, prices(1))
