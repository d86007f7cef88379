"""What sources write for a number that there is not.

Not received is NaN; trading systems write the largest float, and for sizes the largest integer of
32, 64 or 128 bits. An infinite number is refused instead. Whether 0 is a price, each source knows.
"""

from typing import Any

UNSET_ABOVE = 1e300
UNSET_SIZES = (2.0**31 - 1, 2.0**63, 2.0**127)  # the larger ones as floats


def is_unset(value: Any, *, is_size: bool = False) -> Any:
    """Whether a number, or each of an array of numbers, stands for none."""
    number = value * 1.0
    size = abs(number)
    unset = (number != number) | ((size > UNSET_ABOVE) & (size < float("inf")))
    if is_size:
        for largest in UNSET_SIZES:
            unset = unset | (number == largest)
    return unset
