"""The shape of an answer is its fields and types; values and lengths do not count."""

import copy
from typing import Any

import pytest

from loaders.tdx.selftest.shape import hash_shape

ANSWER: dict[str, Any] = {"Count": 1, "List": [{"Time": "a", "Price": 1}], "date": None}


def test_values_and_numbers_of_rows_do_not_count() -> None:
    more = {
        "Count": 2,
        "List": [{"Time": "b", "Price": 2.5}, {"Time": "c", "Price": 0}],
        "date": None,
    }
    assert hash_shape(more) == hash_shape(ANSWER)


@pytest.mark.parametrize(
    "other",
    [
        {"count": 1, "List": [{"Time": "a", "Price": 1}], "date": None},
        {"Count": 1, "List": [{"Time": "a"}], "date": None},
        {"Count": 1, "List": [{"Time": "a", "Price": "1"}], "date": None},
        {"Count": 1, "List": [{"Time": "a", "Price": 1, "Extra": 1}], "date": None},
        {"Count": 1, "List": None, "date": None},
        [ANSWER],
    ],
)
def test_another_field_or_type_is_another_shape(other: Any) -> None:
    assert hash_shape(other) != hash_shape(ANSWER)


def test_parts_that_come_and_go_are_left_out() -> None:
    session, closed = copy.deepcopy(ANSWER), copy.deepcopy(ANSWER)
    closed["List"] = None
    assert hash_shape(session, ["List"]) == hash_shape(closed, ["List"])
    tasks = [{"id": "a"}, {"id": "b", "ended_at": "c"}]
    assert hash_shape(tasks, ["[].ended_at"]) == hash_shape(tasks[:1], ["[].ended_at"])
    assert hash_shape(tasks) != hash_shape(tasks[:1])
