"""The catalogue has every text of the templates, and nothing else."""

import re
from pathlib import Path

from orchestration.console.pages.words import Words, catalogue

PLACE = Path(__file__).parents[3] / "orchestration" / "console"
CALLS = re.compile(r"""\bt(?:\.both)?\(\s*"((?:[^"\\]|\\.)*)\"""")
# texts that come from values: statuses, and what Python names
VALUES = re.compile(r"""words?\.?\w*\s*=\s*\((.*?)\)""", re.DOTALL)


def read_texts() -> set[str]:
    """Every text that a template or the code about pages passes to `t`, or marks by `_t`."""
    texts: set[str] = set()
    shared = (PLACE.parent / "report").glob("_*.html")
    for path in [*(PLACE / "templates").glob("*.html"), *shared]:
        texts |= set(CALLS.findall(path.read_text("utf-8")))
    for path in (PLACE / "pages").glob("*.py"):
        texts |= set(re.findall(r"""\bmark\(\s*"([^"]*)"\s*\)""", path.read_text("utf-8")))
    return texts


def test_every_text_of_a_page_has_its_chinese() -> None:
    missing = sorted(read_texts() - set(catalogue()))
    assert missing == []


def test_the_catalogue_has_no_text_that_nobody_shows() -> None:
    assert sorted(set(catalogue()) - read_texts()) == []


def test_each_value_of_a_text_is_in_its_chinese_too() -> None:
    for english, chinese in catalogue().items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english
        assert re.search(r"[一-鿿]", chinese), english


def test_a_text_is_shown_in_the_language_of_the_reader() -> None:
    assert Words("en")("Overview") == "Overview"
    assert Words("zh")("Overview") == "总览"
    assert Words("zh")("no such text") == "no such text"
    beside = '<span class="beside" lang="zh-CN">总览</span>'
    assert Words("en").both("Overview") == f"Overview {beside}"
    assert Words("zh").both("Overview") == "总览"
