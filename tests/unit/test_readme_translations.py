"""README.zh-CN.md keeps step with README.md: the same commands, links and code blocks."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text("utf-8")


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)


def linked_pages(text: str) -> set[str]:
    pages = set(re.findall(r"\]\(([^)#\s]+)", text))
    return pages - {"README.md", "README.zh-CN.md"}


def commands_of_the_table(text: str) -> list[list[str]]:
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return [re.findall(r"`([^`]+)`", row) for row in rows]


def headings(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]


def test_both_readmes_have_the_same_code_blocks() -> None:
    assert code_blocks(ENGLISH)
    assert code_blocks(CHINESE) == code_blocks(ENGLISH)


def test_both_readmes_list_the_same_commands() -> None:
    assert commands_of_the_table(ENGLISH)
    assert commands_of_the_table(CHINESE) == commands_of_the_table(ENGLISH)


def test_both_readmes_have_the_same_sections_and_links() -> None:
    assert headings(CHINESE) == headings(ENGLISH)
    assert linked_pages(CHINESE) == linked_pages(ENGLISH)


def test_each_readme_links_to_the_other() -> None:
    assert "](README.zh-CN.md)" in ENGLISH
    assert "](README.md)" in CHINESE
