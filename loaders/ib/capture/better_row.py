"""The better of two captures of a contract in a slot: a worse one never replaces it.

In this order: no error, requested at all, within the slot's window, live before delayed, more
complete, within the grace, later packet. Two captures in either order leave the same row.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from loaders.ib.capture.flags import DELAYED_TYPES, LATE
from loaders.ib.client.error_codes import NOT_ASKED

_NEVER = datetime.min.replace(tzinfo=UTC)
# columns of the rule
COLUMNS = [
    "snapshot_error",
    "error_type",
    "market_data_type",
    "bid",
    "ask",
    "last",
    "iv",
    "delta",
    "data_quality_flag",
    "asof_at",
    "capture_lag_s",
]


def rank(
    row: Mapping[str, Any], window_s: float
) -> tuple[bool, bool, bool, bool, int, bool, datetime]:
    """The order of captures; the greater is the better."""
    served = row["market_data_type"]
    two_sided = row["bid"] is not None and row["ask"] is not None
    greeks = row["iv"] is not None and row["delta"] is not None
    return (
        not row["snapshot_error"],
        row["error_type"] != NOT_ASKED,
        row["capture_lag_s"] <= window_s,
        served is not None and served not in DELAYED_TYPES,
        two_sided + greeks + (two_sided or row["last"] is not None),
        LATE not in row["data_quality_flag"].split(","),
        row["asof_at"] or _NEVER,
    )


def is_better(row: Mapping[str, Any], stored: Mapping[str, Any] | None, window_s: float) -> bool:
    """Whether a capture replaces the stored one; one that is as good does not."""
    return stored is None or rank(row, window_s) > rank(stored, window_s)
