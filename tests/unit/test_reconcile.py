"""What a reconciliation prints and how it ends, from its result alone."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from loaders.check import Check
from orchestration.checks.bar_comparison import Comparison, list_comparisons
from orchestration.checks.reconcile import Reconciliation, Request, choose_codes
from quotemill.errors import UsageError

JUNE = date(2025, 6, 1)
CLEAN = Reconciliation(
    run_id=7,
    as_of=datetime(2025, 7, 1, 10, tzinfo=UTC),
    month=JUNE,
    last_date=date(2025, 6, 30),
    seed=11,
    codes=("sh600000", "sz000001"),
    candidates=30,
    comparisons=(
        Comparison("bars_of_minutes", "minute5", 960, 0),
        Comparison("adjusted_bars", "day", 0, 0),
    ),
    differences=(),
    not_loaded={},
    factors=Check("adjustment_factors", "ok"),
)


def difference(
    code: str = "sh600000", cause: str = "missing_minutes", **other: object
) -> dict[str, object]:
    made: dict[str, object] = {
        "check_name": "bars_of_minutes",
        "severity": "warning",
        "code": code,
        "period": "minute5",
        "trade_date": date(2025, 6, 3),
        "bar_end": datetime(2025, 6, 3, 1, 35, tzinfo=UTC),
        "field": "volume_shares",
        "ours": Decimal("100.000"),
        "theirs": Decimal(300),
        "difference": Decimal(-200),
        "likely_cause": cause,
        "evidence": "238 of 240 | minutes",
    }
    return made | other


def test_a_clean_run_says_what_agreed_and_what_compared_nothing() -> None:
    assert [(check.name, check.verdict, check.sentence) for check in CLEAN.checks] == [
        ("bars_of_minutes minute5", "ok", "960 of 960 bars agree"),
        ("adjusted_bars day", "unknown", "nothing to compare"),
        ("adjustment_factors", "ok", ""),
    ]
    assert CLEAN.exit_code == 0


def test_differences_are_grouped_by_cause_most_severe_first() -> None:
    many = [difference("sz000001", "unfinished_bar", severity="info") for _ in range(5)]
    result = replace(CLEAN, differences=(*many, difference(), difference(cause="unexplained")))
    _, _, _, *checks = result.checks
    assert [(check.verdict, check.sentence) for check in checks] == [
        ("warn", "reconciliation 7: 1 difference of sh600000: missing_minutes"),
        ("warn", "reconciliation 7: 1 difference of sh600000: unexplained"),
        ("ok", "reconciliation 7: 5 differences of sz000001: unfinished_bar"),
    ]
    assert [check.fix for check in checks] == ["quotemill reconcile", "quotemill reconcile", ""]


def test_the_first_code_of_a_cause_is_shown_and_all_are_counted() -> None:
    differences = tuple(difference(f"sh6{i:05d}") for i in range(12))
    [*_, check] = replace(CLEAN, differences=differences).checks
    text = "reconciliation 7: 12 differences of 12 codes such as sh600000: missing_minutes"
    assert check.sentence == text


def test_the_exit_code_shows_differences_and_missing_evidence() -> None:
    differing = replace(CLEAN, differences=(difference(),))
    lacking = {"kline_adjusted": {"sz000001": "failed"}}
    assert differing.exit_code == 5
    assert replace(CLEAN, factors=Check("adjustment_factors", "warn")).exit_code == 5
    assert replace(CLEAN, factors=Check("adjustment_factors", "unknown")).exit_code == 0
    assert replace(CLEAN, differences=(difference(severity="info"),)).exit_code == 0
    assert replace(differing, not_loaded=lacking).exit_code == 6
    [*_, check] = replace(CLEAN, not_loaded=lacking).checks
    assert (check.sentence, check.exit_code) == ("not loaded: kline_adjusted: sz000001: failed", 6)


def test_a_seed_draws_the_same_codes_again() -> None:
    codes = [f"sh6{i:05d}" for i in range(100)]
    first = choose_codes(codes, Request(sample=5), 42, JUNE)
    assert first == choose_codes(codes, Request(sample=5), 42, JUNE)
    assert first != choose_codes(codes, Request(sample=5), 43, JUNE)
    assert len(set(first)) == 5
    assert list(first) == sorted(first)
    assert choose_codes(codes[:3], Request(sample=5), 42, JUNE) == tuple(codes[:3])


def test_codes_that_did_not_trade_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="sz000009"):
        choose_codes(["sh600000"], Request(codes=("sh600000", "sz000009")), 1, JUNE)
    with pytest.raises(UsageError, match="2025-06"):
        choose_codes([], Request(), 1, JUNE)
    with pytest.raises(UsageError, match="code"):
        choose_codes(["sh600000"], Request(codes=()), 1, JUNE)


def test_a_check_that_compared_nothing_is_named_and_an_unlisted_one_counted() -> None:
    counts = [Comparison("bars_of_days", "week", 5, 1), Comparison("closing_auction", "day", 3, 0)]
    made = list_comparisons(counts)
    assert [c for c in made if c.compared] == counts
    assert len(made) == 8
