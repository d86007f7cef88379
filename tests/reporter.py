"""A reporter for tests of loads."""

from dataclasses import dataclass, field

from loaders.progress import Silent


@dataclass
class Heard(Silent):
    """Keeps the lines of a load's progress."""

    lines: list[str] = field(default_factory=list)

    def line(self, text: str) -> None:
        self.lines.append(text)
