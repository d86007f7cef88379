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
from loaders.tdx.tables import CAPITAL_EVENT
from quotemill.errors import name_acceptance

# The file is refused whole if it lacks more stored records than this number and share.
MOST, SHARE = 5, 0.05
WAY_OUT = name_acceptance("tdx", f"{CAPITAL_EVENT.name}s")


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
        return self.count > max(MOST, SHARE * self.stored)

    def describe(self, code: str | None = None) -> str | None:
        """The loss of a code, or of the whole file; None without one."""
        if self.is_gross:
            return f"gbbq lacks {self.count:,} of {self.stored:,} stored records"
        codes = self.by_code if code is None else self.by_code.keys() & {code}
        lost = sorted(
            (day, name, category) for name in codes for day, category in self.by_code[name]
        )
        if not lost:
            return None
        day, name, category = lost[-1]
        many = f"{len(lost):,} stored events, the newest" if len(lost) > 1 else "1 stored event,"
        return f"gbbq lacks {many} of {name} on {day} (category {category})"

    def refusal(self, code: str | None = None) -> str | None:
        """The failure of a code or of the whole file, with its way out; None without a loss."""
        loss = self.describe(code)
        return f"{loss}: what is stored stays ({WAY_OUT})" if loss else None


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
