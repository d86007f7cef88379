"""Warnings about the client's files: some of each kind in full, of the rest how many."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from loaders.engine.outcome import Outcome
from quotemill.wording import say_count

MOST = 5  # of a kind that are said in full


@dataclass
class FileNotes:
    """The notes of one load. They are said in its thread, and may be added in another.

    `in_hands`: the number of days whose volume a file has in hands, by its name.
    """

    in_hands: dict[str, int] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _unsaid: list[str] = field(default_factory=list)

    def add(self, kind: str, note: str) -> None:
        """Add a note; `kind` continues the sentence `3 more files`."""
        self._counts[kind] += 1
        if self._counts[kind] <= MOST:
            self._unsaid.append(note)

    def between(
        self, outcomes: Iterator[Outcome], warn: Callable[[str], None]
    ) -> Iterator[Outcome]:
        """Pass the outcomes on and say new notes between them."""
        for outcome in outcomes:
            while self._unsaid:
                warn(self._unsaid.pop(0))
            yield outcome

    def say_rest(self, warn: Callable[[str], None]) -> None:
        """Say how many notes of each kind were not said, and which days have volume in hands."""
        for kind, count in self._counts.items():
            if count > MOST:
                warn(f"{count - MOST:,} more files {kind}")
        if self.in_hands:
            days = say_count(sum(self.in_hands.values()), "day")
            files = say_count(len(self.in_hands), "file")
            warn(
                f"{days} in {files}, such as {min(self.in_hands)}: more shares than a file can"
                " count, so the volume is read as hands, which the turnover proves"
            )
