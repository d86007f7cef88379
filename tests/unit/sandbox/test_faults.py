"""Fault rules of every sandbox: how they are written, when they strike, how they are listed."""

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from loaders.cli import app
from loaders.sandbox import faults
from loaders.sandbox.faults import Catalogue, FaultPlan
from loaders.sandbox.ib.faults import CATALOGUE as IB
from loaders.sandbox.tdx.faults import CATALOGUE as TDX
from loaders.sandbox.tq.faults import CATALOGUE as TQ
from quotemill.errors import UsageError

CODE = ("sh600000",)


def strikes(rule: str, calls: int, codes: tuple[str, ...] = CODE) -> list[int]:
    plan = FaultPlan(TDX, [rule])
    return [n for n in range(1, calls + 1) if plan.strike_call("kline-all", codes)]


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        ("reset", [1, 2, 3, 4, 5, 6]),
        ("reset:nth=3", [3]),
        ("reset:first=2", [1, 2]),
        ("reset:every=3", [3, 6]),
        ("reset:after=4", [5, 6]),
        ("outage:nth=2:calls=3", [2, 3, 4]),
        ("reset:p=0", []),
        ("reset:p=1", [1, 2, 3, 4, 5, 6]),
        ("reset:index", []),
        ("reset:kline-all:code=SH600000:first=1", [1]),
        ("reset:code=sz000001", []),
    ],
)
def test_a_rule_strikes_when_it_says(rule: str, calls: list[int]) -> None:
    assert strikes(rule, 6) == calls


def test_an_outage_ends_after_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(faults, "time", SimpleNamespace(monotonic=lambda: now[0]))
    plan = FaultPlan(TDX, ["outage:seconds=2"])
    struck = []
    for now[0] in (5.0, 6.999, 7.0, 8.0):
        struck.append(bool(plan.strike_call("kline-all", CODE)))
    assert struck == [True, True, False, False]


def test_a_probability_draws_the_same_calls_for_the_same_seed() -> None:
    runs = [strikes("reset:p=0.3", 200) for _ in range(2)]
    assert runs[0] == runs[1]
    assert 30 < len(runs[0]) < 90


def test_a_probability_does_not_depend_on_the_order_of_codes() -> None:
    codes = [f"sh60{n:04d}" for n in range(50)]

    def hits(order: list[str]) -> set[str]:
        plan = FaultPlan(TDX, ["reset:p=0.5"])
        return {code for code in order if plan.strike_call("kline-all", (code,))}

    assert hits(codes) == hits(codes[::-1])


def test_calls_can_be_counted_by_code() -> None:
    plan = FaultPlan(TDX, ["empty:kline-all:first=1:per=code"])
    seen = [bool(plan.strike_call("kline-all", (code,))) for code in ("a", "b", "a", "b")]
    assert seen == [True, True, False, False]


def test_an_outage_spares_routes_without_the_quote_server() -> None:
    plan = FaultPlan(TDX, ["outage"])
    assert not plan.strike_call("health", ())
    assert not plan.strike_call("codes", ())
    assert not plan.strike_call("workday/range", ())
    assert not plan.strike_call("kline-all/ths", CODE)
    assert plan.strike_call("market-count", ())


def test_times_after_and_subject_limit_a_rule() -> None:
    plan = FaultPlan(IB, ["mute:symbol=AAPL:times=2", "disconnect:after=3"])
    symbols = ("MSFT", "AAPL", "AAPL", "AAPL")
    struck = [plan.strike("mute", symbol=symbol) is not None for symbol in symbols]
    assert struck == [False, True, True, False]
    requests = [n for n in (1, 2, 3, 4) if plan.strike("disconnect", request=n)]
    assert requests == [3]
    plan.clear()
    assert plan.struck == {"mute": 2, "disconnect": 1}


@pytest.mark.parametrize("rule", ["reset:first=1", "rate-limit:per_second=1"])
@pytest.mark.parametrize("clear", [False, True])
def test_a_rule_that_was_removed_starts_over(rule: str, clear: bool) -> None:
    plan = FaultPlan(TDX, [rule])
    (added,) = plan.rules
    struck = [bool(plan.strike_call("quote", CODE)) for _ in range(2)]
    versions = [plan.version]
    if clear:
        plan.clear()
    else:
        plan.remove(added)
    versions.append(plan.version)
    assert plan.rules == []
    assert plan.strike_call("quote", CODE) == []
    assert plan.add(added) is added
    versions.append(plan.version)
    assert [bool(plan.strike_call("quote", CODE)) for _ in range(2)] == struck
    assert len(set(versions)) == 3


def test_a_message_may_hold_colons() -> None:
    rule = TDX.parse("error:quote:first=1:message=write tcp a->b:7709: closed")
    assert rule.option("message") == "write tcp a->b:7709: closed"
    assert rule.options["first"] == "1"


@pytest.mark.parametrize(
    ("catalogue", "rule", "printed"),
    [
        (TDX, "reset:nth=3:p=.5", "reset:*:nth=3:p=0.5"),
        (TDX, "empty:kline-all:code=SH600000:first=2", "empty:kline-all:first=2:code=sh600000"),
        (IB, "permission:symbol=MSFT:code=10168", "permission:symbol=MSFT:code=10168"),
        (TQ, "short:contract=SHFE.cu2601:keep=3", "short:contract=SHFE.cu2601:keep=3"),
    ],
)
def test_a_rule_is_printed_in_one_form(catalogue: Catalogue, rule: str, printed: str) -> None:
    assert str(catalogue.parse(rule)) == printed
    assert str(catalogue.parse(printed)) == printed


@pytest.mark.parametrize("kind", TDX.kinds)
def test_every_fault_of_tdx_can_be_written_with_its_options(kind: str) -> None:
    options = [f"{name}={value}" for name, value in TDX.kinds[kind].options.items() if value]
    options.sort(key=lambda option: option.startswith("message="))
    rule = TDX.parse(":".join([kind, "*", "nth=2", "code=sh600000", *options]))
    assert TDX.parse(str(rule)).options == rule.options


@pytest.mark.parametrize(
    ("catalogue", "rule", "allowed"),
    [
        (TDX, "explode", "half-init"),
        (TDX, "reset:nowhere", "kline-all/tdx"),
        (TDX, "reset:kline-all:when=2", "nth, first"),
        (TDX, "short:kline-all:keep=many", "nth=3"),
        (TDX, "reset:first=0", "nth=3"),
        (TDX, "reset:p=2", "p=0.05"),
        (TDX, "reset:per=day", "nth=3"),
        (TDX, "outage:health", "market-count"),
        (TDX, "codes-vanish", "code=..."),
        (IB, "flood", "disconnect"),
        (IB, "disconnect:after=50 times=2", "after=50:share=0.2"),
        (IB, "disconnect after=50", "as KIND[:name=value]..."),
        (IB, "mute:colour=red", "symbol, conid"),
        (IB, "error", "code=..."),
        (IB, "no-oi:share=2", "share=0.2"),
        (IB, "permission:delayed=maybe", "code=354"),
        (IB, "disconnect:after=soon", "after=50"),
        (IB, "latency:seconds=long", "seconds=0.5"),
        (TQ, "auth:colour=red", "status, times"),
        (TQ, "unknown", "symbol=..."),
        (TQ, "empty:day=tomorrow", "day=2025-11-25"),
        (TQ, "short:keep=few", "times=2"),
    ],
)
def test_a_bad_rule_says_what_is_allowed(catalogue: Catalogue, rule: str, allowed: str) -> None:
    with pytest.raises(UsageError, match="fault") as error:
        catalogue.parse(rule)
    assert allowed in error.value.hint


@pytest.mark.parametrize(("source", "catalogue"), [("tdx", TDX), ("ib", IB), ("tq", TQ)])
def test_the_command_lists_every_fault_with_its_defaults(source: str, catalogue: Catalogue) -> None:
    printed = CliRunner().invoke(app, ["sandbox", source, "--fault", "list"]).stdout.splitlines()
    assert len(printed) == len(catalogue.kinds)
    for line, (name, kind) in zip(printed, catalogue.kinds.items(), strict=True):
        options = ":".join(f"{key}={value}" for key, value in kind.options.items())
        words = f"{name} {kind.text} ({options})" if options else f"{name} {kind.text}"
        assert line.split() == words.split()
