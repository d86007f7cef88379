"""How far a key has come never moves back; which version of a file was read goes as it comes."""

from pathlib import Path

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


def test_packages_wait_where_a_folder_of_them_has_one(tmp_path: Path) -> None:
    extracted = tmp_path / "normalize" / "extracted"
    assert not cursors.has_waiting(tmp_path)
    extracted.mkdir(parents=True)
    assert not cursors.has_waiting(tmp_path)
    (extracted / "1").mkdir()
    assert cursors.has_waiting(tmp_path)
