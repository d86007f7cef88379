"""The outcome of loading one key of a dataset.

An error with one key is its outcome and stops nothing else; only SourceGone ends a load.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from quotemill.errors import PartialError, UpstreamError

if TYPE_CHECKING:
    from loaders.landing.rejects import Rejected

NOT_DUE = "nothing new is due"


class SourceGone(UpstreamError):
    """The load gave up on the source; every further request fails with this at once."""


class Stopped(PartialError):
    """The load was asked to stop while it waited for the source."""


@dataclass(frozen=True)
class Outcome:
    """One key after a load: rows to land, why there are none, or some rows and a failure.

    `rows` is what the dataset's `table` turns into Arrow; its length is its number of rows.
    `beside` are records of the further table of the dataset.
    `cursor` is how far the key is loaded, a value whose text sorts as it does (a day, a slot).
    `cursor_key` names another cursor than the key's. `fallback` says which route replaced which,
    and why. `is_part`: rows that land at once while the key goes on; its last outcome counts it.
    """

    key: str
    rows: Any | None = field(default=None, repr=False)
    rejected: "Sequence[Rejected]" = field(default=(), repr=False)
    cursor: date | str | None = None
    skipped: str | None = None
    failure: str | None = None
    fallback: str | None = None
    gone: SourceGone | None = field(default=None, repr=False)
    cursor_key: str | None = None
    beside: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    is_part: bool = False


def records(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The rows of outcomes whose rows are records: what a dataset's `table` may be."""
    return [row for outcome in outcomes for row in outcome.rows or ()]
