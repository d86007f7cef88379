"""Wording of messages."""

from collections.abc import Iterable


def say_count(count: int, singular: str, plural: str = "") -> str:
    """A number with what it counts: `1 code is`, `1,200 codes are`; an s makes the plural."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"


def join_hints(hints: Iterable[str]) -> str:
    """Each hint once, in a line: sentences after each other, others by semicolons."""
    return "; ".join(dict.fromkeys(hints)).replace(".; ", ". ")
