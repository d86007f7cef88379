"""Rejected rows: what they are, and the table in which they land beside the good ones.

loaders/landing/screening.py rejects before landing, by what a table is declared to hold.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from loaders.warehouse.tables import REJECTED, LandedTable, landed_table

SHOWN = 200  # characters of a value that a finding quotes
_TEXT = pa.string()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that broke a rule.

    payload: the whole row as JSON
    source_route: where it came from, if not by the dataset's own route
    is_withdrawn: an earlier reading rejected it, and the newest does not
    """

    row_key: str
    field: str
    rule: str
    value: str
    payload: str
    source_route: str | None = None
    is_withdrawn: bool = False


def rejected_rows(schema: str) -> LandedTable:
    """The table of rejected rows of a source, in its schema (`raw_tdx`)."""
    texts = ("dataset", "row_key", "field", "rule", "value", "payload")
    return landed_table(
        schema,
        REJECTED,
        [*((name, _TEXT) for name in texts), ("is_withdrawn", pa.bool_())],
        key=("dataset", "row_key", "field", "rule"),
        nullable=("value", "is_withdrawn"),
    )


def shown(value: object) -> str:
    """A value of a row as findings and keys quote it."""
    if isinstance(value, datetime) and value.tzinfo:
        value = value.astimezone(UTC)
    return str(value).replace("\0", "\\0")[:SHOWN]


def row_key(row: Mapping[str, Any], key: Sequence[str]) -> str:
    """The name of a row by the key of its table."""
    return " ".join(shown(row.get(name)) for name in key)[:SHOWN]


def open_rejects(conn: psycopg.Connection, landed: LandedTable, dataset: str) -> list[Rejected]:
    """The rejected rows of a dataset that are not withdrawn; `landed` is `rejected_rows`."""
    rows = conn.execute(
        f"select row_key, field, rule, value, payload from {landed.qualified} "
        "where dataset = %s and is_withdrawn is not true".encode(),
        (dataset,),
    )
    return [Rejected(*row) for row in rows]


def withdrawn(
    rejects: Sequence[Rejected], rows: pa.Table, key: Sequence[str], unit: Sequence[str]
) -> Iterator[Rejected]:
    """The rejects whose row is among `rows` by its key, withdrawn: the newest reading counts.

    Of a unit that is replaced as one (a day of ticks) any row stands for all.
    """
    key = unit or key
    by_key: dict[str, list[Rejected]] = {}
    entities: set[str] = set()  # rows of others need no name
    for reject in rejects:
        words = reject.row_key.split(" ")
        name = " ".join(words[: len(key)] if unit else words)
        by_key.setdefault(name, []).append(reject)
        entities.update(" ".join(words[: n + 1]) for n in range(len(words)))
    first = rows[key[0]].cast(_TEXT)
    near = rows.select(list(key)).filter(pc.is_in(first, value_set=pa.array(entities, _TEXT)))
    for name in {row_key(row, key) for row in near.to_pylist()} & by_key.keys():
        yield from (replace(reject, is_withdrawn=True) for reject in by_key[name])


def withdraw_settled(
    stored: Iterable[Rejected], rejected: Iterable[Rejected], is_own: Callable[[Rejected], bool]
) -> list[Rejected]:
    """Stored rejects of a source that a new reading no longer rejects, withdrawn.

    is_own: whether the reading covers the row of a stored reject
    """
    again = {(row.row_key, row.field, row.rule) for row in rejected}
    return [
        replace(row, is_withdrawn=True)
        for row in stored
        if is_own(row) and (row.row_key, row.field, row.rule) not in again
    ]


def rejects_table(
    landed: LandedTable,
    dataset: str,
    rejects: Sequence[Rejected],
    *,
    source_route: str,
    fetched_at: datetime,
) -> pa.Table:
    """Rejected rows of a dataset as one Arrow table; `landed` is that of `rejected_rows`."""
    rows = [
        asdict(r)
        | {"dataset": dataset, "source_route": r.source_route or source_route}
        | {"fetched_at": fetched_at, "is_final": True}
        for r in rejects
    ]
    return pa.Table.from_pylist(rows, landed.schema)
