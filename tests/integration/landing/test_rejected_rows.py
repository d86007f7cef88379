"""A table altered to refuse rows ends the load by name."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from loaders.landing import cursors
from loaders.landing.load_job import Landed
from loaders.landing.rejects import Rejected, open_rejects, rejected_rows, rejects_table, withdrawn
from loaders.warehouse.tables import Batch, LandedTable, landed_table
from quotemill.errors import DataQualityError
from tests.integration.landing.conftest import LandingBench

DAY = date(2024, 6, 28)
NOON = datetime(2024, 6, 28, 4, tzinfo=UTC)
FIELDS = [("code", pa.string()), ("trade_date", pa.date32()), ("seq", pa.int32())]
FIELDS += [("name", pa.string()), ("price", pa.decimal128(24, 9))]
PRICE = landed_table("raw_tdx", "price", FIELDS, key=("code", "trade_date", "seq"))
UNIT = landed_table(
    "raw_tdx", "unit", FIELDS, key=("code", "trade_date", "seq"), whole=("code", "trade_date")
)
REFUSED = rejected_rows("raw_tdx")
STANDARD = {"source_route": "/api/test", "fetched_at": NOON, "is_final": True}


class Shore(LandingBench):
    def land(
        self,
        table: LandedTable,
        rows: list[dict[str, Any]],
        cursors: Mapping[str, str] | None = None,
    ) -> Landed:
        base = {"trade_date": DAY, "seq": 1, "name": "x", "price": 1} | STANDARD
        arrow = pa.Table.from_pylist([base | row for row in rows], table.schema)
        rejects = REFUSED if table is not REFUSED else None
        return self.land_batches(table, Batch(arrow, cursors=cursors or {}), rejects=rejects)


@pytest.fixture
def shore(warehouse_dsn: str, tmp_path: Path) -> Shore:
    return Shore(warehouse_dsn, tmp_path, PRICE, UNIT, REFUSED)


def prices(count: int, **odd: Any) -> list[dict[str, Any]]:
    return [
        {"code": f"sh{600000 + n}", "price": n} | (odd if n == count // 2 else {})
        for n in range(count)
    ]


REFUSALS = {
    "type": ("alter table raw_tdx.price alter column price type numeric(6, 2)", "overflow"),
    "constraint": ("alter table raw_tdx.price add constraint dear check (price <> 7)", "dear"),
    "index": ("create index wide on raw_tdx.price (name)", "index"),
    "trigger": (
        "create function raw_tdx.refuse() returns trigger language plpgsql as "
        "$$ begin raise exception 'not this one'; end $$; create trigger refuse "
        "before insert on raw_tdx.price for each row execute function raw_tdx.refuse()",
        "not this one",
    ),
}


@pytest.mark.parametrize("change", REFUSALS)
def test_a_table_altered_to_refuse_a_row_ends_the_load_by_name(shore: Shore, change: str) -> None:
    statement, word = REFUSALS[change]
    shore.execute(statement)
    wide = "".join(f"{n * 7919:x}" for n in range(2000))
    rows = prices(20, price=10**6, name=wide)

    with pytest.raises(DataQualityError, match=word) as caught:
        shore.land(PRICE, rows, cursors={"sh600010": "2024-06-28"})

    assert str(caught.value).startswith("raw_tdx.price ")
    assert caught.value.hint.startswith("Drop ")
    assert shore.rows("select count(*) from raw_tdx.price") == [(0,)]
    assert shore.rows("select count(*) from ops.changes") == [(0,)]
    pipeline, landed = shore.open()
    assert (landed.read, pipeline.has_pending_data) == (0, False)
    assert cursors.read_cursors(pipeline.state, "tdx", "price") == {}


def test_what_was_refused_lands_once_the_table_takes_it(shore: Shore) -> None:
    shore.execute("alter table raw_tdx.price add constraint dear check (price <> 7)")
    with pytest.raises(DataQualityError, match="dear"):
        shore.land(PRICE, prices(10))
    shore.execute("alter table raw_tdx.price drop constraint dear")

    assert shore.land(PRICE, prices(10)).new == 10


def test_a_table_beside_is_named_too(shore: Shore) -> None:
    shore.execute("alter table raw_tdx.unit add constraint none check (price < 0)")
    base = {"trade_date": DAY, "seq": 1, "name": "x"} | STANDARD
    rows = pa.Table.from_pylist([base | row for row in prices(10)], PRICE.schema)

    with pytest.raises(DataQualityError, match=r"^raw_tdx\.unit rejects"):
        shore.land_batches(PRICE, Batch(rows, beside=rows), rejects=REFUSED, beside=UNIT)


def test_a_row_that_an_older_version_rejected_by_its_table_is_withdrawn(shore: Shore) -> None:
    again = pa.table({"code": ["sh600007"], "trade_date": [DAY], "seq": [1]})
    reject = Rejected(f"sh600007 {DAY} 1", "price", "the table refuses it: dear", "7", "{}")
    rows = rejects_table(REFUSED, "prices", [reject], source_route="/api/test", fetched_at=NOON)
    shore.land(REFUSED, rows.to_pylist())
    with shore.warehouse.connect() as conn:
        stored = open_rejects(conn, REFUSED, "prices")
    assert [row.is_withdrawn for row in withdrawn(stored, again, PRICE.key, ())] == [True]


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
