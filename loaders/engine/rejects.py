"""Rows that were refused, with the rule they broke: they land beside the good ones."""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from loaders.tdx.bars.plausibility import Rejected
from loaders.tdx.schemas import REJECTED_ROW
from loaders.warehouse.tables import conform


def table(
    dataset: str,
    rejected: Sequence[Rejected],
    source_route: str,
    fetched_at: datetime,
    withdrawn: Sequence[Rejected] = (),
) -> pa.Table:
    """`withdrawn` were refused before, and are no more."""
    flags = [False] * len(rejected) + [True] * len(withdrawn)
    rejected = [*rejected, *withdrawn]
    size = len(rejected)
    return conform(
        pa.table(
            {
                "dataset": pa.array([dataset] * size, pa.string()),
                "row_key": pa.array([r.row_key for r in rejected], pa.string()),
                "field": pa.array([r.field for r in rejected], pa.string()),
                "rule": pa.array([r.rule for r in rejected], pa.string()),
                "value": pa.array([r.value for r in rejected], pa.string()),
                "payload": pa.array([r.payload for r in rejected], pa.string()),
                "is_withdrawn": pa.array(flags, pa.bool_()),
                "source_route": pa.array([source_route] * size, pa.string()),
                "fetched_at": pa.array([fetched_at] * size, pa.timestamp("us", tz="UTC")),
                "is_final": pa.array([True] * size, pa.bool_()),
            }
        ),
        REJECTED_ROW,
    )
