"""The lines of a smile: one of each right, and of each class where an expiry has several."""

from decimal import Decimal
from typing import Any

from orchestration.console.pages.prices import draw_smile


def quote(right: str, symbol: str, iv: float | None = 0.25) -> dict[str, Any]:
    return {
        "option_right": right,
        "local_symbol": symbol,
        "strike": Decimal("92.50"),
        "iv": iv,
    }


def test_an_expiry_of_two_classes_has_lines_of_each() -> None:
    chain = [quote("C", "SPX   26"), quote("C", "SPXW  26"), quote("P", "SPX   26")]
    assert draw_smile(chain) == {
        name: [(92.5, 0.25, f"{name} 92.5: 0.2500")]
        for name in ("call SPX", "call SPXW", "put SPX")
    }
    assert list(draw_smile(chain[::2])) == ["call", "put"]


def test_what_is_no_number_is_no_point() -> None:
    assert draw_smile([quote("C", "SPX", None), quote("P", "SPX", float("nan"))]) == {}
