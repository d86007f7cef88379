"""Corporate actions in one form for CSV files and the quote servers.

Both give an ActionSet. All amounts are per 10 shares and before tax.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

import numpy as np
import orjson
import pyarrow as pa

from loaders.landing.rejects import Rejected
from loaders.tdx.tables import CORPORATE_ACTION

# column → (total digits, decimals), as the table declares them
PRECISION = {
    column.name: (column.type.precision, column.type.scale)
    for column in CORPORATE_ACTION.schema
    if pa.types.is_decimal(column.type)
}
ADJUSTMENT, SPLIT, REORGANISATION, CATEGORIES = 1, 11, 15, range(1, 16)


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One row of raw_tdx.corporate_action, with the table's column names and units.

    seq: counts from 1 within (code, ex_date) in the order of the contents, so the order of the
        rows in the source does not matter; `numbered` sets it.
    """

    code: str
    ex_date: date
    source: str
    category: int
    source_ref: str
    seq: int = 0
    cash_per10_yuan: Decimal | None = None
    bonus_per10: Decimal | None = None
    transfer_per10: Decimal | None = None
    bonus_total_per10: Decimal | None = None
    rights_per10: Decimal | None = None
    rights_price_yuan: Decimal | None = None
    split_ratio: Decimal | None = None
    total_shares_10k: Decimal | None = None
    float_shares_10k: Decimal | None = None
    adjusts_price: bool | None = None

    def content(self) -> tuple[object, ...]:
        """The row's values without its place; equal contents are the same event."""
        values = (self.category, *(getattr(self, name) for name in PRECISION), self.adjusts_price)
        return (self.code, self.ex_date, *((v is not None, v or 0) for v in values))


@dataclass(frozen=True, slots=True)
class ActionSet:
    """Corporate actions that a source has for the requested codes.

    covers: codes whose list is complete; the source has withdrawn a stored row of such a code that
        is not in `rows`. A code with a rejected row is not covered. No code is covered if a
        rejected row has an unreadable code.
    unknown_columns: 'file: column' of the columns that are not read.
    version: of all events of the source, by their contents; None if it has only `rows`
    """

    rows: list[CorporateAction]
    rejected: list[Rejected] = field(default_factory=list)
    covers: frozenset[str] = frozenset()
    unknown_columns: tuple[str, ...] = ()
    version: str | None = None


class Refused(Exception):
    """A row that cannot be true; args: field, rule, value."""


def describe_record(code: str, day: int, category: int, values: Iterable[np.float32]) -> str:
    """A refused record as JSON, with `ex_date` and `category` as in the rows of a CSV file.

    day: YYYYMMDD, as the source has it
    """
    digits = f"{day:08}"
    ex_date = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    numbers = [str(value) for value in values]
    row = {"code": code, "ex_date": ex_date, "category": category, "values": numbers}
    return orjson.dumps(row).decode()


def number_rows(rows: Sequence[CorporateAction]) -> list[CorporateAction]:
    """The rows sorted by code, day and content, with `seq` set."""
    result: list[CorporateAction] = []
    for row in sorted(rows, key=CorporateAction.content):
        last = result[-1] if result else None
        again = last is not None and (last.code, last.ex_date) == (row.code, row.ex_date)
        result.append(replace(row, seq=last.seq + 1 if again and last else 1))
    return result
