"""Volumes of two rows of one key, each in a unit of its own.

A table with the column `volume_unit` has in it the shares per unit of `volume`; null means a hand.
Two volumes are compared in the coarser unit of both. Of two that agree the finer one stays,
whichever came first.
"""

from collections.abc import Callable, Sequence

VOLUME, UNIT = COLUMNS = ("volume", "volume_unit")
AMOUNT = "amount"
HAND = 100  # shares
PARTS = 100  # sources may differ by one of so many parts of the turnover; misread ones do by more
# what two sources may write differently of the same bar: turnover is a single float
ROUNDED = frozenset({AMOUNT, "source_label", "is_final"})


def is_finer_sql(row: Callable[[str], str], other: Callable[[str], str]) -> str:
    """Whether a row has the same volume as another in a finer unit; each writes its columns."""
    return f"({_unit(row)} < {_unit(other)} and {agree_sql(row, other)})"


def agree_sql(row: Callable[[str], str], other: Callable[[str], str]) -> str:
    """Whether two volumes are the same in the coarser unit of both.

    Hands beyond 2^24 are single floats at the source, so in two units they are compared as such.
    Some small numbers of hands are misread there: of the same turnover they agree as well.
    """
    coarser = f"greatest({_unit(row)}, {_unit(other)})"
    first, second = (f"({r(VOLUME)} * {_unit(r)} / {coarser})::real" for r in (row, other))
    misread = " or ".join(
        f"{_unit(hands)} = {HAND} and {hands(VOLUME)} = {_misread_sql(shares)}"
        for shares, hands in ((row, other), (other, row))
    )
    amounts = f"{row(AMOUNT)}, {other(AMOUNT)}"
    paid = f"abs({row(AMOUNT)} - {other(AMOUNT)}) <= greatest({amounts}) / {PARTS}"
    same = f"{row(VOLUME)} = {other(VOLUME)}"
    return (
        f"case when {_unit(row)} = {_unit(other)} then {same} "
        f"else {first} = {second} or coalesce(({misread}) and {paid}, false) end"
    )


def _misread_sql(row: Callable[[str], str]) -> str:
    """What the service's decoder makes of a volume (loaders.tdx.bars.decoded_volume), or null."""
    hands = f"({row(VOLUME)} * {_unit(row)} / {HAND})"
    return (
        f"case when {hands} between 9 and 16 then 264 + 256 * ({hands} - 9) "
        f"when {hands} between 33 and 64 then 48 + 16 * ({hands} - 33) "
        f"when {hands} = 1 then 32768 when {hands} = 3 then 4098 when {hands} = 4 then 8194 end"
    )


def finest_sql(
    column: str, columns: Sequence[str], new: Callable[[str], str], stored: Callable[[str], str]
) -> str:
    """The value of a column in a stored row that a new one replaces: its own, if it is finer."""
    if column not in COLUMNS or UNIT not in columns:
        return new(column)
    return f"case when {is_finer_sql(stored, new)} then {stored(column)} else {new(column)} end"


def _unit(row: Callable[[str], str]) -> str:
    return f"coalesce({row(UNIT)}, {HAND})"
