"""How far a key has come never moves back; which version of a file was read goes as it comes."""

import pytest

from loaders.landing import cursors


@pytest.mark.parametrize(
    ("before", "moved", "after"),
    [
        ("2025-06-30", "2025-06-27", "2025-06-30"),
        ("2025-06-30 12:15", "2025-06-30", "2025-06-30 12:15"),
        ("2025-06-30 200 64", "2025-06-30 100 32", "2025-06-30 100 32"),
        ("2025-06-30 200 64", "2025-06-27 300 96", "2025-06-30 200 64"),
        ("2025-06-30 200 64", "2025-06-30", "2025-06-30"),
        ("2025-06-30 200 64 7 shares", "2025-06-30", "2025-06-30"),
        ("2025-06-30 200 64 7", "2025-06-30 200 64 7 shares", "2025-06-30 200 64 7 shares"),
        ("2025-06-30 200 64", "2025-07-01 100 32", "2025-07-01 100 32"),
    ],
)
def test_a_cursor_moves_as_far_as_it_has_reached(before: str, moved: str, after: str) -> None:
    state = {"cursor": {"a": before}}
    cursors.advance(state, {"a": moved, "b": moved})
    assert state["cursor"] == {"a": after, "b": moved}
