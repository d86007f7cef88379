"""Stored events that a version of the client's gbbq lacks: it is refused, unless accepted.

A copy that lost records looks like one whose records were withdrawn, and each withdrawal
changes the adjusted prices of a code's whole history.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import orjson
import psycopg

from loaders.errors import name_acceptance
from loaders.tdx.files import gbbq
from loaders.tdx.files.gbbq import Gbbq
from loaders.tdx.tables import CAPITAL_EVENT, CORPORATE_ACTION
from loaders.warehouse.tables import LandedTable

# The file is refused whole if it lacks more stored records than this number and share.
MOST, SHARE = 5, 0.05
WAY_OUT = name_acceptance("tdx", CAPITAL_EVENT.name + "s", CORPORATE_ACTION.name + "s")
_STORED = {
    CAPITAL_EVENT.name: "select code, event_date, category, count(*) from raw_tdx.capital_event"
    " group by 1, 2, 3",
    CORPORATE_ACTION.name: "select code, ex_date, category, count(*) from raw_tdx.corporate_action"
    " where source = 'gbbq' and not is_withdrawn group by 1, 2, 3",
}


@dataclass(frozen=True)
class LostEvents:
    """Records of a table that a file lacks.

    stored: the number of stored records
    count: of these the missing ones, of every category
    by_code: days of missing events that adjust prices, ascending
    codes: all codes of missing records
    """

    stored: int
    count: int
    by_code: Mapping[str, Sequence[date]]
    codes: frozenset[str] = frozenset()

    @property
    def is_gross(self) -> bool:
        return self.count > max(MOST, SHARE * self.stored)

    def describe(self, code: str | None = None) -> str | None:
        """The loss of a code, or of the whole file; None without one."""
        if self.is_gross:
            return f"gbbq lacks {self.count:,} of {self.stored:,} stored records"
        codes = sorted(self.by_code) if code is None else [code] if code in self.by_code else []
        if not codes:
            return None
        days = [(day, name) for name in codes for day in self.by_code[name]]
        newest, name = max(days)
        what = "event" if len(days) == 1 else "events"
        others = self.count - len(days) if code is None else 0
        beside = f", and {others:,} records of other kinds" if others else ""
        return f"gbbq lacks {len(days):,} stored {what}, the newest of {name} on {newest}{beside}"

    def refusal(self, code: str | None = None) -> str | None:
        """The failure of a code or of the whole file, with its way out; None without a loss."""
        loss = self.describe(code)
        return f"{loss}: what is stored stays ({WAY_OUT})" if loss else None


def find_lost_events(conn: psycopg.Connection, table: LandedTable, content: Gbbq) -> LostEvents:
    """Compare a file with the events of a table: capital_event or corporate_action.

    A refused record is not lost: it counts as the event of its code, day and category.
    """
    rows = conn.execute(_STORED[table.name].encode()).fetchall()
    stored = {tuple(key): number for *key, number in rows}
    present = _count_records(content)
    lost = {of: number - present[of] for of, number in stored.items() if number > present[of]}
    by_code: dict[str, list[date]] = {}
    for code, day, category in sorted(lost):
        if category in gbbq.ADJUSTING:
            by_code.setdefault(code, []).append(day)
    codes = frozenset(code for code, _, _ in lost)
    return LostEvents(sum(stored.values()), sum(lost.values()), by_code, codes)


def _count_records(content: Gbbq) -> Counter[tuple[str, date, int]]:
    """Count the records of a file, refused ones too, by code, day and category."""
    key = ["code", "event_date", "category"]
    counted = content.rows.select(key).group_by(key).aggregate([([], "count_all")])
    keys = zip(*(counted[name].to_pylist() for name in key), strict=True)
    present = Counter(dict(zip(keys, counted["count_all"].to_pylist(), strict=True)))
    # a record that breaks several rules has one refusal for each
    for row in {refusal.row_key: refusal for refusal in content.rejected}.values():
        record = orjson.loads(row.payload)
        with contextlib.suppress(ValueError):  # the day can be what was refused
            day = date.fromisoformat(record["ex_date"])
            present[record["code"], day, record["category"]] += 1
    return present
