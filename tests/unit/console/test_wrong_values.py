"""What is wrong with a value of a call is said in the words of the settings."""

import importlib.util
from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from quotemill.settings import allowed
from tests.requirements import require


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (int, "x", "must be a whole number"),
        (date, "x", "must be a day such as 2026-01-31"),
        (dict, 1, "must be an object"),
        (bytes, 1, "is not valid here"),
        (Annotated[int, Field(ge=2)], 1, "must be no less than 2"),
        (Annotated[int, Field(lt=2)], 2, "must be below 2"),
    ],
)
def test_bounds_and_kinds_are_said_in_the_words_of_settings(
    monkeypatch: pytest.MonkeyPatch, kind: Any, value: Any, words: str
) -> None:
    require("console", importlib.util.find_spec("fastapi") is not None, "fastapi is not installed")
    from orchestration.console.app import _explain_value

    monkeypatch.setitem(allowed.BOUNDS, "ge", "no less than")
    with pytest.raises(ValidationError) as wrong:
        TypeAdapter(kind).validate_python(value)
    assert _explain_value(wrong.value.errors()[0]) == words
