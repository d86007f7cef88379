"""The archived views and tables, each by underlying and day.

`chain_daily_adjusted` is left out: it is `chain_daily_clean` in today's shares, and each later
split would make all its past files wrong. Files of a view over a landed table also hold the landed
columns that the view leaves out, so that the landed row can be restored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import psycopg
import pyarrow as pa

from loaders.ib import tables
from loaders.warehouse.tables import LandedTable
from orchestration.archive.units import UNITS
from quotemill.readers.listed import require_known
from quotemill.warehouse.postgres import Warehouse

# what a compacted file has as columns, and other files in their path
PLACE_FIELDS = (
    pa.field("date", pa.date32()),
    pa.field("underlying", pa.string()),
    pa.field("exchange", pa.string()),
)
PLACE = tuple(place.name for place in PLACE_FIELDS)
Place = tuple[date, str, str]
_LINEAGE = ("source_route", "fetched_at", "is_final", "_dlt_load_id")
# Arrow types by PostgreSQL type, without numeric
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
    """An archived view.

    day:     the column with the date it is archived by
    key:     orders the rows of a partition
    counted: column of qa_option_day with the number of rows of a day, if there is one
    landed:  the landed table under the view, if there is one
    beside:  columns of `landed` that files hold too, by their name in the file
    renamed: names in the view of renamed columns of `landed`
    """

    name: str
    day: str
    key: tuple[str, ...]
    follows: tuple[str, ...]
    counted: str | None = None
    landed: LandedTable | None = None
    beside: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def name_in_file(self, column: str) -> str:
        """The name in files of a column of the landed table."""
        besides = {landed: name for name, landed in self.beside.items()}
        return besides.get(column) or self.renamed.get(column, column)

    def query(self, warehouse: Warehouse) -> str:
        """A query for its rows and PLACE, with the parameters `day` and `symbols`."""
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
            # requests go to this exchange
            "coalesce(c.exchange, 'SMART') as exchange "
            f"from {options}.{self.name} as q{joins} "
            "left join raw_ib.contract as c on q.conid = c.conid "
            f"where q.{self.day} = %(day)s and q.symbol = any(%(symbols)s)"
        )

    def schema(self, conn: psycopg.Connection, warehouse: Warehouse) -> pa.Schema:
        """Its columns in the warehouse without those of PLACE, with units as metadata."""
        cursor = conn.execute(
            f"select * from ({self.query(warehouse)}) as rows limit 0".encode(),
            {"day": "2000-01-01", "symbols": []},
        )
        fields = [
            pa.field(column.name, _arrow_type(conn, column), metadata=_unit(column.name))
            for column in cursor.description or []
            if column.name not in PLACE
        ]
        return pa.schema(fields)

    def fingerprint(self, conn: psycopg.Connection, warehouse: Warehouse) -> str:
        """Its columns and its query, with those of the views in it, as PostgreSQL prints them."""
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
            select coalesce(
                md5(string_agg(pg_get_viewdef(oid), ' ' order by oid::regclass::text)), ''
            )
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
        raise TypeError(f"column {column.name} has a type that cannot be archived: {name}")
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
    View("chain_daily_clean", "trade_date", ("conid",), ("chain_daily_clean",), "daily_count"),
    View(
        "open_interest",
        "oi_asof_date",
        ("conid",),
        (tables.OPEN_INTEREST.qualified,),
        None,
        tables.OPEN_INTEREST,
        # it has is_final itself
        {name: name for name in ("trade_date", *_LINEAGE) if name != "is_final"},
    ),
)
NAMES = tuple(view.name for view in VIEWS)


def find_view(name: str) -> View:
    """A view by name. Raises UsageError, which lists the names."""
    require_known("view", [name], NAMES)
    return VIEWS[NAMES.index(name)]
