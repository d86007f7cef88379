"""How a load reports its progress. Commands pass a terminal or plain lines; tests a list."""

from typing import Protocol


class Reporter(Protocol):
    def line(self, text: str) -> None:
        """One line for people."""

    def start(self, dataset: str, total: int) -> None:
        """Announce `total` keys (mostly codes) of a dataset."""

    def advance(self, dataset: str, keys: int) -> None:
        """Count `keys` more as done."""


class Silent:
    def line(self, text: str) -> None: ...

    def start(self, dataset: str, total: int) -> None: ...

    def advance(self, dataset: str, keys: int) -> None: ...
