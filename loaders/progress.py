"""How a load tells of itself. Commands bring a terminal or a plain-log form; tests a list."""

from typing import Protocol


class Reporter(Protocol):
    def line(self, text: str) -> None:
        """One line for people."""

    def start(self, dataset: str, total: int) -> None:
        """`total` keys (codes, mostly) of a dataset are about to be loaded."""

    def advance(self, dataset: str, keys: int) -> None:
        """`keys` more of them are through."""


class Silent:
    def line(self, text: str) -> None: ...

    def start(self, dataset: str, total: int) -> None: ...

    def advance(self, dataset: str, keys: int) -> None: ...
