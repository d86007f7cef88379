"""Rows that were refused, with the rule they broke: they land beside the good ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from loaders.warehouse.tables import LandedTable, conform, landed_table

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


def table(
    landed: LandedTable,
    dataset: str,
    rejected: Sequence[Rejected],
    source_route: str,
    fetched_at: datetime,
) -> pa.Table:
    """Refused rows of a dataset as one Arrow table; `landed` is that of `rejected_rows`."""
    size = len(rejected)
    own = {
        name: pa.array([getattr(r, name) for r in rejected], _TEXT)
        for name in ("row_key", "field", "rule", "value", "payload")
    }
    return conform(
        pa.table(
            {
                "dataset": pa.array([dataset] * size, _TEXT),
                **own,
                "is_withdrawn": pa.array([r.is_withdrawn for r in rejected], pa.bool_()),
                "source_route": pa.array([r.source_route or source_route for r in rejected], _TEXT),
                "fetched_at": pa.array([fetched_at] * size, pa.timestamp("us", tz="UTC")),
                "is_final": pa.array([True] * size, pa.bool_()),
            }
        ),
        landed,
    )
