"""Stored events that a version of the client's gbbq lacks: it is refused, unless accepted.

A copy that lost records looks like one whose records were withdrawn. A dividend less changes the
adjusted prices of a code's whole history, a change of capital less its market value.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import psycopg

from loaders.tdx.files.gbbq import Gbbq, count_refused
from loaders.tdx.losses import is_gross
from loaders.tdx.tables import CAPITAL_EVENT

FEW = 5  # records that a vendor takes back at once


@dataclass(frozen=True)
class LostEvents:
    """Stored records that a file lacks.

    stored: the number of stored records
    by_code: day and category of each missing one, ascending
    """

    stored: int
    by_code: Mapping[str, Sequence[tuple[date, int]]]

    @property
    def count(self) -> int:
        return sum(map(len, self.by_code.values()))

    @property
    def is_gross(self) -> bool:
        return is_gross(self.count, self.stored, few=FEW)

    def describe(self) -> str | None:
        """The loss in words; None without one."""
        if self.is_gross:
            return f"gbbq lacks {self.count:,} of {self.stored:,} stored records"
        lost = sorted(
            (day, code, category) for code, gone in self.by_code.items() for day, category in gone
        )
        if not lost:
            return None
        day, code, category = lost[-1]
        many = f"{len(lost):,} stored events, the newest" if len(lost) > 1 else "1 stored event,"
        return f"gbbq lacks {many} of {code} on {day} (category {category})"


def find_lost_events(conn: psycopg.Connection, content: Gbbq) -> LostEvents:
    """Compare a file with the stored records.

    A refused record is not lost: it counts as the event of its code, day and category.
    """
    rows = conn.execute(
        f"select code, event_date, category, count(*) from {CAPITAL_EVENT.qualified}"
        " group by 1, 2, 3".encode()
    ).fetchall()
    stored = {tuple(key): number for *key, number in rows}
    present = _count_records(content)
    by_code: dict[str, list[tuple[date, int]]] = {}
    for (code, day, category), number in sorted(stored.items()):
        if (missing := number - present[code, day, category]) > 0:
            by_code.setdefault(code, []).extend([(day, category)] * missing)
    return LostEvents(sum(stored.values()), by_code)


def _count_records(content: Gbbq) -> Counter[tuple[str, date, int]]:
    """Count the records of a file, refused ones too, by code, day and category."""
    key = ["code", "event_date", "category"]
    counted = content.rows.select(key).group_by(key).aggregate([([], "count_all")])
    keys = zip(*(counted[name].to_pylist() for name in key), strict=True)
    present = Counter(dict(zip(keys, counted["count_all"].to_pylist(), strict=True)))
    return present + count_refused(content)
