"""Scripted faults of a simulated service: kinds, rules and schedules.

A rule is written as `KIND[:name=value]...`, or `KIND[:ROUTE][:name=value]...` for a service whose
catalogue names routes. What a rule leaves out matches everything. No fault is active unless a rule
says so.

Rules of a catalogue with routes take a schedule: `nth`, `first`, `every`, `after` (calls) or `p`
(probability) decide which calls are hit, without any of them all are; `code` limits the rule to one
code, `per=code` counts the calls of each code separately.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from quotemill.errors import UsageError

Options = dict[str, str]
Check = Callable[[str], object]

COUNTS = ("nth", "first", "every", "after")
SCHEDULE = (*COUNTS, "p", "per", "code")


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    options: names and defaults; an empty default means "all", or that the option is in `needs`
    needs: options that a rule must give
    routes: routes that the fault can hit; empty means all
    timing: "window" lasts for `calls` calls or `seconds` seconds from the nth call on,
        "rate" strikes calls above `per_second`
    """

    text: str
    options: Options = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    timing: Literal["", "window", "rate"] = ""


@dataclass(frozen=True, eq=False)
class Rule:
    """A fault that is switched on; `options` are the given ones, schedule included."""

    kind: str
    definition: Kind
    route: str = ""
    options: Options = field(default_factory=dict)

    def option(self, name: str) -> str:
        return self.options.get(name, self.definition.options.get(name, ""))

    def integer(self, name: str) -> int:
        return int(self.option(name))

    def number(self, name: str) -> float:
        return float(self.option(name))

    def fits(self, subject: Mapping[str, str]) -> bool:
        """Whether every option that the subject names is absent or equal."""
        return all(self.options.get(name) in (None, "", value) for name, value in subject.items())

    def fits_call(self, route: str, codes: tuple[str, ...]) -> bool:
        if self.route != "*":
            if self.route != route:
                return False
        elif self.definition.routes and route not in self.definition.routes:
            return False
        code = self.options.get("code")
        # a kind that needs a code acts on it, whichever code the call asks for
        return code is None or "code" in self.definition.needs or code in codes

    def __str__(self) -> str:
        route = [self.route] if self.route else []
        options = (f"{name}={value}" for name, value in self.options.items())
        return ":".join([self.kind, *route, *options])


@dataclass(frozen=True)
class Catalogue:
    """The faults of one service.

    checks: raise ValueError for an impossible value of the option of that name
    example: options with good values, for hints
    routes: routes that a rule may name; empty for a service without routes
    last: option that comes last in a rule and may hold colons
    """

    kinds: Mapping[str, Kind]
    checks: Mapping[str, Check]
    example: str
    routes: tuple[str, ...] = ()
    last: str = ""

    def parse(self, text: str) -> Rule:
        """Read a rule; `UsageError` says what is allowed instead."""
        head, tail = text.strip(), ""
        if self.last:
            head, tail, rest = head.partition(f":{self.last}=")
        kind, *parts = head.split(":")
        if tail:
            parts.append(f"{self.last}={rest}")
        if kind not in self.kinds:
            raise self._refusal(text, f"unknown fault {kind!r}", "faults", sorted(self.kinds))
        definition = self.kinds[kind]
        route = self._take_route(text, definition, kind, parts) if self.routes else ""
        known = (*(SCHEDULE if self.routes else ()), *definition.options)
        given: Options = {}
        for part in parts:
            name, equals, value = part.partition("=")
            if not equals or name not in known:
                raise self._refusal(text, f"{kind} has no option {name!r}", "options", known)
            given[name] = value
        for name in definition.needs:
            if not given.get(name):
                raise self._refusal(text, f"{name} is missing", "examples", [f"{kind}:{name}=..."])
        try:
            return Rule(kind, definition, route, self._check_options(given, definition))
        except ValueError as error:
            raise self._refusal(text, str(error), "examples", [self.example]) from error

    def _take_route(self, text: str, kind: Kind, name: str, parts: list[str]) -> str:
        """The route that a rule begins with, removed from its parts; `*` without one."""
        route = parts.pop(0) if parts and "=" not in parts[0] else ""
        if route in ("", "*"):
            return "*"
        if route not in self.routes:
            raise self._refusal(text, f"unknown route {route!r}", "routes", ["*", *self.routes])
        if kind.routes and route not in kind.routes:
            raise self._refusal(text, f"{name} cannot hit {route}", "routes", ["*", *kind.routes])
        return route

    def _check_options(self, given: Options, kind: Kind) -> Options:
        """The options, schedule first and in its own form."""
        schedule = {
            name: _normalise(name, given[name])
            for name in SCHEDULE
            if name in given and name not in kind.options
        }
        options = {name: value for name, value in given.items() if name not in schedule}
        for name, value in options.items():
            if name in self.checks:
                self.checks[name](value)
        return schedule | options

    def _refusal(self, text: str, wrong: str, label: str, allowed: Iterable[str]) -> UsageError:
        form = "KIND[:ROUTE][:name=value]..." if self.routes else "KIND[:name=value]..."
        listed = ", ".join(allowed) or "none"
        return UsageError(
            f"fault {text!r}: {wrong}",
            hint=f"Choose from these {label}: {listed}. Write them as {form}.",
        )


def check_count(text: str) -> None:
    if int(text) < 1:
        raise ValueError(f"{text} is less than 1")


def check_share(text: str) -> None:
    if not 0 <= float(text) <= 1:
        raise ValueError(f"{text} is not between 0 and 1")


def _normalise(name: str, text: str) -> str:
    """A value of the schedule in the form that a rule is printed with."""
    if name in COUNTS:
        check_count(text)
        return str(int(text))
    if name == "p":
        check_share(text)
        return str(float(text))
    if name == "per" and text != "code":
        raise ValueError(f"per={text} is not per=code")
    return text.lower()


class FaultPlan:
    """The active rules of a catalogue, and which of them strike; safe for threads.

    `version` changes with the rules, for callers that cache what was made under them. `struck`
    counts strikes by kind, those of removed rules included. A rule that is removed and added again
    starts over. The same `seed` draws the same calls for rules with `p`. `is_on` says whether a
    rule about a subject is on at this time.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        rules: Iterable[Rule | str] = (),
        *,
        seed: int = 1,
        is_on: Callable[[Rule], bool] = lambda _: True,
    ) -> None:
        self._catalogue, self._seed, self._is_on = catalogue, seed, is_on
        self._lock = Lock()
        self._rules: list[Rule] = []
        self._counts: dict[tuple[Rule, str], int] = {}
        # window: time of the first strike; rate: times of the calls within the last second
        self._times: dict[Rule, list[float]] = {}
        self.version = 0
        self.struck: Counter[str] = Counter()
        for rule in rules:
            self.add(rule)

    @property
    def rules(self) -> list[Rule]:
        with self._lock:
            return list(self._rules)

    def add(self, rule: Rule | str) -> Rule:
        """Switch a rule on, given as its text or as a rule."""
        parsed = self._catalogue.parse(rule) if isinstance(rule, str) else rule
        with self._lock:
            self._rules.append(parsed)
            self.version += 1
        return parsed

    def remove(self, rule: Rule) -> None:
        with self._lock:
            self._rules = [r for r in self._rules if r is not rule]
            self._forget([rule])

    def clear(self) -> None:
        with self._lock:
            removed, self._rules = self._rules, []
            self._forget(removed)

    def find_rules(self, kind: str, **subject: str) -> list[Rule]:
        """Active rules of a kind about a subject, without counting a strike."""
        with self._lock:
            fitting = [r for r in self._rules if r.kind == kind and r.fits(subject)]
        return [rule for rule in fitting if self._is_on(rule)]

    def strike(
        self,
        kind: str,
        *,
        request: int | None = None,
        accept: Callable[[Rule], bool] | None = None,
        **subject: str,
    ) -> Rule | None:
        """The rule of a kind that strikes now, counted.

        A rule with `after` strikes only from that `request` on, one with `times` only that often;
        `accept` can refuse rules.
        """
        for rule in self.find_rules(kind, **subject):
            if accept is not None and not accept(rule):
                continue
            if request is not None and request < rule.integer("after"):
                continue
            with self._lock:
                times = rule.option("times")
                if not times or self._count(rule) <= int(times):
                    self.struck[kind] += 1
                    return rule
        return None

    def strike_call(self, route: str, codes: tuple[str, ...]) -> list[Rule]:
        """Every rule that strikes a call; the call counts once for each rule that it fits."""
        with self._lock:
            fitting = [rule for rule in self._rules if rule.fits_call(route, codes)]
            striking = [rule for rule in fitting if self._is_due(rule, ",".join(codes))]
            self.struck.update(rule.kind for rule in striking)
            return striking

    def _is_due(self, rule: Rule, codes: str) -> bool:
        """Whether the schedule of a rule hits this call. Called under the lock."""
        per_code = "per" in rule.options
        count = self._count(rule, codes if per_code else "")
        if rule.definition.timing == "rate":
            return self._exceeds_rate(rule)
        start = int(rule.options.get("nth", 1))
        if rule.definition.timing == "window" and rule.option("seconds"):
            return count >= start and self._is_within_window(rule)
        if rule.definition.timing == "window" and rule.option("calls"):
            return start <= count < start + int(rule.number("calls"))
        schedule = {name: int(rule.options[name]) for name in COUNTS if name in rule.options}
        if "nth" in schedule:
            return count == start
        if "first" in schedule:
            return count <= schedule["first"]
        if "every" in schedule:
            return count % schedule["every"] == 0
        if "after" in schedule:
            return count > schedule["after"]
        if "p" in rule.options:
            # drawn by call of a code, so that the order of parallel calls does not matter
            draw = count if per_code else self._count(rule, "p " + codes)
            dice = random.Random(f"{self._seed} {rule} {codes} {draw}")
            return dice.random() < float(rule.options["p"])
        return True

    def _is_within_window(self, rule: Rule) -> bool:
        now = time.monotonic()
        start = self._times.setdefault(rule, [now])[0]
        return now - start < rule.number("seconds")

    def _exceeds_rate(self, rule: Rule) -> bool:
        now = time.monotonic()
        recent = [at for at in self._times.get(rule, []) if now - at < 1.0]
        is_above = len(recent) >= rule.number("per_second")
        self._times[rule] = recent if is_above else [*recent, now]
        return is_above

    def _count(self, rule: Rule, name: str = "") -> int:
        """Count a rule under a name, this time included. Called under the lock."""
        key = (rule, name)
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key]

    def _forget(self, removed: list[Rule]) -> None:
        """Drop the state of rules that are no longer active. Called under the lock."""
        self._counts = {key: n for key, n in self._counts.items() if key[0] not in removed}
        for rule in removed:
            self._times.pop(rule, None)
        self.version += 1
