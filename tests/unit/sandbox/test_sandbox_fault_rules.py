"""Fault rules: how they are written and when they strike."""

import pytest

from loaders.errors import UsageError
from loaders.sandbox.tdx.faults import KINDS, FaultBook, parse_rule

CODE = ("sh600000",)


def struck(rule: str, calls: int, codes: tuple[str, ...] = CODE) -> list[int]:
    book = FaultBook([rule])
    return [n for n in range(1, calls + 1) if book.hits("kline-all", codes)]


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
    assert struck(rule, 6) == calls


def test_a_chance_is_the_same_for_the_same_seed() -> None:
    runs = [struck("reset:p=0.3", 200) for _ in range(2)]
    assert runs[0] == runs[1]
    assert 30 < len(runs[0]) < 90


def test_a_chance_does_not_depend_on_the_order_of_the_codes() -> None:
    codes = [f"sh60{n:04d}" for n in range(50)]

    def hit(order: list[str]) -> set[str]:
        book = FaultBook(["reset:p=0.5"])
        return {code for code in order if book.hits("kline-all", (code,))}

    assert hit(codes) == hit(codes[::-1])


def test_calls_can_be_counted_for_each_code() -> None:
    book = FaultBook(["empty:kline-all:first=1:per=code"])
    seen = [bool(book.hits("kline-all", (code,))) for code in ("a", "b", "a", "b")]
    assert seen == [True, True, False, False]


def test_a_removed_rule_strikes_no_more() -> None:
    book = FaultBook()
    rule = book.add("reset")
    assert book.hits("quote", CODE) == [rule]
    book.remove(rule)
    assert book.hits("quote", CODE) == []


def test_an_outage_spares_what_needs_no_quote_server() -> None:
    book = FaultBook(["outage"])
    assert not book.hits("health", ())
    assert not book.hits("codes", ())
    assert not book.hits("workday/range", ())
    assert not book.hits("kline-all/ths", CODE)
    assert book.hits("market-count", ())


def test_a_message_may_hold_colons() -> None:
    rule = parse_rule("error:quote:first=1:message=write tcp a->b:7709: closed")
    assert rule.option("message") == "write tcp a->b:7709: closed"
    assert rule.first == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_fault_can_be_written_with_its_options(kind: str) -> None:
    options = [f"{name}={value}" for name, value in KINDS[kind].options.items() if value]
    rule = parse_rule(
        ":".join([kind, "*", "nth=2", "code=sh600000", *sorted(options, key="message".__eq__)])
    )
    assert parse_rule(str(rule)).options == rule.options


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("explode", "half-init"),
        ("reset:nowhere", "kline-all/tdx"),
        ("reset:kline-all:when=2", "nth, first"),
        ("short:kline-all:keep=many", "nth=3"),
        ("reset:first=0", "nth=3"),
        ("reset:p=2", "p=0.05"),
        ("outage:health", "market-count"),
        ("codes-vanish", "code=sh600000"),
    ],
)
def test_a_bad_rule_says_what_is_allowed(rule: str, allowed: str) -> None:
    with pytest.raises(UsageError, match="fault") as error:
        parse_rule(rule)
    assert allowed in error.value.hint
