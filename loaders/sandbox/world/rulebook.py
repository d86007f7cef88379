"""Rules of faults that are active, whatever service they are of."""

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Generic, TypeVar

R = TypeVar("R")


class RuleBook(Generic[R]):
    """The active rules and how often each was met. Safe for many threads.

    `version` changes with the rules, for who keeps what was made under them. A rule that is taken away
    and added again begins anew.
    """

    def __init__(self, parse: Callable[[str], R], rules: Iterable[R | str]) -> None:
        self._parse = parse
        self._lock = Lock()
        self._rules: list[R] = []
        self._met: dict[tuple[R, str], int] = {}
        self.version = 0
        for rule in rules:
            self.add(rule)

    @property
    def rules(self) -> list[R]:
        with self._lock:
            return list(self._rules)

    def add(self, rule: R | str) -> R:
        """Switch a rule on; from its text or ready made."""
        made = self._parse(rule) if isinstance(rule, str) else rule
        with self._lock:
            self._rules.append(made)
            self.version += 1
        return made

    def remove(self, rule: R) -> None:
        with self._lock:
            self._rules = [r for r in self._rules if r is not rule]
            self._forget(rule)
            self.version += 1

    def clear(self) -> None:
        with self._lock:
            for rule in self._rules:
                self._forget(rule)
            self._rules.clear()
            self.version += 1

    def _count(self, rule: R, name: str = "") -> int:
        """Called under the lock: how often the rule was met under that name, this time included."""
        key = (rule, name)
        self._met[key] = self._met.get(key, 0) + 1
        return self._met[key]

    def _forget(self, rule: R) -> None:
        """Called under the lock, of a rule that is no longer active."""
        self._met = {key: n for key, n in self._met.items() if key[0] is not rule}
