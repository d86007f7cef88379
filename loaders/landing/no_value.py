"""What sources write for a number that there is not.

Not received is NaN, or a text without a number; trading systems write the largest float, and for
sizes the largest integer of 32, 64 or 128 bits. Nobody trades at 0. An infinite number is refused
instead. SQL has the same rule for what lands as it was sent (macros/units/none_if_unset.sql).
"""

from typing import Any

UNSET_ABOVE = 1e300
UNSET_SIZES = (2.0**31 - 1, 2.0**63, 2.0**127)  # the larger ones as floats
UNSET_TEXTS = ("", "-", "--", "nan")


def is_unset(value: Any, *, is_price: bool = False, is_size: bool = False) -> Any:
    """Whether a number, its text, or each of an array of numbers, stands for none."""
    if value is None or isinstance(value, str):
        return value is None or value.strip().lower() in UNSET_TEXTS
    number = value * 1.0
    size = abs(number)
    unset = (number != number) | ((size > UNSET_ABOVE) & (size < float("inf")))
    if is_price:
        unset = unset | (number == 0)
    if is_size:
        for largest in UNSET_SIZES:
            unset = unset | (number == largest)
    return unset
