"""Warnings about the client's files: some of each kind in full, of the rest how many."""

from collections.abc import Callable
from dataclasses import dataclass, field

from quotemill.wording import say_count

MOST = 5  # of a kind that are said in full


@dataclass
class FileNotes:
    """The notes of one load, said at its end.

    `in_hands`: the number of days whose volume a file has in hands, by its name.
    """

    in_hands: dict[str, int] = field(default_factory=dict)
    _notes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, note: str) -> None:
        """Add a note; `kind` continues the sentence `3 more files`."""
        self._notes.setdefault(kind, []).append(note)

    def say(self, warn: Callable[[str], None]) -> None:
        """Say notes of each kind, how many more there are, and which days have volume in hands."""
        for kind, notes in self._notes.items():
            for note in notes[:MOST]:
                warn(note)
            if len(notes) > MOST:
                warn(f"{len(notes) - MOST:,} more files {kind}")
        if self.in_hands:
            days = say_count(sum(self.in_hands.values()), "day")
            files = say_count(len(self.in_hands), "file")
            warn(
                f"{days} in {files}, such as {min(self.in_hands)}: more shares than a file can"
                " count, so the volume is read as hands, which the turnover proves"
            )
