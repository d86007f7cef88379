"""The one rule of what an answer may lack, and its sentence."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from loaders.engine.load import Load
from loaders.tdx.losses import judge_loss

SENTENCE = "gbbq lacks {} of {} stored records, such as sh600000's"
REFUSAL = (
    f"{SENTENCE}: what is stored stays; is it whole?"
    " (if it is right so: `loaders run tdx --dataset capital_events --accept-loss`)"
)


def judge(lost: int, stored: int, *, accepts: bool = False) -> tuple[str | None, list[str]]:
    """The refusal, and what was said: warnings, and losses that the request took."""
    said: list[str] = []

    def accepts_loss(dataset: str, loss: str) -> bool:
        if accepts:
            said.append(f"accepted: {dataset}: {loss}")
        return accepts

    load: Any = SimpleNamespace(warn=said.append, accepts_loss=accepts_loss)
    refusal = judge_loss(
        cast(Load, load),
        "capital_events",
        "gbbq",
        lost=lost,
        stored=stored,
        things="stored records",
        example="sh600000's",
        advice="; is it whole?",
    )
    return refusal, said


@pytest.mark.parametrize(("lost", "stored"), [(-1, 10), (0, 10), (0, 0)])
def test_an_answer_with_as_many_is_taken_without_a_word(lost: int, stored: int) -> None:
    assert judge(lost, stored) == (None, [])


@pytest.mark.parametrize(("lost", "stored"), [(5, 100), (1, 2), (1, 19), (5_000, 100_000)])
def test_an_answer_that_lacks_few_is_taken_with_a_warning(lost: int, stored: int) -> None:
    shown = SENTENCE.format(f"{lost:,}", f"{stored:,}")
    assert judge(lost, stored) == (None, [f"capital_events: {shown}"])


@pytest.mark.parametrize(
    ("lost", "stored"), [(6, 100), (1, 1), (2, 2), (2, 39), (5_001, 100_000), (7, 7)]
)
def test_an_answer_that_lacks_many_or_all_is_refused_until_accepted(lost: int, stored: int) -> None:
    numbers = f"{lost:,}", f"{stored:,}"
    assert judge(lost, stored) == (REFUSAL.format(*numbers), [])
    accepted = f"accepted: capital_events: {SENTENCE.format(*numbers)}"
    assert judge(lost, stored, accepts=True) == (None, [accepted])
