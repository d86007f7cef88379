"""Parts of pages, of made-up values."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

from orchestration.console.pages.site import _environment
from orchestration.console.pages.words import Words

NOON = datetime(2026, 11, 25, 17, tzinfo=UTC)


class Titles(HTMLParser):
    """The titles of elements, and the texts beside them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.titles: list[str | None] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_data(self, data: str) -> None:
        self.text += data


def render(template: str, language: str = "en", **values: Any) -> Titles:
    page = _environment().get_template(template).render(t=Words(language), zone="", **values)
    return Titles(page)


def test_a_slot_shows_its_contracts_and_its_time_in_the_title_alone() -> None:
    run = SimpleNamespace(
        kind="intraday", status="complete", finished_at=NOON, captured=536, planned=536
    )
    part = render(
        "_chains_due.html",
        source="ib",
        error=None,
        plan=SimpleNamespace(lines=[], refusal=None, left=[]),
        day=None,
        slots=["12:00"],
        captures={"AAPL": {"12:00": run}},
        kinds={},
    )
    assert part.titles == ["intraday, complete, 2026-11-25 12:00:00 New York"]
    assert "AAPL536 / 536–" in part.text


def test_a_build_has_figures_once_it_has_ended() -> None:
    row = {"build_id": 3, "status": "running", "started_at": NOON, "seconds": 5, "words": "all"}
    row |= {
        "models_built": None,
        "rows_written": None,
        "tests_failed": None,
        "error": None,
        "failures": (),
    }
    entry = {"kind": "build", "row": row, "parts": []}
    assert "models" not in render("_ran.html", entries=[entry]).text
    row |= {"status": "succeeded", "models_built": 242, "rows_written": 22696}
    assert "242 models, 22,696 rows" in render("_ran.html", entries=[entry]).text
    assert "242 个模型，22,696 行" in render("_ran.html", "zh", entries=[entry]).text
