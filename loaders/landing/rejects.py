"""Rows that were refused, with the rule they broke: they land beside the good ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from loaders.warehouse.tables import LandedTable, landed_table

OF_TABLE = "the table refuses it: "  # how a rule begins that the landed table alone knows
SHOWN = 200  # characters of a value that a finding quotes
_TEXT = pa.string()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that broke a rule. `payload` is the whole row as JSON; `source_route` says where it came
    from, if not by the dataset's own route. One that `is_withdrawn` was refused by an earlier reading,
    and is no more."""

    row_key: str
    field: str
    rule: str
    value: str
    payload: str
    source_route: str | None = None
    is_withdrawn: bool = False


def rejected_rows(schema: str) -> LandedTable:
    """The table of refused rows of a source, in its schema (`raw_tdx`)."""
    return landed_table(
        schema,
        "rejected_row",
        [
            *(
                (name, _TEXT)
                for name in ("dataset", "row_key", "field", "rule", "value", "payload")
            ),
            ("is_withdrawn", pa.bool_()),
        ],
        key=("dataset", "row_key", "field", "rule"),
        nullable=("value", "is_withdrawn"),
    )


def shown(value: object) -> str:
    """A value of a row as findings and keys quote it."""
    if isinstance(value, datetime) and value.tzinfo:
        value = value.astimezone(UTC)
    return str(value).replace("\0", "\\0")[:SHOWN]


def key_of(row: Mapping[str, Any], key: Sequence[str]) -> str:
    """What names a row by the key of its table, in refusals."""
    return " ".join(shown(row.get(name)) for name in key)[:SHOWN]


def open_refusals(conn: psycopg.Connection, landed: LandedTable, dataset: str) -> list[Rejected]:
    """What the engine or a source refuses of a dataset so far; `landed` is that of `rejected_rows`.

    What the table refuses passes the engine each time: landing withdraws that, once its row landed.
    """
    rows = conn.execute(
        f"select row_key, field, rule, value, payload from {landed.qualified} "
        "where dataset = %s and is_withdrawn is not true and not starts_with(rule, %s)".encode(),
        (dataset, OF_TABLE),
    )
    return [Rejected(*row) for row in rows]


def mended(
    refusals: Sequence[Rejected], rows: pa.Table, key: Sequence[str], unit: Sequence[str]
) -> Iterator[Rejected]:
    """Of refusals those whose row is among `rows` by its key, withdrawn: the newest reading counts.

    Of a unit that is replaced as one (a day of ticks) any row stands for all.
    """
    key = unit or key
    by_key: dict[str, list[Rejected]] = {}
    entities: set[str] = set()  # rows of others need no name
    for refusal in refusals:
        words = refusal.row_key.split(" ")
        name = " ".join(words[: len(key)] if unit else words)
        by_key.setdefault(name, []).append(refusal)
        entities.update(" ".join(words[: n + 1]) for n in range(len(words)))
    first = rows[key[0]].cast(_TEXT)
    near = rows.select(list(key)).filter(pc.is_in(first, value_set=pa.array(entities, _TEXT)))
    for name in {key_of(row, key) for row in near.to_pylist()} & by_key.keys():
        yield from (replace(refusal, is_withdrawn=True) for refusal in by_key[name])


def table(
    landed: LandedTable,
    dataset: str,
    rejected: Sequence[Rejected],
    source_route: str,
    fetched_at: datetime,
) -> pa.Table:
    """Refused rows of a dataset as one Arrow table; `landed` is that of `rejected_rows`."""
    rows = [
        asdict(r)
        | {"dataset": dataset, "source_route": r.source_route or source_route}
        | {"fetched_at": fetched_at, "is_final": True}
        for r in rejected
    ]
    return pa.Table.from_pylist(rows, landed.schema)
