"""Scripted faults of the futures servers, as data. None is active unless a rule says so.

A rule is written as `KIND[:name=value ...]`:

    empty:contract=SHFE.cu2601:day=2025-11-25     that contract-day has no tick
    disconnect:after=4:times=1                    the connection breaks after 4 packets, once
    slow:seconds=0.5                              every packet comes late

What a rule does not name it hits everywhere. `times` is how often it strikes (default: always).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from loaders.errors import UsageError
from loaders.sandbox.rulebook import RuleBook

Options = dict[str, str]


@dataclass(frozen=True)
class Kind:
    """`options` and their defaults; an empty default must be given or means: all."""

    text: str
    options: Options = field(default_factory=dict)
    needs: tuple[str, ...] = ()


WHERE = {"contract": "", "day": ""}

KINDS: dict[str, Kind] = {
    # who may come in
    "auth": Kind("the token is refused", {"status": "401", "times": ""}),
    "permission": Kind("the account lacks a feature", {"feature": "tq_dl"}),
    "ws": Kind("the upgrade to a WebSocket is refused", {"status": "403", "times": ""}),
    "holidays": Kind("the list of holidays is an error page", {"status": "502", "times": ""}),
    "main-table": Kind(
        "the table of main contracts is an error page", {"status": "404", "times": ""}
    ),
    # the connection
    "slow": Kind("every packet comes late", {"seconds": "0.5", "times": ""}),
    "disconnect": Kind("the connection breaks after so many packets", {"after": "4", "times": "1"}),
    "close": Kind("the connection is closed with code 1000", {"after": "4", "times": "1"}),
    "never-ready": Kind("a chart never becomes ready", {"contract": "", "times": ""}),
    # what the servers know
    "unknown": Kind("no instrument of that name", {"symbol": ""}, ("symbol",)),
    "no-series": Kind("a continuous series has no bar at all", {"variety": ""}, ("variety",)),
    "no-mains": Kind("the table of main contracts lacks a variety", {"variety": ""}, ("variety",)),
    # rows as they are told
    "empty": Kind("a day without a tick", WHERE),
    "short": Kind("a day ends after so many ticks", {**WHERE, "keep": "10"}),
    "duplicate": Kind("every tick of a day twice, with a number of its own", WHERE),
    "late": Kind("a tick of a day comes after younger ones", {**WHERE, "row": "5", "by": "3"}),
    "one-level": Kind("no levels of the book below the first", WHERE),
    # what the servers hold from now on
    "revise-ticks": Kind("prices of a day are other ones, by so many ticks", {**WHERE, "by": "1"}),
    "revise-mains": Kind(
        "the switch to a contract moves by so many trading days",
        {"contract": "", "by": "1"},
        ("contract",),
    ),
}
REVISIONS = ("revise-ticks", "revise-mains")
WHOLE = ("after", "times", "status", "keep", "row", "by")


@dataclass(frozen=True, eq=False)
class Rule:
    kind: str
    options: Options = field(default_factory=dict)

    def option(self, name: str) -> str:
        return self.options.get(name, KINDS[self.kind].options[name])

    def whole(self, name: str) -> int:
        return int(self.option(name))

    def fits(self, subject: Mapping[str, str]) -> bool:
        return all(
            not self.options.get(name) or self.options[name] == value
            for name, value in subject.items()
        )

    def __str__(self) -> str:
        return ":".join([self.kind, *(f"{name}={value}" for name, value in self.options.items())])


def parse_rule(text: str) -> Rule:
    """A rule of its text; `UsageError` says what is allowed instead."""
    kind, *parts = text.strip().split(":")
    if kind not in KINDS:
        raise _bad(text, f"there is no fault {kind!r}", "faults: " + ", ".join(KINDS))
    known, given = KINDS[kind].options, {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise _bad(
                text, f"{kind} has no option {name!r}", "options: " + (", ".join(known) or "none")
            )
        given[name] = value
    missing = [name for name in KINDS[kind].needs if not given.get(name)]
    if missing:
        raise _bad(text, f"it does not say which {missing[0]}", f"{kind}:{missing[0]}=...")
    try:
        for name, value in given.items():
            if name in WHOLE:
                int(value)
            elif name == "seconds":
                float(value)
            elif name == "day":
                date.fromisoformat(value)
    except ValueError as error:
        raise _bad(text, str(error), "day=2025-11-25, times=2, seconds=0.5") from error
    return Rule(kind, given)


def _bad(text: str, what: str, allowed: str) -> UsageError:
    return UsageError(f"fault {text!r}: {what}", hint=f"{allowed}; form: KIND[:name=value ...]")


class FaultPlan(RuleBook[Rule]):
    """The rules, and which of them stands or strikes."""

    def __init__(self, rules: Iterable[Rule | str] = ()) -> None:
        super().__init__(parse_rule, rules)

    def standing(self, kind: str, **subject: str) -> list[Rule]:
        """Rules of a kind about a subject, without counting."""
        with self._lock:
            return [r for r in self._rules if r.kind == kind and r.fits(subject)]

    def strike(self, kind: str, *, met: int | None = None, **subject: str) -> Rule | None:
        """The rule that strikes now, counted; one with `after` only from that many packets on."""
        with self._lock:
            for rule in self._rules:
                if rule.kind != kind or not rule.fits(subject):
                    continue
                if met is not None and met < rule.whole("after"):
                    continue
                times = rule.option("times")
                if not times or self._count(rule) <= int(times):
                    return rule
        return None
