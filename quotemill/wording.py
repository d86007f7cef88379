"""Wording of messages."""


def say_count(count: int, singular: str, plural: str = "") -> str:
    """A number with what it counts: `1 code is`, `1,200 codes are`; an s makes the plural."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"
