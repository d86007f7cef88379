"""What is archived: views and tables that users know, each by underlying and day.

`chain_daily_adjusted` is left out: it is `chain_daily_clean` in the shares of today, and each later split
would make all files of its past wrong. Of a view that is landed, files hold besides its own columns what of
the landed row it leaves out, so that they give the row back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
import pyarrow as pa

from loaders.errors import UsageError
from loaders.ib import tables
from loaders.warehouse.postgres import Warehouse
from loaders.warehouse.tables import LandedTable
from orchestration.archive.units import UNITS

PLACE = ("date", "underlying", "exchange")
_LINEAGE = ("source_route", "fetched_at", "is_final", "_dlt_load_id")
# of PostgreSQL's types, but numeric
_TYPES = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float8": pa.float64(),
    "text": pa.string(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "text[]": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class View:
    """`day` is the column of the date by which it is archived, `key` orders the rows of a partition,
    `counted` is what of qa_option_day says how many rows a day has, None where it does not.

    Of a landed one `landed` is the table, `beside` columns of it that files have too (by their name in the
    file), `renamed` columns of it that the view calls otherwise.
    """

    name: str
    day: str
    key: tuple[str, ...]
    follows: tuple[str, ...]
    counted: str | None = None
    landed: LandedTable | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def in_file(self, column: str) -> str:
        """What files call a column of the landed table."""
        besides = {landed: name for name, landed in self.beside.items()}
        return besides.get(column) or self.renamed.get(column, column)

    def query(self, warehouse: Warehouse) -> str:
        """Its rows with the columns of PLACE; `%(day)s` is the day, `%(symbols)s` are the underlyings."""
        options = warehouse.inner_schema("options")
        joins = beside = ""
        if self.landed is not None:
            on = " and ".join(f"r.{name} = q.{name}" for name in self.landed.key)
            joins = (
                f" inner join {self.landed.qualified} as r on {on} "
                f"and r.{self.day} = %(day)s and r.symbol = any(%(symbols)s)"
            )
            beside = "".join(f", r.{landed} as {name}" for name, landed in self.beside.items())
        return (
            f"select q.*{beside}, q.{self.day} as date, q.symbol as underlying, "
            # who asks, asks by this exchange
            "coalesce(c.exchange, 'SMART') as exchange "
            f"from {options}.{self.name} as q{joins} "
            "left join raw_ib.contract as c on q.conid = c.conid "
            f"where q.{self.day} = %(day)s and q.symbol = any(%(symbols)s)"
        )

    def schema(self, conn: psycopg.Connection, warehouse: Warehouse) -> pa.Schema:
        """Its columns without those of PLACE, as the warehouse has them now; their units as metadata."""
        found = conn.execute(
            f"select * from ({self.query(warehouse)}) as rows limit 0".encode(),
            {"day": "2000-01-01", "symbols": []},
        )
        fields = [
            pa.field(column.name, _arrow_type(conn, column), metadata=_unit(column.name))
            for column in found.description or []
            if column.name not in PLACE
        ]
        return pa.schema(fields)

    def fingerprint(self, conn: psycopg.Connection, warehouse: Warehouse) -> str:
        """Its columns, and what decides beside the landed rows what it shows: of a view its query, and the
        queries of the views in it, as PostgreSQL prints them."""
        [(queries,)] = conn.execute(
            """
            with recursive views as (
                select c.oid from pg_class as c where c.oid = %s::regclass and c.relkind = 'v'
                union
                select c.oid
                from views as v
                inner join pg_rewrite as w on v.oid = w.ev_class
                inner join pg_depend as d
                    on w.oid = d.objid
                    and d.classid = 'pg_rewrite'::regclass
                    and d.refclassid = 'pg_class'::regclass
                inner join pg_class as c on d.refobjid = c.oid and c.relkind = 'v'
            )
            select coalesce(md5(string_agg(pg_get_viewdef(oid), ' ' order by oid::regclass::text)), '')
            from views
            """,
            (f"{warehouse.inner_schema('options')}.{self.name}",),
        )
        return f"{self.schema(conn, warehouse).remove_metadata()} {queries}"


def _arrow_type(conn: psycopg.Connection, column: psycopg.Column) -> pa.DataType:
    info = conn.adapters.types.get(column.type_code)
    name = "" if info is None else info.name
    if info is not None and column.type_code == info.array_oid:
        name += "[]"
    if name == "numeric" and column.precision is not None:
        return pa.decimal128(column.precision, column.scale or 0)
    if name not in _TYPES:
        raise TypeError(f"column {column.name} has a type that is not archived: {name}")
    return _TYPES[name]


def _unit(column: str) -> dict[str, str] | None:
    unit = UNITS.get(column)
    return {"unit": unit} if unit else None


VIEWS = (
    View(
        "chain_intraday",
        "trade_date",
        ("sample_time", "conid"),
        (tables.CHAIN_SNAPSHOT.qualified,),
        "row_count",
        tables.CHAIN_SNAPSHOT,
        {
            "landed_data_quality_flag": "data_quality_flag",
            "config_hash": "config_hash",
            "code_version": "code_version",
            **{name: name for name in _LINEAGE},
        },
        {"volume": "volume_contracts"},
    ),
    View(
        "chain_daily_clean", "trade_date", ("conid",), ("chain_daily_clean",), "daily_count",
    ),
    View(
        "open_interest",
        "oi_asof_date",
        ("conid",),
        (tables.OPEN_INTEREST.qualified,),
        None,
        tables.OPEN_INTEREST,
        {name: name for name in ("trade_date", *_LINEAGE)},
    ),
)  # fmt: skip
NAMES = tuple(view.name for view in VIEWS)


def find(name: str) -> View:
    """Raises UsageError with the names that there are."""
    for view in VIEWS:
        if view.name == name:
            return view
    raise UsageError(f"{name} is not archived", hint="one of " + ", ".join(NAMES))
