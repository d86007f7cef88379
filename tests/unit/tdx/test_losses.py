"""The one rule of what an answer may lack, and its sentence."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from loaders.engine.load import Load
from loaders.tdx.losses import Loss, judge_loss

SENTENCE = "gbbq lacks {} of {} stored records, such as sh600000's"
REFUSAL = (
    f"{SENTENCE}. Stored rows are kept; is it whole?"
    " (to accept this, run `loaders run tdx --dataset capital_events --accept-loss`)"
)


def judge(lost: int, stored: int, *, accepts: bool = False) -> tuple[str | None, list[str]]:
    """The refusal, and what was said: warnings, and losses that the request took."""
    said: list[str] = []

    def accepts_loss(dataset: str, loss: str) -> bool:
        if accepts:
            said.append(f"accepted: {dataset}: {loss}")
        return accepts

    load: Any = SimpleNamespace(warn=said.append, accepts_loss=accepts_loss)
    loss = Loss("gbbq", lost, stored, "stored records", "sh600000's")
    refusal = judge_loss(cast(Load, load), "capital_events", loss, advice="; is it whole?")
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


def test_no_loss_is_called_taken_if_another_part_of_the_answer_is_refused() -> None:
    said: list[str] = []
    load: Any = SimpleNamespace(warn=said.append, accepts_loss=lambda *_: False)
    few, many = (Loss(name, lost, 100, "listed codes") for name, lost in (("sh", 3), ("sz", 9)))
    refusal = judge_loss(cast(Load, load), "codes", few, many)
    assert refusal is not None
    assert refusal.startswith("sz lacks 9 of 100 listed codes. ")
    assert said == []


def test_an_older_copy_is_refused_however_little_it_lacks() -> None:
    assert not Loss("gbbq", 1, 100, "stored records").is_too_much
    assert Loss("gbbq", 1, 100, "stored records", is_older=True).is_too_much
    assert not Loss("gbbq", 0, 100, "stored records", is_older=True).is_too_much
