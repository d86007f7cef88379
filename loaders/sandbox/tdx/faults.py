"""Scripted faults: what may go wrong, where, and when. None is active unless a rule says so.

A rule is written as `KIND[:ROUTE][:name=value …]`:

    empty:kline-all:code=sh600000:first=2     the first two calls for that code come back empty
    outage:nth=10:calls=30                    from the 10th call on, 30 calls fail at once
    reset:p=0.05                              one call in twenty is dropped (seeded)

ROUTE is the path without `/api/`, or `*` (the default, every route that the fault can hit). When a
call is hit is decided by `nth`, `first`, `every`, `after` or `p`; without any of them every call is.
`per=code` counts the calls of each code on its own. `message=` comes last and may hold colons.
"""

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from loaders.errors import UsageError
from loaders.sandbox.world.rulebook import RuleBook

# name of an option -> its default; options of the kinds below
Options = dict[str, str]


@dataclass(frozen=True)
class Kind:
    text: str
    options: Options = field(default_factory=dict)
    # routes that it can hit; empty means all
    routes: tuple[str, ...] = ()


KLINES = ("kline", "kline-history", "kline-all", "kline-all/tdx", "kline-all/ths")
BARS = (*KLINES, "index", "index/all")
TICKS = ("trade", "trade-history", "minute-trade-all")
SERIES = (*BARS, "minute", *TICKS)
QUOTES = ("quote", "batch-quote")
THS = (*KLINES, "income", "stock-info")
# kline-all/ths and income ask the third-party page only
UPSTREAM = (
    *(route for route in SERIES if route != "kline-all/ths"),
    *("trade-history/full", *QUOTES, "stock-info", "market-count"),
)
LISTS = ("codes", "stock-codes", "etf-codes", "etf", "search", "market-stats")
CALENDAR = ("workday", "workday/range", "trade-history/full")

# what damages the rows of an answer
DATA_FAULTS: dict[str, Kind] = {
    "empty": Kind(
        "success without a row",
        routes=(*SERIES, "trade-history/full", *QUOTES, "workday/range", *LISTS[:4]),
    ),
    "short": Kind(
        "history cut to its newest rows, as by a short page",
        {"keep": "800"},
        (*SERIES, "trade-history/full"),
    ),
    "stale": Kind(
        "the newest rows are missing, as of a source that stands still",
        {"rows": "1"},
        (*SERIES, "workday/range"),
    ),
    "duplicate": Kind("the row at the page border twice", {"page": "800"}, SERIES),
    "duplicate-page": Kind("the newest page of ticks twice", {"page": "2000"}, TICKS),
    "descending": Kind("newest first", routes=(*SERIES, "trade-history/full")),
    "unfinished": Kind(
        "the last row is half of what it will be", routes=(*SERIES, *QUOTES, "trade-history/full")
    ),
    "provisional": Kind(
        "the last row differs from call to call", routes=(*SERIES, *QUOTES, "trade-history/full")
    ),
    "holiday": Kind("a bar on a day without trading", routes=BARS),
    "high-below-low": Kind("high and low of a bar are exchanged", {"row": "-1"}, BARS),
    "value": Kind(
        "a field of one row holds something else: a number, or a text",
        {"field": "Volume", "value": "100000000000000000", "row": "-1"},
        (*BARS, *QUOTES),
    ),
    "noon-label": Kind(
        "11:30 is labelled 13:00", routes=tuple(r for r in BARS if r != "kline-all/ths")
    ),
    "extra-field": Kind("a field nobody knows", {"field": "Extra"}),
    "missing-field": Kind("a field is missing", {"field": "Close"}),
    "string-number": Kind("a number comes as text", {"field": "Close"}),
}

KINDS: dict[str, Kind] = {
    # the connection
    "latency": Kind("the answer comes late", {"seconds": "1", "jitter": "0"}),
    "hang": Kind("no answer ever comes"),
    "refuse": Kind("the call is dropped and the port stays closed for a while", {"seconds": "1"}),
    "restart": Kind("as refuse, and the service starts anew: tasks vanish", {"seconds": "0.2"}),
    "reset": Kind("the connection is reset before the first byte"),
    "cut": Kind("the body ends half-way (truncated JSON)", {"at": "0.5"}),
    # the answer as a whole
    "empty-body": Kind("HTTP 200 without a body"),
    "html": Kind("an HTML error page of a proxy", {"status": "502"}),
    "error": Kind("code -1 with a message", {"message": "上游错误"}),
    "timeout": Kind("code -1, `超时`, after the wait for the quote server", routes=UPSTREAM),
    "outage": Kind(
        "the quote server is gone: code -1 at once (for some calls or seconds)",
        {"message": "", "calls": "", "seconds": ""},
        UPSTREAM,
    ),
    "rate-limit": Kind(
        "more than so many calls within one second are turned away",
        {"per_second": "5", "status": "429"},
    ),
    # rows
    **DATA_FAULTS,
    # what the service knows
    "codes-stale": Kind("the newest codes are missing", {"drop": "3"}, LISTS),
    "codes-duplicate": Kind("a code is listed twice", {}, LISTS),
    "codes-missing": Kind("one exchange is missing", {"exchange": "sz"}, LISTS),
    "codes-vanish": Kind("the code given by code= vanishes from the lists", {}, LISTS),
    "calendar-empty": Kind("no day is known (restart in another zone)", {}, CALENDAR),
    "calendar-short": Kind("only the newest days are known", {"keep": "100"}, CALENDAR),
    "half-init": Kind("the code cache never came up", {}, (*LISTS, *QUOTES)),
    "ths-down": Kind("the third-party page fails", {}, THS),
    "ths-missing-action": Kind(
        "the third-party series lacks `count` actions, the first the `which` newest",
        {"which": "1", "count": "1"},
        THS,
    ),
    "ths-unadjusted": Kind("the third-party series is not adjusted at all", {}, THS),
    "quote-mismatch": Kind(
        "the quote server leaves one of the codes out, so the whole call fails",
        {},
        (*QUOTES, "stock-info"),
    ),
    "missing-days": Kind("days of a range are skipped", {"days": "1"}, ("trade-history/full",)),
}

ROUTES = (
    *("health", "server-status", *QUOTES, *SERIES, "trade-history/full", "search", "stock-info"),
    *("codes", "stock-codes", "etf-codes", "etf", "market-stats", "market-count"),
    *("workday", "workday/range", "income"),
    *("tasks/pull-kline", "tasks/pull-trade", "tasks", "tasks/{id}"),
)

WHOLE_OPTIONS = ("keep", "drop", "page", "days", "which", "count", "rows")
WHEN = ("nth", "first", "every", "after", "p", "per", "code")


@dataclass(frozen=True, eq=False)
class Rule:
    kind: str
    route: str = "*"
    code: str | None = None
    nth: int | None = None
    first: int | None = None
    every: int | None = None
    after: int | None = None
    p: float | None = None
    per: str | None = None
    options: Options = field(default_factory=dict)

    def option(self, name: str) -> str:
        return self.options.get(name, KINDS[self.kind].options[name])

    def number(self, name: str) -> float:
        return float(self.option(name))

    def fits(self, route: str, codes: Iterable[str]) -> bool:
        named = KINDS[self.kind].routes
        if self.route != "*":
            if self.route != route:
                return False
        elif named and route not in named:
            return False
        # of a vanishing code the rule names what vanishes, not what is asked for
        return self.kind == "codes-vanish" or self.code is None or self.code in codes

    def __str__(self) -> str:
        when = [f"{n}={getattr(self, n)}" for n in WHEN if getattr(self, n) is not None]
        rest = [f"{name}={value}" for name, value in self.options.items()]
        return ":".join([self.kind, self.route, *when, *rest])


def parse_rule(text: str) -> Rule:
    """A rule from its text; `UsageError` says what is allowed instead."""
    head, message, rest = text.strip().partition(":message=")
    kind, *parts = head.split(":")
    if message:
        parts.append("message=" + rest)
    if kind not in KINDS:
        raise _bad(text, f"there is no fault {kind!r}", "faults: " + ", ".join(sorted(KINDS)))
    route = "*"
    if parts and "=" not in parts[0]:
        route = parts.pop(0) or "*"
        if route != "*" and route not in ROUTES:
            raise _bad(text, f"there is no route {route!r}", "routes: *, " + ", ".join(ROUTES))
        can_hit = KINDS[kind].routes
        if route != "*" and can_hit and route not in can_hit:
            raise _bad(text, f"{kind} cannot hit {route}", "routes: *, " + ", ".join(can_hit))
    known = (*WHEN, *KINDS[kind].options)
    given: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise _bad(text, f"{kind} has no option {name!r}", "options: " + ", ".join(known))
        given[name] = value
    if kind == "codes-vanish" and not given.get("code"):
        raise _bad(text, "it does not say which code vanishes", "codes-vanish:code=sh600000")
    try:
        return _rule(kind, route, given)
    except ValueError as error:
        raise _bad(text, f"not a number: {error}", "nth=3, first=2, every=10, p=0.05") from error


def _rule(kind: str, route: str, given: Options) -> Rule:
    options = {name: value for name, value in given.items() if name in KINDS[kind].options}
    for name, value in options.items():
        if name not in ("message", "field", "exchange", "value"):
            float(value)
        if name in WHOLE_OPTIONS and int(value) < 1:
            raise ValueError(f"{name} starts at 1")
    whole = {name: int(given[name]) for name in ("nth", "first", "every", "after") if name in given}
    if any(number < 1 for number in whole.values()):
        raise ValueError("counts start at 1")
    per = given.get("per")
    if per not in (None, "code"):
        raise ValueError(f"per={per} (only per=code)")
    p = float(given["p"]) if "p" in given else None
    if p is not None and not 0 <= p <= 1:
        raise ValueError(f"p={p} (0 to 1)")
    code = given.get("code")
    return Rule(kind, route, code.lower() if code else None, per=per, p=p, options=options, **whole)


def _bad(text: str, what: str, allowed: str) -> UsageError:
    return UsageError(
        f"fault {text!r}: {what}", hint=f"{allowed}; form: KIND[:ROUTE][:name=value ...]"
    )


class FaultBook(RuleBook[Rule]):
    """The rules, and which of them strike a call."""

    def __init__(self, rules: Iterable[Rule | str] = (), *, seed: int = 1) -> None:
        self._seed = seed
        self._windows: dict[Rule, float] = {}
        self._recent: list[float] = []
        super().__init__(parse_rule, rules)

    def hits(self, route: str, codes: tuple[str, ...]) -> list[Rule]:
        """Rules that strike this call; every call counts once for each rule it fits."""
        with self._lock:
            return [r for r in self._rules if r.fits(route, codes) and self._strikes(r, codes)]

    def _strikes(self, rule: Rule, codes: tuple[str, ...]) -> bool:
        name = ",".join(codes)
        met = self._count(rule, name if rule.per == "code" else "")
        if rule.kind == "rate-limit":
            return self._too_many(rule)
        if rule.kind == "outage" and rule.options.get("seconds"):
            return self._within(rule, met)
        if rule.kind == "outage" and rule.options.get("calls"):
            return (rule.nth or 1) <= met < (rule.nth or 1) + int(rule.number("calls"))
        if rule.nth is not None:
            return met == rule.nth
        if rule.first is not None:
            return met <= rule.first
        if rule.every is not None:
            return met % rule.every == 0
        if rule.after is not None:
            return met > rule.after
        if rule.p is not None:
            # drawn per call of a code, so the order of parallel calls does not matter
            nth = met if rule.per == "code" else self._count(rule, "p " + name)
            return random.Random(f"{self._seed} {rule} {name} {nth}").random() < rule.p
        return True

    def _within(self, rule: Rule, met: int) -> bool:
        if met < (rule.nth or 1):
            return False
        now = time.monotonic()
        return now < self._windows.setdefault(rule, now + rule.number("seconds"))

    def _too_many(self, rule: Rule) -> bool:
        now = time.monotonic()
        self._recent = [at for at in self._recent if now - at < 1.0]
        if len(self._recent) >= rule.number("per_second"):
            return True
        self._recent.append(now)
        return False

    def _forget(self, rule: Rule) -> None:
        super()._forget(rule)
        self._windows.pop(rule, None)
        if rule.kind == "rate-limit":
            self._recent.clear()
