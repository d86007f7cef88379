"""Wording of messages."""


def say_count(count: int, one: str, many: str = "") -> str:
    """A number with what it counts: `1 code is`, `1,200 codes are`; `many` has an s without it."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
