"""Corporate actions: their effect on prices, and the file that carries them.

One event turns the price P of the day before into the theoretical ex-price g(P) = (P − c) / m with
m = (10 + S + R) / 10 and c = (D − R·price) / 10, everything per 10 shares (cash D, bonus and
transferred shares S, rights R); a split divides by its ratio. Rows of one ex-date are summed first.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

from quotemill.errors import UsageError

DIVIDEND = 1
SPLIT = 11

# columns of the file by the fields of a row: yuan or shares per 10 shares, and counts of shares
AMOUNTS = {
    "cash_per10_yuan": "cash",
    "bonus_per10": "bonus",
    "transfer_per10": "transfer",
    "rights_per10": "rights",
    "rights_price_yuan": "rights_price",
}
COUNTS = {"total_shares_10k": "total_shares", "float_shares_10k": "float_shares"}
COLUMNS = (
    "code",
    "ex_date",
    "cash_per10_yuan",
    "bonus_per10",
    "transfer_per10",
    "bonus_total_per10",
    "rights_per10",
    "rights_price_yuan",
    *COUNTS,
    "adjusts_price",
    "category",
    "split_ratio",
)

ZERO = Decimal(0)


@dataclass(frozen=True)
class Action:
    """One row: yuan or shares per 10 shares; `split_ratio` only for category 11."""

    code: str
    ex_date: date
    cash: Decimal = ZERO
    bonus: Decimal = ZERO
    transfer: Decimal = ZERO
    rights: Decimal = ZERO
    rights_price: Decimal = ZERO
    total_shares: int = 0
    float_shares: int = 0
    category: int = DIVIDEND
    split_ratio: Decimal | None = None

    @property
    def adjusts_price(self) -> bool:
        """A price without rights shares is a public offer: no effect on the price."""
        if self.category == SPLIT:
            return True
        return self.category == DIVIDEND and any(
            (self.cash, self.bonus, self.transfer, self.rights)
        )


@dataclass(frozen=True)
class Event:
    """All rows of one ex-date: P becomes (P − c) / m, in yuan."""

    ex_date: date
    m: Fraction
    c: Fraction

    def ex_price(self, price: Fraction) -> Fraction:
        return (price - self.c) / self.m


def events(actions: Iterable[Action]) -> list[Event]:
    """Effects of the rows on the price, ascending; rows of one ex-date are one event."""
    by_date: dict[date, list[Action]] = {}
    for action in actions:
        if action.adjusts_price:
            by_date.setdefault(action.ex_date, []).append(action)
    result = []
    for ex_date in sorted(by_date):
        rows = by_date[ex_date]
        shares = sum((Fraction(r.bonus + r.transfer + r.rights) for r in rows), Fraction(0))
        paid = sum((Fraction(r.cash - r.rights * r.rights_price) for r in rows), Fraction(0))
        m, c = (10 + shares) / 10, paid / 10
        for row in rows:
            if row.split_ratio is not None:
                m *= Fraction(row.split_ratio)
        result.append(Event(ex_date, m, c))
    return result


def forward_segments(active: Sequence[Event]) -> list[tuple[date | None, Fraction, Fraction]]:
    """(first day, A, B) per segment: P_qfq = A·P + B for bars from that day on.

    The first segment has no first day. `active` are the events up to the last bar.
    """
    a, b = Fraction(1), Fraction(0)
    segments: list[tuple[date | None, Fraction, Fraction]] = []
    for event in reversed(active):
        segments.append((event.ex_date, a, b))
        a = a / event.m
        b = b - a * event.c
    segments.append((None, a, b))
    return segments[::-1]


def actions_csv(actions: Iterable[Action]) -> str:
    """Write the rows as text in the columns of `COLUMNS`, with codes like SH600000."""
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for a in sorted(actions, key=lambda a: (a.code, a.ex_date)):
        amounts = {column: getattr(a, name) for column, name in AMOUNTS.items()}
        amounts["bonus_total_per10"] = a.bonus + a.transfer
        others = {
            "code": a.code.upper(),
            "ex_date": a.ex_date.isoformat(),
            "adjusts_price": "Y" if a.adjusts_price else "N",
            "category": a.category,
            "split_ratio": "" if a.split_ratio is None else f"{a.split_ratio:.6f}",
        }
        counts = {column: getattr(a, name) for column, name in COUNTS.items()}
        writer.writerow({c: f"{n:.4f}" for c, n in amounts.items()} | counts | others)
    return text.getvalue()


def read_actions(path: Path) -> list[Action]:
    """Read the rows of such a file, in the columns that docs/datasets/corporate_actions.md lists.

    Raises UsageError that names a bad line.
    """
    rows = []
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            try:
                rows.append(_read_action(row))
            except (ArithmeticError, KeyError, ValueError) as error:
                raise UsageError(f"{path.name}, line {reader.line_num}: {error!r}") from error
    return sorted(rows, key=lambda a: (a.code, a.ex_date))


def _read_action(row: dict[str, str]) -> Action:
    ratio = row.get("split_ratio") or ""
    numbers: dict[str, Any] = {n: Decimal(row.get(c) or 0) for c, n in AMOUNTS.items()}
    if not (row.get("bonus_per10") or row.get("transfer_per10")):  # the parts are optional
        numbers["bonus"] = Decimal(row["bonus_total_per10"] or 0)
    numbers |= {n: int(Decimal(row.get(column) or 0)) for column, n in COUNTS.items()}
    number, _, exchange = row["code"].lower().partition(".")
    return Action(
        code=exchange + number,
        ex_date=date.fromisoformat(row["ex_date"]),
        **numbers,
        category=int(row.get("category") or DIVIDEND),
        split_ratio=Decimal(ratio) if ratio else None,
    )
