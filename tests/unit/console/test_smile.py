"""The lines of a smile: one of each right."""

from decimal import Decimal
from typing import Any

from orchestration.console.pages.options import draw_smile


def quote(right: str, iv: float | None = 0.25) -> dict[str, Any]:
    return {"option_right": right, "strike": Decimal("92.50"), "iv": iv}


def test_a_smile_has_a_line_of_each_right() -> None:
    assert draw_smile([quote("C"), quote("P")]) == {
        name: [(92.5, 0.25, f"{name} 92.5: 0.2500")] for name in ("call", "put")
    }


def test_what_is_no_number_is_no_point() -> None:
    assert draw_smile([quote("C", None), quote("P", float("nan"))]) == {}
