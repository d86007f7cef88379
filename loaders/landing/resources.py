"""What dlt gets: the parts of batches as its resources, and what it knows of their tables.

The same is read from a table of dlt when its file lands, which can be another process.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.schema.utils import get_columns_names_with_prop

from loaders.landing import cursors
from loaders.landing.early_copy import EarlyCopy
from loaders.landing.target import Target
from loaders.warehouse.tables import Batch, LandedTable

# on disk with a package: the columns of a unit that is replaced as one, and of the change feed
_UNIT = "x-quotemill-unit"
_ENTITY = "x-quotemill-entity"
_DAY = "x-quotemill-day"
_INDEXES = "x-quotemill-indexes"  # and of the table: its secondary indexes
ITEM_ROWS = 200_000  # of what dlt gets at once: some 20 MB


def make_resources(
    table: LandedTable,
    batches: Iterable[Batch],
    *,
    rejects: LandedTable | None,
    beside: LandedTable | None,
    early: EarlyCopy | None,
) -> list[Any]:
    """The parts of batches as resources of dlt, which draws each to its end before the next."""
    others: dict[str, list[pa.Table]] = {"rejected": [], "beside": []}

    def rows() -> Iterator[pa.Table]:
        state = dlt.current.resource_state()
        for batch in batches:
            cursors.advance(state, batch.cursors)
            for name, parts in others.items():
                part = getattr(batch, name)
                if part is not None and part.num_rows:
                    parts.append(part)
            if batch.rows is not None and batch.rows.num_rows:
                yield batch.rows

    def sent() -> Iterator[pa.Table]:
        for joined in _join(rows()):
            if early is not None:
                early.add(joined, dlt.current.load_package_state()["load_id"])
            yield joined

    resources = [_resource(table, sent)]
    if rejects is not None:
        resources.append(_resource(rejects, lambda: _join(others["rejected"])))
    if beside is not None:
        resources.append(_resource(beside, lambda: _join(others["beside"])))
    return resources


def _join(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Fewer, larger tables of the same rows: dlt checks the hints of all columns for each."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= ITEM_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _resource(table: LandedTable, rows: Callable[[], Iterator[pa.Table]]) -> Any:
    columns: Any = [
        {"name": f.name, "nullable": f.nullable}
        | ({_UNIT: True} if f.name in table.whole else {})
        | ({_ENTITY: True} if f.name == table.entity else {})
        | ({_DAY: True} if f.name == table.day else {})
        for f in table.schema
    ]
    resource = dlt.resource(
        rows,
        name=table.name,
        primary_key=list(table.key),
        write_disposition="append",
        columns=columns,
    )
    hints: dict[str, Any] = {_INDEXES: list(table.index_names)} if table.indexes else {}
    return resource.apply_hints(additional_table_hints=hints) if hints else resource


def read_target(table: Any, schema: str) -> Target:
    """Where a file of a table of dlt lands."""

    def marked(hint: str) -> tuple[str, ...]:
        return tuple(get_columns_names_with_prop(table, hint))

    return Target(
        schema=schema,
        table=table["name"],
        key=marked("primary_key"),
        unit=marked(_UNIT),
        entity=next(iter(marked(_ENTITY)), None),
        day=next(iter(marked(_DAY)), None),
        indexes=tuple(table.get(_INDEXES, ())),
    )
