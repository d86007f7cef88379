"""Volumes below 128 hands, some of which the service's decoder reports too large.

The macro decoded_volume has the same rule for dbt.
"""

_EXACT_FROM = 128  # hands; from here on the decoder is right


def _reported_as(hands: int) -> int:
    if 9 <= hands <= 16:
        return 264 + 256 * (hands - 9)
    if 33 <= hands <= 64:
        return 48 + 16 * (hands - 33)
    return {1: 32768, 3: 4098, 4: 8194}.get(hands, hands)


_SMALL = {
    _reported_as(hands): hands for hands in range(_EXACT_FROM) if _reported_as(hands) != hands
}


def decoded_volume(reported: int) -> int | None:
    """The small number of hands that `reported` may stand for, or None."""
    return _SMALL.get(reported)
