"""Each NAME.zh-CN.md keeps step with NAME.md: the same code, sections, links and tables."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARK = ".zh-CN"
CHINESE = sorted([*ROOT.glob(f"*{MARK}.md"), *(ROOT / "docs").rglob(f"*{MARK}.md")])
BLOCK = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def english(page: Path) -> Path:
    return page.with_name(page.name.replace(MARK, ""))


def chinese(page: Path) -> Path:
    """The Chinese page of an English one, or that one where nobody translated it."""
    translated = page.with_name(f"{page.stem}{MARK}.md")
    return translated if translated in CHINESE else page


def code_blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text("utf-8"))


def text(page: Path) -> str:
    return BLOCK.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[tuple[Path, str]]:
    """The other pages that a page links to; their sections where these are in English alone."""
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)(#[^)\s]+)?", text(page))
    pages = [((page.parent / link).resolve(), section) for link, section in targets]
    return [
        (path, "" if chinese(path) in CHINESE else section)
        for path, section in pages
        if english(path) != english(page)
    ]


def code_words(page: Path) -> set[str]:
    return {" ".join(word.split()) for word in re.findall(r"`([^`]+)`", text(page))}


def commands_of_tables(page: Path) -> list[list[str]]:
    rows = re.findall(r"^\| (`.*?) \|", text(page), re.MULTILINE)
    return [re.findall(r"`([^`]+)`", row) for row in rows]


def shape(page: Path) -> list[str]:
    """The marks of headings, items and rows of tables, in order."""
    return re.findall(r"^(#+ | *- | *\d\. |\|)", text(page), re.MULTILINE)


@pytest.mark.parametrize("page", CHINESE, ids=lambda page: str(page.relative_to(ROOT)))
class TestPair:
    def test_both_have_the_same_code(self, page: Path) -> None:
        assert code_blocks(english(page))
        assert code_blocks(page) == code_blocks(english(page))
        assert code_words(page) == code_words(english(page))
        assert commands_of_tables(page) == commands_of_tables(english(page))

    def test_both_have_the_same_sections_items_and_rows(self, page: Path) -> None:
        assert shape(page) == shape(english(page))

    def test_both_link_to_the_same_pages_in_chinese_where_there_are(self, page: Path) -> None:
        wanted = [(chinese(path), section) for path, section in links(english(page))]
        assert sorted(links(page)) == sorted(wanted)

    def test_each_links_to_the_other_below_its_title(self, page: Path) -> None:
        for this, other, word in [(page, english(page), "English"), (english(page), page, "中文")]:
            assert this.read_text("utf-8").splitlines()[2] == f"[{word}]({other.name})"


def test_the_pages_are_found_and_listed() -> None:
    index = ROOT / "docs" / "index.md"
    assert len(CHINESE) > 1
    assert set(CHINESE) <= {path for path, _ in links(index)}
