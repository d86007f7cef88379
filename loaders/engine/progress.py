"""How a load or a build reports its progress.

Commands pass a terminal or plain lines; tests a list.
"""

import os
import sys
from collections.abc import Mapping
from typing import Protocol, Self, TextIO


class Reporter(Protocol):
    def line(self, text: str) -> None:
        """One line for people."""

    def step(self, text: str) -> None:
        """Show what is being done: before the first `start`, or of what was started last."""

    def start(self, dataset: str, total: int) -> None:
        """Announce `total` keys (mostly codes) of a dataset."""

    def advance(self, dataset: str, keys: int) -> None:
        """Count `keys` more as done."""

    def hold(self, text: str) -> None:
        """Show why no key advances, such as rows that land; empty: they advance again."""


class Silent:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def line(self, text: str) -> None: ...

    def step(self, text: str) -> None: ...

    def start(self, dataset: str, total: int) -> None: ...

    def advance(self, dataset: str, keys: int) -> None: ...

    def hold(self, text: str) -> None: ...


def print_line(text: str) -> None:
    """Print a line on stderr. Work goes on where nobody reads it: no further line is kept then."""
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        discard(sys.stderr)


def discard(output: TextIO) -> None:
    """Write what is left of an output nowhere: the interpreter would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


def format_duration(seconds: float) -> str:
    """A time in its two largest units: 20 s, 3 min 20 s, 1 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_counts(counts: Mapping[str, int]) -> str:
    """Numbers with their words, without those that are 0: `28 done, 2 skipped`."""
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
