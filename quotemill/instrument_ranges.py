"""Kinds of instruments by ranges of codes, as seeds/instrument_ranges.csv lists them.

Neither a code nor the lists of the desktop client say what an instrument is. Of several ranges that
hold a code the smallest counts, so that a line for a part of a range stands beside that of the
whole.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from quotemill.foreign import read_records
from quotemill.warehouse.dbt_project import find_project
from quotemill.wording import say_count

MODELLED = ("stock", "fund", "index")
# what is known and not loaded, in words for one and for several
OTHER_KINDS = {
    "bond": ("bond", "bonds"),
    "convertible_bond": ("convertible bond", "convertible bonds"),
    "open_fund": ("open-ended fund", "open-ended funds"),
    "other": ("offer, right, vote or figure", "offers, rights, votes or figures"),
    "preferred_share": ("preferred share", "preferred shares"),
    "repo": ("repurchase", "repurchases"),
    "warrant": ("warrant", "warrants"),
}
COMPOSITE = "sh000001"  # the index whose days are the calendar
# an index under the name that the vendor's clients give it
OTHER_NAMES = {"sh999999": COMPOSITE}
GUIDE = "docs/datasets/codes.md"
EXCHANGES = ("sh", "sz", "bj")
FIELDS = ("exchange", "first_code", "last_code", "kind", "price_decimals", "valid_since", "source")
_DIGITS = re.compile(r"[0-9]{6}")
_SINCE = re.compile(r"([0-9]{4}(-[0-9]{2}){0,2})?")


@dataclass(frozen=True)
class Range:
    """Codes of one exchange and kind; both ends belong to it.

    price_decimals: of its prices; None where the kind is not modelled
    """

    exchange: str
    first_code: str
    last_code: str
    kind: str
    price_decimals: int | None

    @property
    def size(self) -> int:
        return int(self.last_code) - int(self.first_code)


@dataclass(frozen=True)
class RangeFile:
    """The ranges of a file, the smallest first; and its wrong lines, which do not count."""

    ranges: tuple[Range, ...]
    mistakes: tuple[str, ...]


def read_ranges(path: Path) -> RangeFile:
    """Read a file of ranges. Raises SettingsError where it is no such file."""
    ranges, mistakes = list[Range](), list[str]()
    for place, row in read_records(path, FIELDS):
        if not any(row.values()):
            continue
        if None in row or None in row.values():
            mistakes.append(f"{place}: a line must have as many cells as the header: quote a comma")
            continue
        cells = {name: row[name].strip() for name in FIELDS}
        if mistake := _find_mistake(cells, ranges):
            mistakes.append(f"{place}: {mistake}")
            continue
        decimals = int(cells["price_decimals"]) if cells["kind"] in MODELLED else None
        ends = cells["first_code"], cells["last_code"]
        ranges.append(Range(cells["exchange"], *ends, cells["kind"], decimals))
    return RangeFile(tuple(sorted(ranges, key=lambda r: r.size)), tuple(mistakes))


def _find_mistake(cells: dict[str, str], before: Iterable[Range]) -> str | None:
    exchange, first, last, kind, decimals, since, source = cells.values()
    is_modelled = kind in MODELLED
    rules = (
        (exchange in EXCHANGES, f"exchange {exchange!r} is not one of {', '.join(EXCHANGES)}"),
        (_DIGITS.fullmatch(first), f"first_code {first!r} is not six digits"),
        (
            _DIGITS.fullmatch(last) and first <= last,
            f"last_code {last!r} is not six digits from first_code on",
        ),
        (
            is_modelled or kind in OTHER_KINDS,
            f"kind {kind!r} is not one of {', '.join((*MODELLED, *OTHER_KINDS))}",
        ),
        (decimals in ("2", "3") or not (is_modelled or decimals), "price_decimals is not 2 or 3"),
        (_SINCE.fullmatch(since), f"valid_since {since!r} is not a day, month or year"),
        (source and "\ufffd" not in source, "source is empty or not UTF-8 text"),
        (
            (exchange, first, last)
            not in ((r.exchange, r.first_code, r.last_code) for r in before),
            f"{exchange} {first} to {last} is listed twice",
        ),
    )
    return next((text for holds, text in rules if not holds), None)


@cache
def known_ranges() -> RangeFile:
    """The project's ranges, read once per process. Raises SettingsError."""
    return read_ranges(find_project().root / "seeds" / "instrument_ranges.csv")


def find_range(code: str) -> Range | None:
    """The smallest range that holds a code (`sh600000`); None where no range does."""
    exchange, digits = code[:2], code[2:]
    for known in known_ranges().ranges:
        if known.exchange == exchange and known.first_code <= digits <= known.last_code:
            return known
    return None


def classify_code(code: str) -> str | None:
    """Kind of a code (`sh600000`): stock, fund or index; None if not modelled."""
    known = find_range(code)
    return known.kind if known and known.kind in MODELLED else None


def is_other_kind(code: str) -> bool:
    """Whether a range knows a code as none that is loaded, whatever a list calls it."""
    known = find_range(code)
    return known is not None and known.kind in OTHER_KINDS


def price_decimals(code: str, instrument_type: str) -> int:
    """Decimals of an instrument's prices, of its kind where no range of that kind has the code."""
    known = find_range(code)
    if known and known.kind == instrument_type and known.price_decimals is not None:
        return known.price_decimals
    return 3 if instrument_type == "fund" else 2


def describe_other_kinds(codes: Iterable[str], what: str) -> str | None:
    """How many codes (`what`: as whose) are of which kinds that are not modelled; None if none."""
    known = filter(None, map(find_range, codes))
    kinds = Counter(OTHER_KINDS[r.kind] for r in known if r.kind in OTHER_KINDS)
    if not kinds:
        return None
    parts = ", ".join(say_count(count, *kind) for kind, count in kinds.most_common())
    verb = "is" if kinds.total() == 1 else "are"
    return f"{kinds.total():,} {what} {verb} not modelled: {parts} ({GUIDE})"


def explain_kind(code: str) -> str | None:
    """What a code is that cannot be loaded; None for one of a kind that is modelled."""
    known = find_range(code)
    if known is None:
        return f"in no known range of codes ({GUIDE})"
    if known.kind in MODELLED:
        return None
    return f"one of the {OTHER_KINDS[known.kind][1]}, which are not modelled ({GUIDE})"
