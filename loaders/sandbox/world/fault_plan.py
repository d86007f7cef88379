"""Scripted faults as data, for any simulated service: a catalogue says which there are.

A rule is written as `KIND[:name=value ...]`. What it does not name it hits everywhere; `times` is how
often it strikes (default: always), `after` from which request on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from loaders.errors import UsageError
from loaders.sandbox.world.rulebook import RuleBook

Options = dict[str, str]
Check = Callable[[str], object]


@dataclass(frozen=True)
class Kind:
    """`options` and their defaults; an empty default must be given or means: all."""

    text: str
    options: Options = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Rule:
    kind: str
    options: Options = field(default_factory=dict)
    defaults: Options = field(default_factory=dict)

    def option(self, name: str) -> str:
        return self.options.get(name, self.defaults[name])

    def integer(self, name: str) -> int:
        return int(self.option(name))

    def number(self, name: str) -> float:
        return float(self.option(name))

    def fits(self, subject: Mapping[str, str]) -> bool:
        return all(
            not self.options.get(name) or self.options[name] == value
            for name, value in subject.items()
        )

    def __str__(self) -> str:
        return ":".join([self.kind, *(f"{name}={value}" for name, value in self.options.items())])


@dataclass(frozen=True)
class Catalogue:
    """`checks` raise ValueError for a value of that name that cannot be; `example` shows good ones."""

    kinds: Mapping[str, Kind]
    checks: Mapping[str, Check]
    example: str

    def parse(self, text: str) -> Rule:
        """A rule of its text; `UsageError` says what is allowed instead."""
        kind, *parts = text.strip().split(":")
        if kind not in self.kinds:
            raise _bad(text, f"there is no fault {kind!r}", "faults: " + ", ".join(self.kinds))
        known, given = self.kinds[kind].options, {}
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals or name not in known:
                allowed = "options: " + (", ".join(known) or "none")
                raise _bad(text, f"{kind} has no option {name!r}", allowed)
            given[name] = value
        missing = [name for name in self.kinds[kind].needs if not given.get(name)]
        if missing:
            raise _bad(text, f"it does not say which {missing[0]}", f"{kind}:{missing[0]}=...")
        try:
            for name, value in given.items():
                if name in self.checks:
                    self.checks[name](value)
        except ValueError as error:
            raise _bad(text, str(error), self.example) from error
        return Rule(kind, given, dict(known))


def _bad(text: str, what: str, allowed: str) -> UsageError:
    return UsageError(f"fault {text!r}: {what}", hint=f"{allowed}; form: KIND[:name=value ...]")


class FaultPlan(RuleBook[Rule]):
    """The rules of a catalogue, and which of them stands or strikes. `struck` counts strikes by kind, those of
    rules that were taken away included."""

    def __init__(self, catalogue: Catalogue, rules: Iterable[Rule | str] = ()) -> None:
        self.struck: Counter[str] = Counter()
        super().__init__(catalogue.parse, rules)

    def standing(self, kind: str, **subject: str) -> list[Rule]:
        """Rules of a kind about a subject, without counting."""
        with self._lock:
            return [r for r in self._rules if r.kind == kind and r.fits(subject)]

    def strike(
        self,
        kind: str,
        *,
        met: int | None = None,
        chosen: Callable[[Rule], bool] | None = None,
        **subject: str,
    ) -> Rule | None:
        """The rule that strikes now, counted; one with `after` only from that many requests on, and
        only one that is `chosen`."""
        with self._lock:
            for rule in self._rules:
                if rule.kind != kind or not rule.fits(subject):
                    continue
                if chosen is not None and not chosen(rule):
                    continue
                if met is not None and met < rule.integer("after"):
                    continue
                times = rule.option("times")
                if not times or self._count(rule) <= int(times):
                    self.struck[kind] += 1
                    return rule
        return None
