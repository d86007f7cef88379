"""Every fault of the simulated service once against each family of routes, at the client.

A cell says what becomes of the answer after the loaders' own checks:

    same         every row as without the fault
    fewer        some rows are missing, none is wrong; loaders compare with what is stored or due
    rejected     a row was refused by name, the rest is as it was
    provisional  rows differ that are marked as not final
    unfit        ticks or minutes that miss the day bar's volume by more than without the fault
    unchecked    another answer in good form, which nothing else contradicts
    SomeError    the call failed so
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from loaders.sandbox.tdx.calls import Options
from loaders.sandbox.tdx.faults import KINDS
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.tdx.bars.plausibility import Implausible
from loaders.tdx.client.client import TdxClient
from loaders.tdx.settings import TdxSettings
from quotemill.errors import QuotemillError
from tests.faults.families import FAMILIES, Family, Scene, Stored, scene_of

# the day's other route stands in
PAGES = {"ticks of a day": "same"}
# each part of it fails alone, and is left out
PARTS = {"stock info": "fewer"}
# ticks have no key, and the day bar alone knows how many hands there must be
TICKS = dict.fromkeys(("ticks of days", "ticks of a day", "pages of ticks"), "unfit")
MOMENT = dict.fromkeys(("quotes", "one quote"), "unchecked")
COUNTED = {"stats": "unchecked"}

# of each knob: what becomes of an answer, and the families where it is something else
EXPECTED: dict[str, tuple[str, dict[str, str]]] = {
    "latency": ("same", {}),
    "hang": ("NoAnswerInTime", PAGES),
    "refuse": ("same", {}),
    "restart": ("same", {}),
    "reset": ("RetryableAnswer", PAGES),
    "cut": ("RetryableAnswer", PAGES),
    "empty-body": ("PermanentAnswer", PAGES),
    "html": ("RetryableAnswer", PAGES),
    "error": ("RetryableAnswer", PAGES),
    "timeout": ("UpstreamTimeout", PAGES | PARTS),
    # the probe asks the route of the minutes: where that one is out, everything is
    "outage": ("Outage", PAGES | PARTS | {"minutes": "SourceGone"}),
    "rate-limit": ("RetryableAnswer", PAGES),
    "empty": ("EmptyAnswer", PAGES | {"ticks of days": "fewer"}),
    "short": ("fewer", TICKS | {"points": "WrongShape"}),
    # one tick twice is no more than the odd shares that a day of ticks may lack
    "duplicate": ("same", {"ticks of a day": "unfit", "pages of ticks": "unfit"}),
    "duplicate-page": ("WrongShape", PAGES),
    "descending": ("same", {"ticks of days": "WrongShape", "pages of ticks": "WrongShape"}),
    "unfinished": ("provisional", TICKS | MOMENT | {"points": "unfit"}),
    "provisional": ("provisional", TICKS | MOMENT | {"points": "unfit"}),
    "holiday": ("rejected", {}),
    "high-below-low": ("rejected", {}),
    "noon-label": ("same", {}),
    "extra-field": ("same", {}),
    "missing-field": ("WrongShape", PAGES | PARTS),
    # the fields of lists and of the calendar are texts
    "string-number": ("WrongShape", PAGES | PARTS | {"lists": "same", "calendar": "same"}),
    "codes-stale": ("fewer", COUNTED),
    "codes-duplicate": ("same", COUNTED),
    "codes-missing": ("fewer", COUNTED),
    "codes-vanish": ("fewer", COUNTED),
    "calendar-empty": ("EmptyAnswer", {"ticks of days": "fewer"}),
    "calendar-short": ("fewer", {"ticks of days": "same"}),
    "calendar-hole": ("fewer", {"ticks of days": "same"}),
    # lists go on live, and a stock's quote needs no cache; an index's does
    "half-init": ("same", {"quotes": "NeedsRestart"}),
    "ths-down": ("same", PARTS | {"adjusted days": "RetryableAnswer"}),
    # the vendor's prices are evidence to compare with, never truth
    "ths-missing-action": ("same", {"adjusted days": "unchecked"}),
    "ths-unadjusted": ("same", {"adjusted days": "unchecked"}),
    "quote-mismatch": ("UnknownCode", PARTS),
    "missing-days": ("fewer", {}),
    "stale": ("fewer", {}),
    # a quote's only guard is the engine's, of what a table can hold
    "value": ("rejected", MOMENT),
}
OPTIONS = {
    "latency": "seconds=0.01",
    "refuse": "first=1:seconds=0.1",
    "restart": "first=1:seconds=0.1",
    "rate-limit": "per_second=0",
    "short": "keep=100",
    "duplicate": "page=100",
    "duplicate-page": "page=100",
    "codes-vanish": "code={code}",
    "missing-field": "field={number}",
    "string-number": "field={number}",
    "value": "field={number}",
}
PATIENCE: dict[str, dict[str, float]] = {
    "hang": {"retries": 0, "timeout": 0.3, "bulk_timeout": 0.3},
    # a port that closes takes a moment; a second try at once would meet it half-closed
    "refuse": {"retries": 4, "timeout": 1.0},
    # it comes back when this machine gets to it
    "restart": {"retries": 4, "timeout": 1.0},
    "outage": {"timeout": 1.0},
}
PASSING = ("hang", "reset", "cut", "html", "error", "timeout", "outage", "empty")


def cells(*kinds: str) -> list[tuple[str, Family]]:
    return [
        (kind, family)
        for kind in kinds
        for family in FAMILIES
        if not KINDS[kind].routes or family.route in KINDS[kind].routes
    ]


def named(value: object) -> str:
    return value.name if isinstance(value, Family) else str(value)


@dataclass
class Bench:
    scene: Scene
    sandbox: TdxSandbox
    truths: dict[str, Stored]

    def load_with(self, family: Family, *faults: str, **settings: float) -> Stored:
        """What is kept of the family's answer while these faults strike."""
        options = {"backoff": 0.0, "retries": 1} | settings
        for fault in (*family.standing, *faults):
            self.sandbox.faults.add(fault)

        async def once() -> Stored:
            client = TdxClient(
                TdxSettings(base_url=self.sandbox.url, **options),
                now=lambda: self.scene.now,
            )
            async with client:
                return family.keep(self.scene, await family.ask(client, self.scene))

        try:
            return asyncio.run(once())
        finally:
            self.sandbox.faults.clear()

    def truth(self, family: Family) -> Stored:
        if family.name not in self.truths:
            self.truths[family.name] = self.load_with(family)
        return self.truths[family.name]

    def verdict(self, family: Family, *faults: str, **settings: float) -> str:
        truth = self.truth(family)
        self.sandbox.log.clear()
        try:
            stored = self.load_with(family, *faults, **settings)
        except QuotemillError as error:
            return type(error).__name__
        wrong = {key for key, row in stored.rows.items() if truth.rows.get(key) != row}
        if wrong and wrong <= truth.provisional:
            return "provisional"
        if wrong:
            return "unfit" if stored.misfit > truth.misfit else "unchecked"
        if stored.rejected:
            return "rejected"
        return "same" if len(stored.rows) == len(truth.rows) else "fewer"

    def struck(self, kind: str, route: str) -> int:
        """How many requests for the route met the fault, by the sandbox's own log."""
        return sum(
            entry.route == route and any(fault.split(":")[0] == kind for fault in entry.faults)
            for entry in self.sandbox.log
        )


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    market = SyntheticMarket(codes=12, days=300, seed=3)
    scene = scene_of(market)
    with TdxSandbox(market, clock=scene.clock, options=Options(timeout_delay=0.0)) as sandbox:
        yield Bench(scene, sandbox, {})


@pytest.mark.parametrize("family", FAMILIES, ids=named)
def test_without_a_fault_every_family_has_rows_and_no_reject(bench: Bench, family: Family) -> None:
    truth = bench.truth(family)
    assert len(truth.rows) >= 1
    assert truth.rejected == 0


def test_every_knob_has_its_line_and_strikes_some_family() -> None:
    assert set(EXPECTED) == set(KINDS)
    assert {kind for kind, _ in cells(*KINDS)} == set(KINDS)


@pytest.mark.parametrize(("kind", "family"), cells(*KINDS), ids=named)
def test_a_lasting_fault_never_passes_for_truth(bench: Bench, kind: str, family: Family) -> None:
    options = OPTIONS.get(kind, "").format(code=bench.scene.code, number=family.number)
    rule = f"{kind}:{family.route}" + (options and f":{options}")
    verdict = bench.verdict(family, rule, **PATIENCE.get(kind, {}))
    usual, others = EXPECTED[kind]
    assert verdict == others.get(family.name, usual)
    assert bench.struck(kind, family.route)


@pytest.mark.parametrize(("kind", "family"), cells(*PASSING), ids=named)
def test_a_fault_that_passes_changes_no_row(bench: Bench, kind: str, family: Family) -> None:
    patience = PATIENCE.get(kind, {}) | {"retries": 3}
    verdict = bench.verdict(family, f"{kind}:{family.route}:first=1", **patience)
    # these say success at once: a part or a day left out is the caller's to ask for again
    left_out = {("timeout", "stock info"), ("outage", "stock info"), ("empty", "ticks of days")}
    assert verdict == ("fewer" if (kind, family.name) in left_out else "same")
    assert bench.struck(kind, family.route) == 1


def test_an_index_asked_for_as_a_stock_is_never_taken_for_minutes(bench: Bench) -> None:
    """Success with the first bar of each page right and misaligned bytes for the rest."""
    minutes = next(family for family in FAMILIES if family.name == "minutes")
    wrong = Family("", minutes.route, lambda c, s: c.intraday("sh000001"), minutes.keep)
    with pytest.raises(Implausible, match="of 800 bars break a rule"):
        bench.load_with(wrong)
