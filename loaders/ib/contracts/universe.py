"""The universe of symbols, a CSV file of symbol, weight, group, enabled, and its stages.

Two more columns may follow: `sec_type` (IND for an index; else a stock) and `exchange`, the listing
of a symbol that several exchanges have.

Stage 0 is the heaviest symbol, 1 the two heaviest, 2 the ten heaviest in groups of three or four,
3 all in their own groups, at least two. Each group lands before the next starts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path
from typing import get_args

from loaders.ib.client.values import SMART, SecType
from loaders.ib.settings import IbSettings
from quotemill.codes import read_us_symbol
from quotemill.errors import SettingsError, UsageError
from quotemill.foreign import read_records, reading
from quotemill.warehouse.dbt_project import find_project

SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,9}( [A-Z])?")
FIELDS = ("symbol", "weight", "group", "enabled")
SEC_TYPES = get_args(SecType)
STAGE_SIZES = {0: 1, 1: 2, 2: 10}
GROUP_SIZE = 4  # of stage 2
LEAST_GROUPS = 2  # of stage 3
MOST_WEIGHT = 10**9
ON, OFF = ("1", "true", "yes"), ("0", "false", "no", "")


@dataclass(frozen=True)
class Member:
    """A symbol of the universe; greater weights come first.

    `mistake` is what is wrong with its line, if anything: such a symbol is not loaded.
    """

    symbol: str
    weight: Decimal
    group: str
    is_enabled: bool
    sec_type: SecType = "STK"
    exchange: str = ""
    mistake: str = ""


def shipped() -> Path:
    return find_project().root / "seeds" / "universe.csv"


def join(symbol: str) -> str:
    """A symbol without the blank before the letter of its class."""
    return symbol.replace(" ", "")


def read_members(path: Path) -> list[Member]:
    """The members of a file, heaviest first. Raises SettingsError where it is no such file.

    A wrong line is a member with a mistake and the weight that it says, or that of the line before:
    without its place others would move up a stage, so that another set of symbols is captured.
    """
    members: list[Member] = []
    with reading(path, SettingsError):
        for place, row in read_records(path, FIELDS):
            if any(cell for name, cell in row.items() if name is not None):
                members.append(_member(place, row, members))
    return sorted(members, key=lambda m: (-m.weight, bool(m.mistake), m.symbol))


def _member(place: str, row: dict[str, str], before: Sequence[Member]) -> Member:
    symbol, on = read_us_symbol(row["symbol"] or ""), (row["enabled"] or "").strip().lower()
    try:
        weight = Decimal(row["weight"] or "0")
    except InvalidOperation:
        weight = Decimal("NaN")
    has_weight = weight.is_finite() and 0 <= weight <= MOST_WEIGHT
    sec_type = (row.get("sec_type") or "STK").strip().upper()
    wrong = (
        (None in row, "more cells than the header (put texts with commas in quotes)"),
        (any(row[name] is None for name in FIELDS), "fewer cells than the header"),
        ("\ufffd" in str(row), "not UTF-8 text"),
        (not SYMBOL.fullmatch(symbol), f"not a symbol like AAPL or BRK B: {symbol!r}"),
        (
            join(symbol) in {join(m.symbol) for m in before if not m.mistake},
            f"symbol {symbol} appears twice",
        ),
        (not has_weight, f"weight {row['weight']!r} is not a number from 0 to 10^9"),
        (on not in (*ON, *OFF), f"enabled {row['enabled']!r} is neither true nor false"),
        (sec_type not in SEC_TYPES, f"sec_type {row.get('sec_type')!r} is neither STK nor IND"),
    )
    exchange = (row.get("exchange") or "").strip().upper()
    mistake = next((f"{place}: {text}" for is_wrong, text in wrong if is_wrong), "")
    if not has_weight:
        weight = before[-1].weight if before else Decimal(MOST_WEIGHT)
    return Member(
        symbol,
        weight,
        (row["group"] or "").strip(),
        row["enabled"] is None or on not in OFF,
        "IND" if sec_type == "IND" else "STK",
        "" if exchange == SMART else exchange,  # a route to all of them
        mistake,
    )


def find_member(settings: IbSettings, symbol: str) -> Member:
    """The member of a symbol; a stock where the file does not name it any more."""
    listed = read_members(settings.universe or shipped())
    members = {member.symbol: member for member in listed if not member.mistake}
    return members.get(symbol, Member(symbol, Decimal(0), "", is_enabled=False))


def list_mistakes(settings: IbSettings) -> list[str]:
    """The lines of the file that are not loaded, each with what is wrong."""
    listed = read_members(settings.universe or shipped())
    return [member.mistake for member in listed if member.mistake and member.is_enabled]


def groups(settings: IbSettings, symbols: Sequence[str] | None) -> list[tuple[str, ...]]:
    """The symbols of a load, in groups; `symbols` narrows them, whatever the stage.

    Raises SettingsError where all lines are wrong; UsageError for a symbol that no right one lists.
    """
    path = settings.universe or shipped()
    members = read_members(path)
    enabled = [member for member in members if member.is_enabled]
    chosen = enabled[: STAGE_SIZES.get(settings.stage, len(enabled))]
    mistakes = [member.mistake for member in chosen if member.mistake]
    chosen = [member for member in chosen if not member.mistake]
    if not chosen:
        raise SettingsError(mistakes[0] if mistakes else f"no symbol of {path} is enabled")
    if symbols is not None:
        known = {join(member.symbol): member for member in members if not member.mistake}
        asked = {join(read_us_symbol(symbol)): symbol for symbol in symbols}
        if unknown := [symbol for name, symbol in asked.items() if name not in known]:
            raise UsageError(
                f"not in the universe: {', '.join(unknown)}",
                hint=f"Add it to {path}, or correct its name.",
            )
        chosen = [member for name, member in known.items() if name in asked]
    if settings.stage < 3:
        names = [member.symbol for member in chosen]
        return split_evenly(names, -(-len(names) // GROUP_SIZE))
    by_group = groupby(sorted(chosen, key=lambda m: m.group), key=lambda m: m.group)
    result = [tuple(m.symbol for m in members) for _, members in by_group]
    if len(result) < LEAST_GROUPS <= len(chosen) and symbols is None:
        return split_evenly([member.symbol for member in chosen], LEAST_GROUPS)
    return result


def split_evenly(names: Sequence[str], parts: int) -> list[tuple[str, ...]]:
    """Names in so many parts of about the same size, in their order."""
    size, more = divmod(len(names), parts)
    ends = [size * (n + 1) + min(n + 1, more) for n in range(parts)]
    return [tuple(names[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
