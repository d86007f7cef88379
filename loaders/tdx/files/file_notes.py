"""Warnings about the client's files: some of each kind in full, of the rest how many."""

from collections.abc import Callable
from dataclasses import dataclass, field

MOST = 5  # of a kind that are said in full


@dataclass
class FileNotes:
    """The notes of one load, said at its end."""

    _notes: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, note: str) -> None:
        """Add a note; `kind` continues the sentence `3 more files`."""
        self._notes.setdefault(kind, []).append(note)

    def say(self, warn: Callable[[str], None]) -> None:
        """Say notes of each kind, and how many more there are."""
        for kind, notes in self._notes.items():
            for note in notes[:MOST]:
                warn(note)
            if len(notes) > MOST:
                warn(f"{len(notes) - MOST:,} more files {kind}")
