"""Volumes of two rows of one key, each in a unit of its own.

A table with the column `volume_unit` has in it the shares per unit of `volume`; null means a hand.
Two volumes are compared in the coarser unit of both. Of two that agree the finer one stays,
whichever came first.
"""

from collections.abc import Callable, Sequence

VOLUME, UNIT = COLUMNS = ("volume", "volume_unit")
HAND = 100  # shares
# what two sources may write differently of the same bar: turnover is a single float
ROUNDED = frozenset({"amount", "source_label", "is_final"})


def is_finer_sql(row: Callable[[str], str], other: Callable[[str], str]) -> str:
    """Whether a row has the same volume as another in a finer unit; each writes its columns."""
    return f"({_unit(row)} < {_unit(other)} and {agree_sql(row, other)})"


def agree_sql(row: Callable[[str], str], other: Callable[[str], str]) -> str:
    """Whether two volumes are the same in the coarser unit of both.

    Hands beyond 2^24 are single floats at the source, so in two units they are compared as such.
    """
    coarser = f"greatest({_unit(row)}, {_unit(other)})"
    first, second = (f"({r(VOLUME)} * {_unit(r)} / {coarser})::real" for r in (row, other))
    same = f"{row(VOLUME)} = {other(VOLUME)}"
    return f"case when {_unit(row)} = {_unit(other)} then {same} else {first} = {second} end"


def finest_sql(
    column: str, columns: Sequence[str], new: Callable[[str], str], stored: Callable[[str], str]
) -> str:
    """The value of a column in a stored row that a new one replaces: its own, if it is finer."""
    if column not in COLUMNS or UNIT not in columns:
        return new(column)
    return f"case when {is_finer_sql(stored, new)} then {stored(column)} else {new(column)} end"


def _unit(row: Callable[[str], str]) -> str:
    return f"coalesce({row(UNIT)}, {HAND})"
